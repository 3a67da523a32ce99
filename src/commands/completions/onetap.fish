# Completion of onetap for fish. To have it: onetap completions fish | source
function __onetap_words
    set -l before (commandline --current-process --tokenize --cut-at-cursor)
    command onetap complete -- $before "="(commandline --current-token --cut-at-cursor | string collect) 2>/dev/null
end
function __onetap_behind
    contains -- -- (commandline --current-process --tokenize --cut-at-cursor)
end
complete --command onetap --no-files --keep-order --condition 'not __onetap_behind' --arguments '(__onetap_words)'
complete --command onetap --condition __onetap_behind --arguments '(__fish_complete_subcommand --fcs-skip=(contains --index -- -- (commandline --current-process --tokenize --cut-at-cursor)))'
