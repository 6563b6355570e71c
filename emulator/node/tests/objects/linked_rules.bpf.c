// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 OR MIT
// The half of a statically linked object that has the maps and the rules (`bpftool gen object`). Its other half,
// linked_entry.bpf.c, has variables and functions of the same names that are static there and here.

#include "linked.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} shared_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} lengths SEC(".maps");

static volatile __u32 seen;
volatile const __u32 limit = 100;
__u64 total SEC(".data.totals") = 5;
__u64 longest;
const volatile __u8 ports[4] SEC(".rodata.rules") = { 22, 80, 53, 0 };

static __noinline __u32 weigh(__u32 len)
{
	seen += 1;
	return len > limit ? 2 : 1;
}

// The other half has a weak one, which this one replaces.
int verdict_of(__u32 len, __u32 port)
{
	__u32 zero = 0, *value = bpf_map_lookup_elem(&lengths, &zero);

	if (value)
		*value += len;
	total += len;
	if (len > longest)
		longest = len;
	for (int i = 0; i < 4; i++)
		if (ports[i] && ports[i] == port)
			return XDP_DROP;
	return weigh(len) == 2 ? XDP_TX : XDP_PASS;
}

// Of two weak ones the first that is linked stays.
__weak int flavour(void)
{
	return 1;
}

SEC("xdp")
int rules_alone(struct xdp_md *ctx)
{
	return verdict_of(ctx->data_end - ctx->data, seen);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
