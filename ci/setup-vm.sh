#!/bin/sh
# Fetches what `cargo xtask vm` boots: qemu, and Debian's cloud kernels with their modules.
# Quick when all of it is there already. Nothing is installed as this machine's own kernel: the
# packages are unpacked below target/vm/kernels.
#
#     ci/setup-vm.sh [SERIES...]       6.1 and 6.12 unless named
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
kernels="${CARGO_TARGET_DIR:-$root/target}/vm/kernels"
PACKAGES="qemu-system-x86 kmod xz-utils"

say() { printf 'kernels for vms: %s\n' "$*"; }
fail() { printf 'kernels for vms: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

installed() {
    dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# The package that holds the kernel of a series, by way of Debian's meta-packages.
kernel_package() {
    for meta in "linux-image-$1-cloud-amd64" linux-image-cloud-amd64; do
        package=$(apt-cache depends --important "$meta" 2>/dev/null |
            awk '/Depends: linux-image/ { print $2; exit }')
        case "$package" in
            "linux-image-$1."*) printf '%s\n' "$package"; return ;;
        esac
    done
    return 1
}

fetch() {
    series=$1
    folder="$kernels/$series"
    [ -e "$folder/ready" ] && return
    package=$(kernel_package "$series") || fail "no package holds a cloud kernel $series"
    say "fetching $package"
    rm -rf "$folder"
    mkdir -p "$folder/download"
    (cd "$folder/download" && apt-get download -q "$package" 2>/dev/null) ||
        fail "$package could not be downloaded"
    dpkg-deb -x "$folder/download/"*.deb "$folder"
    rm -rf "$folder/download"
    version=$(ls "$folder/lib/modules")
    PATH="$PATH:/usr/sbin:/sbin" depmod -b "$folder" "$version"
    touch "$folder/ready"
}

command -v apt-get >/dev/null ||
    fail "this fetches Debian's packages; elsewhere put boot/ and lib/modules/ of a kernel into target/vm/kernels/NAME yourself"
[ $# -gt 0 ] || set -- 6.1 6.12

missing=
for package in $PACKAGES; do
    installed "$package" || missing="$missing $package"
done
for series in "$@"; do
    [ -e "$kernels/$series/ready" ] || missing="$missing "
done
if [ -n "$missing" ]; then
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi
for series in "$@"; do
    fetch "$series"
    say "ready: $series ($(ls "$kernels/$series/lib/modules"))"
done
