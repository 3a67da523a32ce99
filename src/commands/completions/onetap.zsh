#compdef onetap
# Completion of onetap for zsh. To have it: source <(onetap completions zsh), behind compinit
_onetap() {
    local line value
    local -a words_before values shown folders
    local -i at=${words[(i)--]}
    if (( at < CURRENT )); then
        # Behind it stands a command with its own arguments.
        shift $at words
        (( CURRENT -= at ))
        _normal
        return
    fi
    words_before=("${(@Q)words[1,CURRENT-1]}")
    for line in "${(@f)$(command onetap complete -- "${words_before[@]}" "=${(Q)PREFIX}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        value=${line%%$'\t'*}
        if [[ $value == */ ]]; then
            folders+=("$value")
        else
            values+=("$value")
            shown+=("${line/$'\t'/  -- }")
        fi
    done
    (( $#folders )) && compadd -V folders -S '' -- "${folders[@]}"
    (( $#values )) && compadd -V values -l -d shown -- "${values[@]}"
    (( $#folders + $#values ))
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _onetap "$@"
else
    compdef _onetap onetap
fi
