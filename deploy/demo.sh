#!/usr/bin/env bash
# The main job, end to end, on this machine: sets up what is missing, then runs `gpunode demo` with the arguments given
# (--json prints one JSON object as the last line of stdout). Set-up speaks on stderr only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh
exec .venv/bin/gpunode demo "$@"
