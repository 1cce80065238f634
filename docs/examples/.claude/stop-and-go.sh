#!/bin/sh
# A UserPromptSubmit and PreToolUse hook of Claude Code: ends the session, with the reason, when its issue was closed,
# moved or the like, or when an operator holds the agent. Start the session with the issue that it works on:
#
#     HEARTBEAT_ISSUE=https://github.com/acme/api/issues/42 claude
#
# It sends a heartbeat for each prompt, and at most one in HEARTBEAT_SECONDS (60 by default) for the tool calls. Issues
# that changed become context of the session. Without an answer the session goes on, and the user sees a warning. guard.sh
# is in the project's folder. Needs jq.
set -u
umask 077

event=$(jq -r .hook_event_name) || exit 0
HEARTBEAT_AGENT=${HEARTBEAT_AGENT:-$(hostname -s)}
export HEARTBEAT_AGENT
kept=${XDG_CACHE_HOME:-$HOME/.cache}/agent-heartbeat/$HEARTBEAT_AGENT
mkdir -p "$kept" || exit 0

# Before the heartbeat, so that a service that does not answer delays only one tool call.
now=$(date +%s)
asked=$(cat "$kept/asked" 2>/dev/null || echo 0)
[ "$event" = PreToolUse ] && [ $((now - asked)) -lt "${HEARTBEAT_SECONDS:-60}" ] && exit 0
echo "$now" >"$kept/asked"

changes=$("$CLAUDE_PROJECT_DIR"/guard.sh "${HEARTBEAT_ISSUE:-}" 2>"$kept/why")
case $? in
3 | 4) go=false && rm "$kept/asked" ;;
*) go=true ;;
esac

# `continue` ends the session; some versions run the tool call nevertheless, unless it is denied.
jq -n --argjson go "$go" --arg event "$event" --arg changes "$changes" --rawfile why "$kept/why" '
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
