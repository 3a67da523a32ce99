# Written by onetap, for the subshell of `onetap exec PROFILE`: zsh reads it as $ZDOTDIR/.zshenv. Do not edit.

# The person's own .zshenv sees the person's own ZDOTDIR, and may move it.
__onetap_shim=$ZDOTDIR
'builtin' 'unset' ZDOTDIR
if [[ -n ${ONETAP_ZDOTDIR-} ]]; then
    'builtin' 'export' ZDOTDIR=$ONETAP_ZDOTDIR
fi
'builtin' 'unset' ONETAP_ZDOTDIR
if [[ -f ${ZDOTDIR:-$HOME}/.zshenv ]]; then
    'builtin' 'source' "${ZDOTDIR:-$HOME}/.zshenv"
fi

# Back to ours once more, so that zsh reads the .zshrc beside this file. That one gives the person's own back.
if [[ -o interactive && -o rcs ]]; then
    __onetap_zdotdir=${ZDOTDIR-}
    ZDOTDIR=$__onetap_shim
fi
