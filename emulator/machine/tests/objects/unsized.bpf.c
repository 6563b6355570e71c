// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 OR MIT
// What loaders fill in: sizes of maps, whether the kernel has something.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

typedef _Bool bool;

extern bool LINUX_HAS_BPF_COOKIE __kconfig;
extern int LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern bool CONFIG_TWICE __kconfig __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
} events SEC(".maps");

SEC("xdp")
int sizes(struct xdp_md *ctx)
{
	__u32 last = 6;
	__u64 *value = bpf_map_lookup_elem(&counts, &last);

	return value ? bpf_ringbuf_query(&events, BPF_RB_RING_SIZE) : -1;
}

SEC("xdp")
int has(struct xdp_md *ctx)
{
	return LINUX_HAS_BPF_COOKIE + LINUX_HAS_SYSCALL_WRAPPER + 10 * CONFIG_TWICE;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
