#!/bin/sh
# Compiles the objects beside this script. They are committed: the tests need no compiler.
# Needs clang-22 and clang-14 (another clang by CLANG and OLD_CLANG) and libbpf's headers (libbpf-dev), and
# bpftool.
set -eu
cd "$(dirname "$0")"

clang=${CLANG:-clang-22}
old_clang=${OLD_CLANG:-clang-14}
# asm/types.h of Debian lies in the folder of the host's architecture.
include=/usr/include/$(uname -m)-linux-gnu

compile() { # compiler, source without ending, object without ending, further flags
	compiler=$1 source=$2 object=$3
	shift 3
	"$compiler" -target bpf -g -O2 -Wall -Werror -I"$include" -fdebug-prefix-map="$PWD"=. \
		"$@" -c "$source.bpf.c" -o "$object.bpf.o"
	echo "$object.bpf.o"
}

compile "$clang" globals globals -mcpu=v3
compile "$clang" core core -mcpu=v3
compile "$clang" core_target core_target
compile "$clang" vmlinux vmlinux -mcpu=v3
compile "$clang" kernel kernel -mcpu=v3
compile "$clang" calls calls -mcpu=v2
compile "$clang" nested nested -mcpu=v3
compile "$clang" legacy_layouts legacy_layouts
compile "$clang" iproute2 iproute2 -mcpu=v1
compile "$clang" refused refused -mcpu=v3
compile "$clang" opaque opaque -mcpu=v3
compile "$clang" foreign foreign -mcpu=v4
compile "$clang" unhooked unhooked -mcpu=v3
compile "$clang" variables variables -mcpu=v3
compile "$old_clang" variables variables_old -mcpu=v3
compile "$clang" styles styles_v3 -mcpu=v3
compile "$clang" styles styles_v4 -mcpu=v4 -Os
compile "$clang" instructions instructions_v3 -mcpu=v3
compile "$clang" instructions instructions_v4 -mcpu=v4
# As old compilers leave them.
compile "$old_clang" legacy legacy_old
compile "$old_clang" styles styles_old -mcpu=v2
compile "$old_clang" globals globals_old
compile "$clang" legacy legacy
compile "$clang" owners owners -mcpu=v3
compile "$clang" unsized unsized -mcpu=v3
compile "$clang" twins twins_first
compile "$clang" twins twins_second -DSECOND
bpftool gen object twins.bpf.o twins_first.bpf.o twins_second.bpf.o
rm twins_first.bpf.o twins_second.bpf.o

# Too plain for the options of `compile`.
"$clang" -target bpf -c unnamed.bpf.s -o unnamed.bpf.o
echo unnamed.bpf.o
