#!/usr/bin/env bash
# Makes what the tests on a real Solana node need, once per machine: the node's test binary in the user's cache, built
# from crates (half an hour on two cores, at low priority; 4 GB of disk while it builds), and libfaketime.
#
# Needs cargo, and on Debian root for the packages that are missing. A second run finds everything there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' binary.py)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gpunode
folder=$cache/agave-validator-$version
binary=$folder/bin/solana-test-validator
packages=(protobuf-compiler libclang-dev clang libudev-dev pkg-config libssl-dev)

say() { printf 'build: %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "these packages are missing: ${missing[*]}" "apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

command -v dpkg-query >/dev/null || fail "this script knows Debian's packages only" \
    "install the like of: ${packages[*]} libfaketime; then run the cargo command at its end"

need libfaketime
if [ -x "$binary" ]; then
    say "$("$binary" --version) is there: $binary"
    exit 0
fi
command -v cargo >/dev/null || fail "there is no cargo" "install Rust with rustup"
need "${packages[@]}"

say "building agave-validator $version into $folder"
# Tests do not need a fast node; a light profile halves the time and keeps the linker within a few GB of memory.
CARGO_TARGET_DIR="$cache/agave-target" \
    CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    nice -n 19 cargo install agave-validator --version "$version" --bin solana-test-validator --locked --root "$folder"
rm -rf "$cache/agave-target"
say "$("$binary" --version)"
