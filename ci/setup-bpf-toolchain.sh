#!/bin/sh
# Sets up what compiles datapath/ebpf. Quick when all of it is there already.
#
# On Debian: the packages below bring a rustc with LLVM 22, the sources of `core` and the bpfel
# target, and the LLVM libraries that bpf-linker links against. Nothing that rustup manages is
# touched: Debian's compiler is /usr/bin/rustc.
# Elsewhere: a nightly toolchain with rust-src, and an LLVM that bpf-linker can link against.
#
# bpf-linker goes to target/bpf-toolchain in the repository, so that no version installed for another
# project is replaced. `cargo xtask objects` looks there first, then on PATH.
set -eu

BPF_LINKER_VERSION=0.13.0
LLVM=22
PACKAGES="rustc-web cargo-web rust-web-src llvm-$LLVM-dev clang-$LLVM"

root=$(cd "$(dirname "$0")/.." && pwd)
tools="${CARGO_TARGET_DIR:-$root/target}/bpf-toolchain"

say() { printf 'bpf toolchain: %s\n' "$*"; }
fail() { printf 'bpf toolchain: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

installed() {
    dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

debian_packages() {
    missing=
    for package in $PACKAGES; do
        installed "$package" || missing="$missing $package"
    done
    [ -z "$missing" ] && return
    say "installing$missing"
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing
}

nightly() {
    command -v rustup >/dev/null ||
        fail "this is not a Debian that has rustc-web; install rustup, then run this again"
    say "no rustc-web here: using a nightly toolchain with rust-src"
    rustup toolchain install nightly --profile minimal --component rust-src
}

linker() {
    if [ "$("$tools/bin/bpf-linker" --version 2>/dev/null)" = "bpf-linker $BPF_LINKER_VERSION" ]; then
        return
    fi
    [ -x "/usr/lib/llvm-$LLVM/bin/llvm-config" ] ||
        command -v "llvm-config" >/dev/null ||
        fail "LLVM $LLVM with its headers is missing (llvm-config is not on PATH)"
    command -v cargo >/dev/null || fail "cargo is not on PATH"
    say "building bpf-linker $BPF_LINKER_VERSION"
    # Its build asks the first llvm-config on PATH.
    PATH="/usr/lib/llvm-$LLVM/bin:$PATH" cargo install bpf-linker \
        --version "=$BPF_LINKER_VERSION" --locked --force \
        --no-default-features --features "llvm-$LLVM" \
        --root "$tools" --target-dir "$tools/build"
    rm -rf "$tools/build"
}

if command -v apt-cache >/dev/null && { installed rustc-web || apt-cache show rustc-web >/dev/null 2>&1; }; then
    debian_packages
else
    nightly
fi
linker
say "ready: $("$tools/bin/bpf-linker" --version)"
