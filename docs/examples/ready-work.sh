#!/bin/sh
# Lists the work that is ready and that nobody has taken: open issues with the label `status/ready`, without assignee.
#
#     HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… ready-work.sh
#
# Exit status   0  there is work: one line for each issue on standard output, `acme/api#1 Refuse large uploads`
#              10  there is none
#               1  could not look: the service did not answer, or there is none where it could look. Standard error says
#                  why
# It reads the service's copy of the issues and sends no heartbeat. A copy that is older than READY_WORK_MAX_AGE seconds
# (one hour by default) proves no absence. The token needs the right `read`. Titles are other people's words. Needs curl
# and jq.
set -u

if [ $# -ne 0 ] || [ -z "${HEARTBEAT_URL:-}" ] || [ -z "${HEARTBEAT_TOKEN:-}" ]; then
    echo "usage: HEARTBEAT_URL=https://… HEARTBEAT_TOKEN=… $0" >&2
    exit 1
fi

found=no
cursor=
while :; do
    # The token goes to curl by standard input, because every user of the machine can see a command's arguments.
    page=$(printf 'Authorization: Bearer %s\n' "$HEARTBEAT_TOKEN" | curl --silent --show-error --fail \
        --retry 3 --retry-connrefused --max-time 35 --header @- --get --data status=ready --data assignee=none \
        --data limit=200 ${cursor:+--data "cursor=$cursor"} "$HEARTBEAT_URL/api/issues") || exit 1
    printf '%s\n' "$page" | jq -er '.issues[]
        | "\(.repository)#\(.number) \(.title | gsub("[[:cntrl:]]"; " "))"' && found=yes
    # A page may be empty although there is a next one.
    cursor=$(printf '%s\n' "$page" | jq -r '.nextCursor // ""') || exit 1
    [ -n "$cursor" ] || break
done

# Each page says the same about the whole list.
gaps=$(printf '%s\n' "$page" | jq -r --argjson oldest "${READY_WORK_MAX_AGE:-3600}" '
    (.incomplete[] | "\(.repository) is not complete: \(.failure.code // .state)"),
    (if .freshAt == null then "not all issues have been read yet"
        elif now - (.freshAt[:19] + "Z" | fromdate) > $oldest then "nothing is newer than \(.freshAt)"
        else empty end)') || exit 1
[ -z "$gaps" ] || printf '%s\n' "$gaps" >&2
[ "$found" = no ] || exit 0
[ -z "$gaps" ] || exit 1
exit 10
