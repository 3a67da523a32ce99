# Completion of onetap for bash 3.2 and newer. To have it: source <(onetap completions bash)
_onetap() {
    local words=() current word rest=${COMP_LINE:0:COMP_POINT} i last value quote='' cut
    COMPREPLY=()
    # bash ends a word at each of COMP_WORDBREAKS, a colon among them; a word of ours ends at a blank.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then
            word=${rest#"${rest%%[![:blank:]]*}"}
        fi
        if ((i > 0)) && [[ ${rest} != [[:blank:]]* ]]; then
            words[last]+=${word}
        else
            last=${#words[@]}
            words[last]=${word}
            if [[ ${word} == -- ]] && ((i < COMP_CWORD)); then
                # Behind it stands a command with its own arguments.
                if declare -F _command_offset >/dev/null; then
                    _command_offset $((i + 1))
                else
                    compopt -o default 2>/dev/null
                fi
                return
            fi
        fi
        rest=${rest#"${rest%%[![:blank:]]*}"}
        rest=${rest#"${word}"}
    done
    current=${words[last]}
    unset "words[last]"
    case ${current} in
        [\'\"]*)
            quote=${current:0:1}
            current=${current:1}
            cut=''
            ;;
        *)
            current=${current//\\/}
            # What is completed begins behind the last character that ends a word for bash.
            cut=${current%"${current##*[:=]}"}
            ;;
    esac
    while IFS=$'\t' read -r value _; do
        [[ ${value} == "${current}"* ]] || continue
        value=${value#"${cut}"}
        if [[ -z ${quote} ]]; then
            printf -v value %q "${value}"
        fi
        COMPREPLY+=("${value}")
    done < <(command onetap complete -- "${words[@]}" "=${current}" 2>/dev/null)
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _onetap onetap
