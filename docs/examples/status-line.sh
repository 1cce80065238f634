#!/bin/sh
# One short line for a shell prompt or a status bar. HEARTBEAT_URL and HEARTBEAT_TOKEN, which needs the right `read`, are
# in its environment:
#
#     heartbeat: fresh 40s ago, 12 open
#     heartbeat: stale since 05:41 (github_unavailable)
#
# `stale` begins after HEARTBEAT_STALE_SECONDS, 900 by default. If the service does not answer within two seconds, it
# prints nothing and exits with 1. Needs curl and jq.
set -u

answers=$(printf 'Authorization: Bearer %s\n' "${HEARTBEAT_TOKEN:-}" | curl --silent --fail --fail-early --max-time 1 \
    --header @- "${HEARTBEAT_URL:-}/api/status" "${HEARTBEAT_URL:-}/api/repositories?limit=200" 2>/dev/null) || exit 1

printf '%s\n' "$answers" | jq -rs --argjson stale "${HEARTBEAT_STALE_SECONDS:-900}" '
    def seconds: .[:19] + "Z" | fromdate;
    def short: if . < 120 then "\(.)s" elif . < 7200 then "\(. / 60 | floor)m" else "\(. / 3600 | floor)h" end;
    .[0] as $status | .[1] as $list
    | ($status.problems | map("(\(.code))") | .[0] // "") as $why
    | ($list.repositories | map(.openIssues) | add // 0) as $open
    | "heartbeat: " + if $status.freshAt == null then "not complete yet \($why)"
        else ($status.freshAt | seconds) as $at | ([now - $at, 0] | max | floor) as $age
            | if $age > $stale
                then "stale since \($at | strflocaltime(if $age < 86400 then "%H:%M" else "%Y-%m-%d" end)) \($why)"
                else "fresh \($age | short) ago, \($open)\(if $list.nextCursor then "+" else "" end) open" end
        end | rtrimstr(" ")' 2>/dev/null || exit 1
