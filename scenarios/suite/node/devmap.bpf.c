// Programs that redirect by maps of devices, and programs in these maps' entries.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c devmap.bpf.c -o devmap.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} hashed SEC(".maps");

/* Without room for programs. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} slim SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpf_cpumap_val);
} cpus SEC(".maps");

struct sight {
	__u32 packets;
	__u32 ingress;
	__u32 queue;
	/* Bytes of metadata, and what stands in them, of all packets together. */
	__u32 metadata;
	__u32 left;
	__u32 length;
};

/* By the device that packets leave by. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct sight);
} sights SEC(".maps");

static __always_inline struct iphdr *ip_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	return ip;
}

/* The destination port of a datagram, which says under which key to look. */
static __always_inline __u32 key_of(struct xdp_md *ctx)
{
	struct iphdr *ip = ip_of(ctx);
	struct udphdr *udp = (void *)(ip + 1);

	if (!ip || (void *)(udp + 1) > (void *)(long)ctx->data_end)
		return 99;
	return bpf_ntohs(udp->dest);
}

SEC("xdp")
int by_index(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, key_of(ctx), XDP_PASS);
}

SEC("xdp")
int by_key(struct xdp_md *ctx)
{
	return bpf_redirect_map(&hashed, key_of(ctx), XDP_DROP);
}

SEC("xdp")
int to_all(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST);
}

SEC("xdp")
int to_others(struct xdp_md *ctx)
{
	return bpf_redirect_map(&hashed, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

/* Leaves something for those behind. */
SEC("xdp")
int with_metadata(struct xdp_md *ctx)
{
	__u32 *left;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*left)))
		return XDP_DROP;
	left = (void *)(long)ctx->data_meta;
	if ((void *)(left + 1) > (void *)(long)ctx->data)
		return XDP_DROP;
	*left = 0xcafe;
	return bpf_redirect_map(&ports, key_of(ctx), XDP_PASS);
}

static __always_inline void note(__u32 where, __u32 bytes, __u32 left)
{
	struct sight *known = bpf_map_lookup_elem(&sights, &where);
	struct sight sight = {
		.packets = known ? known->packets + 1 : 1,
		.metadata = known ? known->metadata + bytes : bytes,
		.left = known ? known->left + left : left,
	};

	bpf_map_update_elem(&sights, &where, &sight, BPF_ANY);
}

/* What came over a wire, as its device's driver has it, and how much room there is before it. */
SEC("xdp")
int arrived(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u32 *meta = (void *)(long)ctx->data_meta, room = 0;
	__u32 left = (void *)(meta + 1) <= data ? *meta : 0;

	note(1000 + ctx->ingress_ifindex, data - (void *)meta, left);
	for (int i = 0; i < 300; i++, room++)
		if (bpf_xdp_adjust_head(ctx, -1))
			break;
	note(2000 + ctx->ingress_ifindex, room, 0);
	return bpf_xdp_adjust_head(ctx, room) ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int met(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	__u32 *meta = (void *)(long)skb->data_meta;
	__u32 left = (void *)(meta + 1) <= data ? *meta : 0;

	note(3000 + skb->ifindex, data - (void *)meta, left);
	return 0;
}

/* Notes what it sees, and leaves the lower half of the device's index in the type of service. */
SEC("xdp/devmap")
int mark(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u32 *meta = (void *)(long)ctx->data_meta, out = ctx->egress_ifindex;
	struct iphdr *ip = ip_of(ctx);
	struct sight *known = bpf_map_lookup_elem(&sights, &out);
	struct sight sight = {
		.packets = known ? known->packets + 1 : 1,
		.ingress = ctx->ingress_ifindex,
		.queue = ctx->rx_queue_index,
		.metadata = data - (void *)meta + (known ? known->metadata : 0),
		.left = known ? known->left : 0,
		.length = (void *)(long)ctx->data_end - data,
	};

	if ((void *)(meta + 1) <= data)
		sight.left += *meta;
	bpf_map_update_elem(&sights, &out, &sight, BPF_ANY);
	if (!ip)
		return XDP_PASS;
	ip->check = bpf_htons(bpf_ntohs(ip->check) + ip->tos - (out & 0xff));
	ip->tos = out;
	return XDP_PASS;
}

SEC("xdp/devmap")
int lose(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* Returns what a device's program may, and this one may not. */
SEC("xdp/devmap")
int back(struct xdp_md *ctx)
{
	return XDP_TX;
}

/* Another header before the packet. */
SEC("xdp/devmap")
int tagged(struct xdp_md *ctx)
{
	__u8 *data, *end;

	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN + 4 > end)
		return XDP_ABORTED;
	__builtin_memmove(data, data + 4, 12);
	data[12] = 0x81;
	data[13] = 0;
	data[14] = 0;
	data[15] = 5;
	return XDP_PASS;
}

SEC("xdp/cpumap")
int elsewhere(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
