#!/bin/sh
# Sends a heartbeat and says whether the agent has work:
#
#     HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… gate.sh AGENT [BODY]
#
# BODY is what the agent declares, such as '{"intervalSeconds": 900}'.
#
# Exit status   0  issues changed: one line for each on standard output, `closed https://github.com/acme/api/issues/42`
#              10  nothing changed
#               1  the heartbeat failed: standard error says why
# Warnings go to standard error. Needs curl and jq.
set -u

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ -z "${HEARTBEAT_URL:-}" ] || [ -z "${HEARTBEAT_TOKEN:-}" ]; then
    echo "usage: HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… $0 AGENT [BODY]" >&2
    exit 1
fi

# With a key of its own the request can be repeated: a lost answer loses no change. The token goes to curl by standard
# input, because every user of the machine can see a command's arguments.
answer=$(printf 'Authorization: Bearer %s\n' "$HEARTBEAT_TOKEN" | curl --silent --show-error --fail \
    --retry 3 --retry-connrefused --max-time 35 --header @- --header "Idempotency-Key: $(date +%s)-$$" \
    --data-raw "${2:-}" "$HEARTBEAT_URL/api/agents/$1/heartbeat") || exit 1

printf '%s\n' "$answer" | jq -r '.errors[], .warnings[]' >&2 || exit 1
# Changes first, also beside an error: the next heartbeat does not report them again.
printf '%s\n' "$answer" | jq -er '.touched[]
    | "\(.change) \(.url)" + if .movedTo then " -> \(.movedTo)" else "" end' && exit 0
[ "$(printf '%s\n' "$answer" | jq -r .status)" = error ] && exit 1
exit 10
