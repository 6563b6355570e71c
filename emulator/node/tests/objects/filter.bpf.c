/* In the style of packet filters on XDP: rules in per-CPU hashes, several programs in one object, a
 * queue and a stack of what was met, a bloom filter, a lock. */
#include "packet.h"

enum { SRC = 1, DST = 2, TCP = 4, UDP = 8, ALLOW = 16 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 256);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64[2]);
	__uint(max_entries, 5);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, __u32);
	__uint(max_entries, 8);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__type(value, __u32);
	__uint(max_entries, 8);
} stack SEC(".maps");

struct guarded {
	struct bpf_spin_lock lock;
	__u32 count;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct guarded);
	__uint(max_entries, 2);
} guarded SEC(".maps");

static __always_inline int verdict(struct xdp_md *ctx, __u32 action)
{
	__u64 *counts = bpf_map_lookup_elem(&verdicts, &action);

	if (!counts)
		return XDP_ABORTED;
	counts[0]++;
	counts[1] += ctx->data_end - ctx->data;
	return action;
}

static __always_inline int rule(__u32 port, __u64 mode)
{
	__u64 *found = bpf_map_lookup_elem(&ports, &port), fresh = mode;

	if (!found) {
		bpf_map_update_elem(&ports, &port, &fresh, BPF_NOEXIST);
		return 0;
	}
	*found += 1ull << 32;
	return (*found & mode & (SRC | DST)) && *found >> 34;
}

static void note(struct xdp_md *ctx, __u32 port)
{
	struct guarded *value;
	__u32 key = port & 1, got = 0;

	if (bpf_map_push_elem(&queue, &port, 0))
		bpf_map_pop_elem(&queue, &got);
	bpf_map_push_elem(&stack, &port, BPF_EXIST);
	if (got && bpf_map_peek_elem(&stack, &got) == 0)
		key ^= got == port;
	value = bpf_map_lookup_elem(&guarded, &key);
	if (!value)
		return;
	bpf_spin_lock(&value->lock);
	value->count++;
	value->bytes += got;
	bpf_spin_unlock(&value->lock);
}

SEC("xdp")
int filter_ports(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct udphdr *udp;

	if ((void *)(ip + 1) > end)
		return verdict(ctx, XDP_ABORTED);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return verdict(ctx, XDP_PASS);
	udp = (void *)ip + ip->ihl * 4;
	if ((void *)(udp + 1) > end)
		return verdict(ctx, XDP_PASS);
	if (ip->protocol != IPPROTO_UDP && ip->protocol != IPPROTO_TCP)
		return verdict(ctx, XDP_PASS);
	note(ctx, bpf_ntohs(udp->dest));
	if (rule(udp->source, SRC | ALLOW) || rule(udp->dest, DST | ALLOW))
		return verdict(ctx, XDP_DROP);
	return verdict(ctx, XDP_PASS);
}

SEC("xdp")
int filter_addresses(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_ABORTED;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end) {
		__u32 *word = (void *)&ip6->saddr, sum = 0;

		for (int i = 0; i < 8; i++)
			sum = (sum << 3 | sum >> 29) ^ word[i];
		return rule((sum & 0xffff) | 0x10000, SRC) ? XDP_DROP : XDP_TX;
	}
	return rule(eth->h_source[5] | 0x20000, SRC) ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
