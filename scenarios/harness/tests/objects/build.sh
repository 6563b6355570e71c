#!/bin/sh
# Compiles the programs of the tests of the kernel backend. Needs clang and the kernel's headers for user space.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-22}
headers=/usr/include/$(uname -m)-linux-gnu
"$clang" -target bpf -mcpu=v3 -O2 -g -Wall -I"$headers" -c hooks.bpf.c -o hooks.bpf.o
"$clang" -target bpf -mcpu=v3 -O2 -Wall -I"$headers" -c plain.bpf.c -o plain.bpf.o
