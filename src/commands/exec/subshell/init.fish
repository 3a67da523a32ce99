# Given to fish by `onetap exec PROFILE` as its --init-command, which runs behind the person's config.fish.
if functions -q fish_prompt
    functions -c fish_prompt __onetap_their_prompt
else
    function __onetap_their_prompt
        echo -n '> '
    end
end
function fish_prompt
    # Theirs first: it may show $status and $pipestatus, which anything else would change.
    set -l theirs (__onetap_their_prompt | string collect --no-trim-newlines)
    printf '(onetap %s) %s' (string replace -ra '[[:cntrl:]]' '?' -- "$ONETAP_PROFILE") "$theirs"
end
