#!/bin/sh
# A PreToolUse and UserPromptSubmit hook of Claude Code: ends the session, with the reason, when its issue was closed,
# moved or the like, or when an operator holds the agent. Start the session with the issue that it works on:
#
#     HEARTBEAT_ISSUE=https://github.com/acme/api/issues/42 claude
#
# It asks once in HEARTBEAT_MINUTES (1 by default), and while the answer is to stop, each time. Issues that changed become
# context of the session. Without an answer the session goes on, and the user sees a warning. guard.sh is in the project's
# folder. Needs jq.
set -u

event=$(jq -r .hook_event_name) || exit 0
HEARTBEAT_AGENT=${HEARTBEAT_AGENT:-$(hostname -s)}
export HEARTBEAT_AGENT
folder=${XDG_CACHE_HOME:-$HOME/.cache}/agent-heartbeat
asked=$folder/$HEARTBEAT_AGENT
[ -z "$(find "$asked" -mmin "-${HEARTBEAT_MINUTES:-1}" 2>/dev/null)" ] || exit 0

# Standard output, with the changes, into one variable, and standard error into a file that only this user can read.
mkdir -p "$folder" && why=$(mktemp "$asked.XXXXXX") || exit 0
trap 'rm -f "$why"' EXIT
changes=$("$CLAUDE_PROJECT_DIR"/guard.sh "${HEARTBEAT_ISSUE:-}" 2>"$why")
case $? in
0) touch "$asked" && go=true ;;
3 | 4) rm -f "$asked" && go=false ;;
*) go=true ;;
esac

# `continue` ends the session. A version that runs this one tool call nevertheless is denied it.
jq -n --argjson go "$go" --arg event "$event" --arg changes "$changes" --rawfile why "$why" '
    ($why | rtrimstr("\n")) as $why
    | (if $changes != "" then "GitHub issues that changed meanwhile:\n\($changes)" else "" end) as $news
    | if $go then
        (if $why != "" then {systemMessage: $why} else {} end)
        + (if $news != "" then {hookSpecificOutput: {hookEventName: $event, additionalContext: $news}} else {} end)
    else
        {continue: false, stopReason: ([$why, $news] | map(select(. != "")) | join("\n"))}
        + (if $event == "PreToolUse" then {hookSpecificOutput: {
            hookEventName: $event, permissionDecision: "deny", permissionDecisionReason: $why}} else {} end)
    end | select(. != {})'
