# Written by onetap, for the subshell of `onetap exec PROFILE`: zsh reads it as $ZDOTDIR/.zshrc. Do not edit.

if [[ -n ${__onetap_zdotdir-} ]]; then
    ZDOTDIR=$__onetap_zdotdir
else
    'builtin' 'unset' ZDOTDIR
fi
# The system's zshrc may have named a history beside ZDOTDIR (macOS does).
if [[ ${HISTFILE-} == "$__onetap_shim"/* ]]; then
    HISTFILE=${ZDOTDIR:-$HOME}${HISTFILE#"$__onetap_shim"}
fi
'builtin' 'unset' __onetap_zdotdir __onetap_shim

# Runs behind the person's own hooks, which may write PROMPT anew. What the prompt expands depends on options that
# may change: with PROMPT_SUBST the name must not stand in PROMPT itself.
__onetap_precmd() {
    PROMPT=${PROMPT#"${__onetap_tag-}"}
    typeset -g __onetap_name=${ONETAP_PROFILE//[[:cntrl:]]/?}
    __onetap_name=${__onetap_name//\%/%%}
    if [[ -o prompt_bang ]]; then
        __onetap_name=${__onetap_name//\!/!!}
    fi
    if [[ -o prompt_subst ]]; then
        typeset -g __onetap_tag='(onetap ${__onetap_name}) '
    else
        typeset -g __onetap_tag="(onetap $__onetap_name) "
    fi
    PROMPT=$__onetap_tag$PROMPT
}

if [[ -f ${ZDOTDIR:-$HOME}/.zshrc ]]; then
    'builtin' 'source' "${ZDOTDIR:-$HOME}/.zshrc"
fi
precmd_functions+=(__onetap_precmd)
