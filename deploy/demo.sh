#!/usr/bin/env bash
# The main job, end to end, on this machine: sets up what is missing, then runs `gpunode demo` with the arguments given
# (--json prints one JSON object as the last line of stdout; --bundle FILE leaves the job's bundle). Set-up speaks on
# stderr only. Files named in arguments are where this was called, not here.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

status=0
(cd "$root" && bash deploy/setup.sh) || status=$?
if [ "$status" -ne 0 ]; then
    case " $* " in
        *" --json "*)
            # Whoever parses the last line gets one here too; what went wrong was said on stderr.
            printf '{"ok": false, "error": {"kind": "SetupFailed", "message": "set-up failed", "hint": "%s"}}\n' \
                "see what deploy/setup.sh said on stderr"
            ;;
    esac
    exit "$status"
fi
exec "$root/.venv/bin/gpunode" demo "$@"
