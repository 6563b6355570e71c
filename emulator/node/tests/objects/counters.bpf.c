/* In the style of the kernel's samples: counts by protocol on each CPU, VLAN tags, an echo. */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, long);
	__uint(max_entries, 256);
} rxcnt SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u16);
	__type(value, __u64);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ethertypes SEC(".maps");

static __always_inline void count(__u32 index)
{
	long *value = bpf_map_lookup_elem(&rxcnt, &index);

	if (value)
		*value += 1;
}

static void swap_macs(void *data)
{
	unsigned short *p = data, d[3];

	d[0] = p[0];
	d[1] = p[1];
	d[2] = p[2];
	p[0] = p[3];
	p[1] = p[4];
	p[2] = p[5];
	p[3] = d[0];
	p[4] = d[1];
	p[5] = d[2];
}

static int parse_ipv4(void *data, __u64 off, void *end)
{
	struct iphdr *ip = data + off;

	if ((void *)(ip + 1) > end)
		return 0;
	return ip->protocol;
}

static int parse_ipv6(void *data, __u64 off, void *end)
{
	struct ipv6hdr *ip = data + off;

	if ((void *)(ip + 1) > end)
		return 0;
	return ip->nexthdr;
}

SEC("xdp")
int xdp_count(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end, *data = (void *)(long)ctx->data;
	struct ethhdr *eth = data;
	__u64 off = sizeof(*eth), one = 1, *seen;
	__u16 proto;
	__u32 ipproto;

	if (data + off > end)
		return XDP_DROP;
	proto = eth->h_proto;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct vlan *vlan = data + off;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		off += sizeof(*vlan);
		if (data + off > end)
			return XDP_DROP;
		proto = vlan->proto;
	}
	seen = bpf_map_lookup_elem(&ethertypes, &proto);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&ethertypes, &proto, &one, BPF_NOEXIST);
	if (proto == bpf_htons(ETH_P_IP))
		ipproto = parse_ipv4(data, off, end);
	else if (proto == bpf_htons(ETH_P_IPV6))
		ipproto = parse_ipv6(data, off, end);
	else
		ipproto = 0;
	count(ipproto);
	if (ipproto == IPPROTO_UDP) {
		swap_macs(data);
		return XDP_TX;
	}
	return ipproto == IPPROTO_TCP ? XDP_PASS : XDP_DROP;
}

/* A second program in the same section, by another name. */
SEC("xdp")
int xdp_lengths(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;

	count(len & 255);
	if (len > 200 && bpf_xdp_adjust_tail(ctx, -64) == 0)
		return XDP_TX;
	return XDP_PASS;
}

SEC("socket")
int socket_count(struct __sk_buff *skb)
{
	int off = skb->protocol == bpf_htons(ETH_P_IP) ? 9 : 6;
	__u32 index = 0;

	bpf_skb_load_bytes(skb, off, &index, 1);
	count(index & 255);
	return skb->len / 2;
}

char _license[] SEC("license") = "GPL";
