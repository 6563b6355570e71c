#!/bin/sh
# Sets up what emulator/node/tests/objects compares with: bpftool, whose libbpf loads objects into the kernel, and the
# objects that xdp-tools and libxdp ship. Quick when all of it is there already.
set -eu

PACKAGES="bpftool xdp-tools"

fail() { printf 'objects of others: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

installed() {
    dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

command -v apt-get >/dev/null || fail "this installs Debian's packages $PACKAGES; elsewhere install these yourself"
missing=
for package in $PACKAGES; do
    installed "$package" || missing="$missing $package"
done
if [ -n "$missing" ]; then
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi
