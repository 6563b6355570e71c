#!/bin/sh
# Compiles the programs of the tests. Needs clang and the kernel's headers for user space.
set -eu
cd "$(dirname "$0")"
clang=${CLANG:-clang-22}
headers=/usr/include/$(uname -m)-linux-gnu
# No path of the machine that compiles gets into an object.
here="-fdebug-compilation-dir=. -ffile-prefix-map=$PWD=."
"$clang" $here -target bpf -mcpu=v3 -O2 -g -Wall -I"$headers" -c hooks.bpf.c -o hooks.bpf.o
"$clang" $here -target bpf -mcpu=v3 -O2 -Wall -I"$headers" -c plain.bpf.c -o plain.bpf.o
"$clang" $here -target bpf -mcpu=v3 -O2 -g -Wall -I"$headers" -c wild.bpf.c -o wild.bpf.o
"$clang" $here -target bpf -mcpu=v3 -O2 -g -Wall -I"$headers" -c unwritten.bpf.c -o unwritten.bpf.o
"$clang" $here -target bpf -mcpu=v3 -O2 -g -Wall -I"$headers" -c orders.bpf.c -o orders.bpf.o
"$clang" $here -target bpf -mcpu=v3 -O2 -g -Wall -I"$headers" -c records.bpf.c -o records.bpf.o
