#!/usr/bin/env bash
# Writes deploy/requirements.lock anew: exact versions with hashes of everything in pyproject.toml, the extras `test`
# and `bench` and the build backend included, for every platform. Run it after a change of the dependencies there:
#
#     bash deploy/lock.sh            keep versions that still fit
#     bash deploy/lock.sh --upgrade  take the newest that fit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
"${GPUNODE_PYTHON:-python3}" -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check uv

"$scratch/venv/bin/python" - >"$scratch/build.in" <<'PYTHON'
import pathlib
import tomllib

print(*tomllib.loads(pathlib.Path("pyproject.toml").read_text())["build-system"]["requires"], sep="\n")
PYTHON

lock=deploy/requirements.lock
cp "$lock" "$scratch/requirements.lock" 2>/dev/null || true
"$scratch/venv/bin/uv" pip compile pyproject.toml "$scratch/build.in" --extra test --extra bench --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
    --output-file "$scratch/requirements.lock" "$@"
{
    echo "# Everything gpunode and its tests need, exactly and with hashes. Written by: bash deploy/lock.sh"
    cat "$scratch/requirements.lock"
} | awk 'NR == 1 || !/^# Everything gpunode/' >"$lock"
echo "$lock: $(grep -c == "$lock") packages" >&2
