#!/bin/sh
# Says whether the agent may go on with an issue. It sends one heartbeat that declares the issue, and what the agent does:
#
#     HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… guard.sh ISSUE_URL [PROGRESS]
#
# Exit status   0  go on; also if the service does not know or does not answer, with a warning on standard error
#               3  stop: the issue was closed, moved or the like. Standard error says why
#               4  stop everything: an operator holds this agent. Standard error says why
#               1  wrong usage
# With an empty ISSUE_URL only a hold and the issues of earlier heartbeats count. The agent's name is HEARTBEAT_AGENT, by
# default the host's. Like any heartbeat, this one reports changes: as with gate.sh they are the lines on standard output.
# PROGRESS has at most 80 bytes. Needs curl and jq.
set -u

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ -z "${HEARTBEAT_URL:-}" ] || [ -z "${HEARTBEAT_TOKEN:-}" ]; then
    echo "usage: HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… $0 ISSUE_URL [PROGRESS]" >&2
    exit 1
fi

# A member that is absent changes nothing of what the agent declared before.
body=$(jq -cn --arg issue "$1" --arg progress "${2:-}" '
    (if $issue != "" then {activeIssueUrls: [$issue]} else {} end)
    + (if $progress != "" then {$progress} else {} end)') || exit 1

# With a key of its own the request can be repeated: a lost answer loses no change. The token goes to curl by standard
# input, because every user of the machine can see a command's arguments. A service that does not answer delays the agent
# for less than a minute.
answer=$(printf 'Authorization: Bearer %s\n' "$HEARTBEAT_TOKEN" | curl --silent --show-error --fail \
    --retry 3 --retry-connrefused --retry-max-time 20 --connect-timeout 5 --max-time 35 --header @- \
    --header "Idempotency-Key: $(date +%s)-$$" \
    --data-raw "$body" "$HEARTBEAT_URL/api/agents/${HEARTBEAT_AGENT:-$(hostname -s)}/heartbeat") &&
    verdict=$(printf '%s\n' "$answer" | jq -r 'if .hold then 4 elif .stopIssueUrls != [] then 3 else 0 end') || {
    echo 'warning: the heartbeat failed, so it is unknown whether to stop; going on' >&2
    exit 0
}

printf '%s\n' "$answer" | jq -r '.touched[]
    | "\(.change) \(.url)" + if .movedTo then " -> \(.movedTo)" else "" end'
printf '%s\n' "$answer" | jq -r --argjson verdict "$verdict" --arg issue "$1" '
    (.warnings[] | select(startswith("request: ")) | "warning: \(.)"),
    if $verdict == 4 then "held: an operator holds \(.hold.pattern) since \(.hold.since): \(.hold.why)"
    elif $verdict == 3 then (.activeIssues[] | select(.verdict == "stop") | "stop: \(.url): \(.detail)")
    elif $issue != "" and .activeIssues == [] then "warning: check \($issue): the service did not judge it"
    else (.activeIssues[] | select(.verdict == "check") | "warning: check \(.url): \(.detail)") end' >&2
exit "$verdict"
