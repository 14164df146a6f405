#!/usr/bin/env bash
# Builds what the tests on a real S3 server need, once per machine: rclone, whose `serve s3` is one, from Go modules, into
# the user's cache (five minutes on two idle cores, 80 MB kept). Needs Go 1.26. A second run finds it there.
set -euo pipefail

version=1.71.0
folder=${XDG_CACHE_HOME:-$HOME/.cache}/gpunode/rclone-$version
binary=$folder/rclone

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if [ -x "$binary" ]; then
    printf 'build: %s is there: %s\n' "$("$binary" version | head -1)" "$binary" >&2
    exit 0
fi
command -v go >/dev/null || fail "there is no Go compiler" "install Go 1.26 or newer, or name an rclone binary in GPUNODE_TEST_RCLONE"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# A module of its own that requires this version: `go install PATH@VERSION` would ask for the newest one first.
cat >go.mod <<MODULE
module rclone

go 1.26

require github.com/rclone/rclone v$version
MODULE
GOFLAGS=-mod=mod CGO_ENABLED=0 nice go build -trimpath -ldflags="-s -w" -o rclone github.com/rclone/rclone
mkdir -p "$folder"
mv rclone "$folder/rclone"
printf 'build: %s is built: %s\n' "$("$binary" version | head -1)" "$binary" >&2
