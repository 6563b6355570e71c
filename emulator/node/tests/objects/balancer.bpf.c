/* In the style of a layer-4 load balancer on XDP: virtual addresses, rings of hashes, a cache of
 * connections in a map of maps, and packets that leave inside of another IP header. */
#include "packet.h"

#define RING 31
#define VIPS 8
#define REALS 16

struct vip {
	__be32 address;
	__u16 port;
	__u8 proto;
	__u8 pad;
};

struct vip_meta {
	__u32 flags;
	__u32 number;
};

struct real {
	__be32 address;
	__u8 flags;
	__u8 pad[3];
};

struct stats {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct vip);
	__type(value, struct vip_meta);
	__uint(max_entries, VIPS);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, RING * VIPS);
} rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct real);
	__uint(max_entries, REALS);
} reals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct stats);
	__uint(max_entries, REALS);
} stats SEC(".maps");

struct cache {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow);
	__type(value, __u32);
	__uint(max_entries, 1024);
};

struct cache cache0 SEC(".maps"), cache1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 4);
	__array(values, struct cache);
} caches SEC(".maps") = {
	.values = { [0] = &cache0, [1] = &cache1 },
};

const volatile __be32 tunnel_source = bpf_htonl(0x0a0000fe);
const volatile __u32 learning = 1;
static volatile const __u32 seed = 0x2eb1e5a7;

static __always_inline __u32 rol(__u32 word, unsigned int shift)
{
	return (word << shift) | (word >> ((-shift) & 31));
}

__attribute__((noinline)) static __u32 mix(__u32 a, __u32 b, __u32 c)
{
	a -= c; a ^= rol(c, 4); c += b;
	b -= a; b ^= rol(a, 6); a += c;
	c -= b; c ^= rol(b, 8); b += a;
	a -= c; a ^= rol(c, 16); c += b;
	b -= a; b ^= rol(a, 19); a += c;
	c -= b; c ^= rol(b, 4);
	return c;
}

__attribute__((noinline)) static int fold(__u64 sum)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		if (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static __always_inline struct real *choose(struct flow *flow, struct vip_meta *meta)
{
	__u32 which = meta->number & 1, slot, *position;
	void *cache = bpf_map_lookup_elem(&caches, &which);

	if (!cache)
		return NULL;
	position = bpf_map_lookup_elem(cache, flow);
	if (!position) {
		__u32 hash = mix(flow->saddr + seed, (__u32)flow->sport << 16 | flow->dport, flow->proto);

		slot = meta->number * RING + hash % RING;
		position = bpf_map_lookup_elem(&rings, &slot);
		if (!position)
			return NULL;
		if (learning)
			bpf_map_update_elem(cache, flow, position, BPF_ANY);
	}
	slot = *position;
	return bpf_map_lookup_elem(&reals, &slot);
}

static __always_inline int encapsulate(struct xdp_md *xdp, struct real *real, __u16 len)
{
	struct ethhdr *old, *new;
	struct iphdr *ip;
	void *data, *end;
	__u16 *word;
	__u64 sum = 0;

	if (bpf_xdp_adjust_head(xdp, -(int)sizeof(*ip)))
		return XDP_DROP;
	data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	new = data;
	ip = data + sizeof(*new);
	old = data + sizeof(*ip);
	if ((void *)(old + 1) > end || (void *)(ip + 1) > end)
		return XDP_DROP;
	__builtin_memmove(new->h_dest, old->h_source, 6);
	__builtin_memmove(new->h_source, old->h_dest, 6);
	new->h_proto = bpf_htons(ETH_P_IP);
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(len + sizeof(*ip));
	ip->id = 0;
	ip->frag_off = 0;
	ip->ttl = 64;
	ip->protocol = IPPROTO_IPIP;
	ip->check = 0;
	ip->saddr = tunnel_source ^ (real->address & 0xff000000);
	ip->daddr = real->address;
	word = (__u16 *)ip;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += *word++;
	ip->check = fold(sum);
	return XDP_TX;
}

SEC("xdp")
int balance(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct flow flow = {};
	struct vip vip = {};
	struct vip_meta *meta;
	struct stats *count;
	struct real *real;
	__u32 number;
	__be16 *ports;
	__u16 len;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(0x3fff))
		return XDP_DROP;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	ports = (void *)(ip + 1);
	if ((void *)(ports + 2) > end)
		return XDP_DROP;
	flow.saddr = ip->saddr;
	flow.daddr = ip->daddr;
	flow.sport = ports[0];
	flow.dport = ports[1];
	flow.proto = ip->protocol;
	vip.address = ip->daddr;
	vip.port = ports[1];
	vip.proto = ip->protocol;
	meta = bpf_map_lookup_elem(&vips, &vip);
	if (!meta) {
		/* All addresses are served on demand, so that tests need not fill maps. */
		struct vip_meta fresh = { .number = vip.port & 1 };
		__u32 slot, i;

		bpf_map_update_elem(&vips, &vip, &fresh, BPF_ANY);
		for (i = 0; i < RING; i++) {
			__u32 value = i % REALS;

			slot = fresh.number * RING + i;
			bpf_map_update_elem(&rings, &slot, &value, BPF_ANY);
		}
		for (i = 0; i < REALS; i++) {
			struct real made = { .address = bpf_htonl(0x0a010000 + i) };

			bpf_map_update_elem(&reals, &i, &made, BPF_ANY);
		}
		meta = bpf_map_lookup_elem(&vips, &vip);
		if (!meta)
			return XDP_ABORTED;
	}
	real = choose(&flow, meta);
	if (!real)
		return XDP_DROP;
	len = bpf_ntohs(ip->tot_len);
	number = bpf_ntohl(real->address) % REALS;
	count = bpf_map_lookup_elem(&stats, &number);
	if (count) {
		count->packets++;
		count->bytes += len;
	}
	return encapsulate(xdp, real, len);
}

char _license[] SEC("license") = "GPL";
