// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 OR MIT
// The half of a statically linked object that has the entries; see linked_rules.bpf.c.

#include "linked.h"

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} shared_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} weights SEC(".maps");

static volatile __u32 seen = 1000;
extern volatile const __u32 limit;
extern __u64 total SEC(".data.totals");
__u64 last SEC(".data.totals") = 77;

static __noinline __u32 weigh(__u32 len)
{
	seen -= 1;
	return len ^ seen;
}

__weak int verdict_of(__u32 len, __u32 port)
{
	return XDP_ABORTED;
}

__weak int flavour(void)
{
	return 2;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 len = end - data, port = 0, slot = 1;
	__u64 *count, *value;

	if (data + 38 <= end)
		port = *(__u8 *)(data + 37);
	slot = port & 3;
	count = bpf_map_lookup_elem(&shared_counts, &slot);
	if (count)
		*count += 1;
	slot &= 1;
	value = bpf_map_lookup_elem(&weights, &slot);
	if (value)
		*value = weigh(len) + limit;
	last = total;
	if (flavour() != 1)
		return XDP_ABORTED;
	return verdict_of(len, port);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
