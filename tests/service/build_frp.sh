#!/usr/bin/env bash
# Builds what the tests of the tunnel need, once per machine: frp's `frps` and `frpc`, from Go modules, into the user's cache
# (a minute, 40 MB kept). Needs Go 1.24 or newer. A second run finds them there.
set -euo pipefail

version=0.65.0
folder=${XDG_CACHE_HOME:-$HOME/.cache}/gpunode/frp-$version

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

if [ -x "$folder/frps" ] && [ -x "$folder/frpc" ]; then
    printf 'build: frp %s is there: %s\n' "$("$folder/frpc" --version)" "$folder" >&2
    exit 0
fi
command -v go >/dev/null || fail "there is no Go compiler" "install Go 1.24 or newer, or name a folder with frps and frpc in GPUNODE_TEST_FRP"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# A module of its own that requires this version: `go install PATH@VERSION` would ask for the newest one first. What frp
# replaces for itself has to be replaced here too, and its sums are those that were checked upstream.
cat >go.mod <<MODULE
module frp

go 1.24

require github.com/fatedier/frp v$version

replace github.com/hashicorp/yamux => github.com/fatedier/yamux v0.0.0-20250825093530-d0154be01cd6
MODULE
go mod download "github.com/fatedier/frp@v$version"
cp "$(go env GOMODCACHE)/github.com/fatedier/frp@v$version/go.sum" go.sum
chmod u+w go.sum
for program in frps frpc; do
    GOFLAGS=-mod=mod CGO_ENABLED=0 nice go build -trimpath -ldflags="-s -w" -o "$program" "github.com/fatedier/frp/cmd/$program"
done
mkdir -p "$folder"
mv frps frpc "$folder/"
printf 'build: frp %s is built: %s\n' "$("$folder/frpc" --version)" "$folder" >&2
