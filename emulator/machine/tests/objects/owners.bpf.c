// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 OR MIT
// Maps that belong to programs of one kind, and programs of others that refer to them.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("xdp")
int plain(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 0, XDP_PASS);
}

SEC("xdp.frags")
int fragments(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 1, XDP_PASS);
}

SEC("xdp")
int alike(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 2, XDP_PASS);
}

SEC("tc")
int classifier(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &next, 0);
	return 0;
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &next, 0);
	return 0;
}

SEC("cgroup/connect4")
int connect(struct bpf_sock_addr *address)
{
	bpf_tail_call(address, &next, 1);
	return 1;
}

SEC("cgroup/connect6")
int connect_too(struct bpf_sock_addr *address)
{
	bpf_tail_call(address, &next, 1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
