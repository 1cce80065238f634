#!/bin/sh
# A SessionStart hook of Claude Code: what it prints becomes context of the session. It cannot stop a session, so it puts
# the gate's exit status into words. The gate is in the project's folder.
changes=$("$CLAUDE_PROJECT_DIR"/gate.sh "${HEARTBEAT_AGENT:-$(hostname -s)}" 2>&1)
case $? in
0) printf 'GitHub issues that changed since the last session:\n%s\n' "$changes" ;;
10) echo 'No GitHub issue changed since the last session.' ;;
*) printf 'The heartbeat failed, so changes of GitHub issues are unknown:\n%s\n' "$changes" ;;
esac
