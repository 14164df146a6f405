#!/usr/bin/env bash
# Sets up, then checks style, types and the rooms' borders, and runs the tests within 10 minutes on 2 cores. What is
# skipped is printed with its reason. Arguments go to both pytest runs, e.g. `bash deploy/test.sh -k settings`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh

bin="$PWD/.venv/bin"
failed=()

step() {
    local name="$1" began=$SECONDS status=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || status=$?
    # pytest's 5 is "no test selected": right when arguments narrow the choice.
    if [ "$status" -eq 5 ] && [ "${NARROWED:-}" = yes ]; then status=0; fi
    [ "$status" -eq 0 ] || failed+=("$name")
    printf '== %s: %s in %s s\n' "$name" "$([ "$status" -eq 0 ] && echo passed || echo FAILED)" "$((SECONDS - began))"
}

[ "$#" -eq 0 ] || NARROWED=yes
step "lint" "$bin/ruff" check .
step "format" "$bin/ruff" format --check .
step "types" "$bin/mypy"
step "borders" "$bin/lint-imports"
# Those that need no engine and no other program run on both cores; the others share one engine, so they take turns.
step "tests" "$bin/pytest" -q -n 2 --dist loadfile -m "not docker and not interop" "$@"
step "tests with the engine and the official clients" "$bin/pytest" -q -m "docker or interop" "$@"

printf '\n'
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
printf 'all passed in %s s\n' "$SECONDS"
