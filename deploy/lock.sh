#!/usr/bin/env bash
# Writes deploy/requirements.lock anew: exact versions with hashes of everything in pyproject.toml, the extras `test`
# and `bench` and the build backend included, for every platform; and deploy/runtime.lock, which is the part of it that
# a host needs to run the agent. Run it after a change of the dependencies there:
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

# Usage: compile NAME HEADING OPTION...; NAME's versions stay as they are where they fit.
compile() {
    local lock="deploy/$1" heading="$2"
    cp "$lock" "$scratch/$1" 2>/dev/null || true
    "$scratch/venv/bin/uv" pip compile pyproject.toml "$scratch/build.in" "${@:3}" --universal --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet \
        --output-file "$scratch/$1"
    {
        echo "# $heading, exactly and with hashes. Written by: bash deploy/lock.sh"
        grep -v "^# $heading" "$scratch/$1"
    } >"$lock"
    echo "$lock: $(grep -c == "$lock") packages" >&2
}

compile requirements.lock "Everything gpunode and its tests need" --extra test --extra bench "$@"
rm -f deploy/runtime.lock
compile runtime.lock "Everything gpunode needs to run" --constraint deploy/requirements.lock
