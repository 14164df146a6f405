#!/usr/bin/env bash
# Rebuilds the programs of the embedded chain from their sources and writes
# compiled/{devnet,mainnet}/*.so and compiled/manifest.json.
#
# Needs rustup with the nightly toolchain (LLVM 22) and its rust-src component, and the
# crates registry for the first run. Two runs on one machine give the same bytes.
#
# The linker that turns LLVM bitcode into SBF is built once from crates (linker/) and kept
# in the user's cache by its version.
#
# "sources" in the manifest is the SHA-256 of what `sha256sum` prints for all sources, by
# path in the order of bytes: every .rs, .toml, .lock and .sh file but those in target/.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"

linker_version=$(sed -n 's/^sbpf-linker = { version = "=\([0-9.]*\)".*/\1/p' linker/Cargo.toml)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gpunode/sbpf-linker-$linker_version
sysroot=$(rustc +nightly --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}

if [ ! -d "$sysroot/lib/rustlib/src" ]; then
    echo "rust-src is missing: rustup component add rust-src --toolchain nightly" >&2
    exit 1
fi

linker_binary() {
    find "$cache/target/release/deps/artifact" -type f -perm -u+x -path '*/bin/*' 2>/dev/null | head -n 1
}

build_linker() {
    echo "building sbpf-linker $linker_version (once; some minutes)" >&2
    mkdir -p "$cache/llvm"
    # rustc's own LLVM, under the name a linker looks for.
    ln -sf "$sysroot"/lib/libLLVM.so.22.* "$cache/llvm/libLLVM.so"
    (
        cd linker
        CARGO_TARGET_DIR="$cache/target" \
            RUSTFLAGS="-L $cache/llvm -l dylib=LLVM -C link-arg=-Wl,-rpath,$sysroot/lib" \
            cargo +nightly build -Z bindeps --release --locked
    )
}

[ -n "$(linker_binary)" ] || build_linker
linker=$(linker_binary)

registries=()
for index in "$cargo_home"/registry/src/*/; do
    registries+=(--remap-path-prefix="${index%/}=crates")
done

flags=(
    -C panic=abort
    -C relocation-model=static
    # The machine allows unaligned access; without this every key is copied bytewise.
    -C target-feature=+allows-misaligned-mem-access
    # The format that every cluster runs.
    -C link-arg=--arch=v0
    -C link-arg=--llvm-args=-bpf-stack-size=4096
    # No path of this machine may get into the programs.
    --remap-path-prefix="$here="
    --remap-path-prefix="$sysroot/lib/rustlib/src/rust=rust"
    "${registries[@]}"
)

for cluster in devnet mainnet; do
    CARGO_TARGET_DIR="$here/target/$cluster" \
        CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER="$linker" \
        CARGO_TARGET_BPFEL_UNKNOWN_NONE_RUSTFLAGS="${flags[*]}" \
        LD_LIBRARY_PATH="$sysroot/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
        cargo +nightly build --release --locked --features "$cluster"
    mkdir -p "compiled/$cluster"
    for program in jobs nodes staking rewards; do
        cp "target/$cluster/bpfel-unknown-none/release/lib$program.so" "compiled/$cluster/$program.so"
        chmod 644 "compiled/$cluster/$program.so"
    done
done

sources=$(find . -type f -regex '.*\.\(rs\|toml\|lock\|sh\)' -not -path '*/target/*' -printf '%P\0' |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)

entry() { # cluster program separator
    printf '      "%s": "%s"%s\n' "$2" "$(sha256sum "compiled/$1/$2.so" | cut -d' ' -f1)" "$3"
}

entries() { # cluster
    entry "$1" jobs ,
    entry "$1" nodes ,
    entry "$1" staking ,
    entry "$1" rewards ""
}

cat > compiled/manifest.json <<EOF
{
  "sources": "$sources",
  "rustc": "$(rustc +nightly --version)",
  "linker": "sbpf-linker $linker_version",
  "programs": {
    "devnet": {
$(entries devnet)
    },
    "mainnet": {
$(entries mainnet)
    }
  }
}
EOF
echo "wrote compiled/manifest.json" >&2
