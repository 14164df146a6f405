#!/usr/bin/env bash
# Sets up, then checks style, types and the rooms' borders, and runs the tests: a good 10 minutes on 2 cores. What is
# skipped is printed with its reason. Arguments go to both pytest runs, e.g. `bash deploy/test.sh -k settings`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash deploy/setup.sh

bin="$PWD/.venv/bin"
failed=()
# What tests leave in the temporary folder goes with it. Its name is short because paths of sockets must be.
TMPDIR="$(mktemp -d /tmp/gpn.XXXX)"
export TMPDIR

tidy() {
    if [ "${#failed[@]}" -gt 0 ]; then
        printf 'files of the tests are kept in %s\n' "$TMPDIR"
    else
        rm -rf "$TMPDIR"
    fi
}
trap tidy EXIT

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

# Up to three tests that fail among hundreds beside them on two busy cores run once more, alone. What passes only then is
# named at the end: it may be the machine, and it may be a race worth a look. The fault matrices get no second chance.
AGAIN_AT_MOST=3
frail=()
tests() {
    local cache status=0 count kept test
    cache="$(mktemp -d "$TMPDIR/cache.XXXX")"
    "$bin/pytest" -o cache_dir="$cache" "$@" || status=$?
    kept="$cache/v/cache/lastfailed"
    [ "$status" -eq 1 ] && [ -s "$kept" ] || return "$status"
    count="$("$bin/python" -c 'import json, sys; print(len(json.load(open(sys.argv[1]))))' "$kept")"
    [ "$count" -le "$AGAIN_AT_MOST" ] || return "$status"
    while read -r test; do frail+=("$test"); done \
        < <("$bin/python" -c 'import json, sys; print("\n".join(json.load(open(sys.argv[1]))))' "$kept")
    printf '\n-- once more, alone: %s of them\n' "$count"
    "$bin/pytest" -o cache_dir="$cache" --last-failed --last-failed-no-failures none "$@" -n 0
}

[ "$#" -eq 0 ] || NARROWED=yes
# Compiles the tests beside the checks, once, and not in each of the workers at the same time.
"$bin/pytest" --collect-only -q -o cache_dir="$TMPDIR" -m "not docker" >/dev/null 2>&1 &
compiling=$!
step "lint" "$bin/ruff" check .
step "format" "$bin/ruff" format --check .
step "types" "$bin/mypy"
step "borders" "$bin/lint-imports"
step "security lint" "$bin/bandit" --quiet --configfile pyproject.toml --recursive node
step "packages" "$bin/python" deploy/audit.py
wait "$compiling" || true
# Many tests wait, those with the engine most of the time: so four or six at a time keep two cores busy. A file's tests
# stay together: some share an engine of their own, or its answers to a whole machine. What is marked `long` runs by
# pytest -m long; of tests with a dozen cases and more, each fourth runs here, and all of them without --slice.
step "tests" tests -q --slice 4 --hypothesis-profile=brief --durations=10 -n 4 --dist loadfile -m "not docker and not interop and not realchain and not long" "$@"
# Only files that speak of these marks are collected: each of six workers would collect all of them.
mapfile -t with_engine < <(grep -rlE 'mark\.(docker|interop)\b' tests --include='test_*.py' | sort)
step "tests with the engine and the official clients" \
    tests -q --durations=20 -n 6 --dist loadfile \
    -m "(docker or interop) and not realchain and not long and (not hostile or (brief and not gvisor))" "${@:-${with_engine[@]}}"
# A slice only; all of it takes much longer: pytest -m realchain. The folder spares the collection of everything else.
step "a slice of the tests on a real node" \
    "$bin/pytest" -q --durations=5 -m "realchain and brief" "${@:-tests/realchain}"
# All of it takes an hour and more: python -m tests.faults.matrix, python -m tests.faults.soak. Another seed, other cases.
if [ -z "${NARROWED:-}" ]; then
    step "a slice of the fault matrices" "$bin/python" -W ignore -m tests.faults.matrix --slice --seed "${GPUNODE_FAULTS_SEED:-7}"
    step "a slice of the soak" "$bin/python" -W ignore -m tests.faults.soak --jobs 2 --seed "${GPUNODE_FAULTS_SEED:-7}"
fi

printf '\n'
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
if [ "${#frail[@]}" -gt 0 ]; then
    printf 'passed only when run again, alone: %s\n' "${frail[@]}"
fi
printf 'all passed in %s s\n' "$SECONDS"
