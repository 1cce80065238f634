#!/bin/sh
# A SessionStart hook of Claude Code: what it prints becomes context of the session. It never stops a session, so it says
# in words what the gate says by its exit status. The gate lies in the project's folder.
changes=$("$CLAUDE_PROJECT_DIR"/gate.sh "${HEARTBEAT_AGENT:-$(hostname -s)}" 2>&1)
case $? in
0) printf 'GitHub issues that changed since the last session:\n%s\n' "$changes" ;;
10) echo 'No GitHub issue changed since the last session.' ;;
*) printf 'The heartbeat failed, so changes of GitHub issues are unknown:\n%s\n' "$changes" ;;
esac
