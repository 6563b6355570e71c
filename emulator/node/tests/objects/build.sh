#!/bin/sh
# Compiles the objects beside this script. They are committed: the tests need no compiler.
# Needs clang-22 and clang-14 (another clang by CLANG and OLD_CLANG) and libbpf's headers (libbpf-dev).
set -eu
cd "$(dirname "$0")"

clang=${CLANG:-clang-22}
old_clang=${OLD_CLANG:-clang-14}
include=/usr/include/$(uname -m)-linux-gnu

compile() { # compiler, source without ending, object without ending, further flags
	compiler=$1 source=$2 object=$3
	shift 3
	"$compiler" -target bpf -g -O2 -Wall -Werror -I"$include" -fdebug-prefix-map="$PWD"=. \
		"$@" -c "$source.bpf.c" -o "$object.bpf.o"
}

for source in counters balancer policy traced filter configured relocated externs; do
	compile "$clang" $source $source -mcpu=v3
	compile "$old_clang" $source ${source}_old -mcpu=v3
done
compile "$clang" traced traced_v4 -mcpu=v4
compile "$old_clang" balancer balancer_v2 -mcpu=v2
compile "$clang" configured configured_v2 -mcpu=v2

# Two halves, linked as libbpf's users do it: `bpftool gen object`.
for half in rules entry; do
	compile "$clang" linked_$half linked_$half -mcpu=v3
done
bpftool gen object linked.bpf.o linked_rules.bpf.o linked_entry.bpf.o
rm linked_rules.bpf.o linked_entry.bpf.o
