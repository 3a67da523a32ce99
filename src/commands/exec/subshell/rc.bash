# Written by onetap, for the subshell of `onetap exec PROFILE`: bash reads it in place of ~/.bashrc. Do not edit.

# A PROMPT_COMMAND may write PS1 anew before each prompt, so ours runs behind it and adds the profile's name again.
# bash expands the variable's name in PS1, and never what is in the variable. onetap sets it.
# shellcheck disable=SC2154
__onetap_prompt() {
    PS1=${PS1#"${__onetap_tag-}"}
    if shopt -q promptvars; then
        # shellcheck disable=SC2016 # the prompt expands it
        __onetap_tag='(onetap ${ONETAP_PROFILE//[[:cntrl:]]/?}) '
    else
        __onetap_tag="(onetap ${ONETAP_PROFILE//[[:cntrl:]]/?}) "
        __onetap_tag=${__onetap_tag//\\/\\\\}
    fi
    PS1=$__onetap_tag$PS1
}

if [ -f ~/.bashrc ]; then
    # shellcheck source=/dev/null
    . ~/.bashrc
fi

# An array from bash 5.1 on, if the person made it one.
# shellcheck disable=SC2178,SC2128 # the last branch is for what is no array
case $(declare -p PROMPT_COMMAND 2>/dev/null) in
    'declare -a'*) PROMPT_COMMAND+=(__onetap_prompt) ;;
    # A line of its own: what is there may end in a semicolon, or in a comment.
    *) PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}__onetap_prompt ;;
esac
