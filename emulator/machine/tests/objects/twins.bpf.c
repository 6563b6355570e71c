// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 OR MIT
// Compiled twice and linked: static maps, variables and functions of one name in each half.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifdef SECOND
#define PROGRAM second
#define STEP 100
#else
#define PROGRAM first
#define STEP 1
#endif

static struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static volatile __u32 step = STEP;

static __noinline __u64 count(__u32 by)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&counts, &zero);

	return value ? *value += by : 0;
}

SEC("xdp")
int PROGRAM(struct xdp_md *ctx)
{
	return count(step);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
