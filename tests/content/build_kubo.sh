#!/usr/bin/env bash
# Builds what the tests on a real IPFS node need, once per machine: Kubo's `ipfs`, from Go modules, into the user's cache
# (three minutes on two idle cores, 120 MB kept). Needs Go 1.26. A second run finds it there.
set -euo pipefail

version=0.41.0
folder=${XDG_CACHE_HOME:-$HOME/.cache}/gpunode/kubo-$version
binary=$folder/ipfs

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if [ -x "$binary" ]; then
    printf 'build: %s is there: %s\n' "$("$binary" version)" "$binary" >&2
    exit 0
fi
command -v go >/dev/null || fail "there is no Go compiler" "install Go 1.26 or newer, or name an ipfs binary in GPUNODE_TEST_KUBO"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# A module of its own that requires this version: `go install PATH@VERSION` would ask for the newest one first.
cat >go.mod <<MODULE
module kubo

go 1.26

require github.com/ipfs/kubo v$version
MODULE
GOFLAGS=-mod=mod CGO_ENABLED=0 nice go build -trimpath -ldflags="-s -w" -o ipfs github.com/ipfs/kubo/cmd/ipfs
mkdir -p "$folder"
mv ipfs "$binary"
printf 'build: %s is built: %s\n' "$("$binary" version)" "$binary" >&2
