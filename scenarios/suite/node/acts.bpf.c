// Programs that do one thing each, at the device and with the values that a scenario gives them.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c acts.bpf.c -o acts.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10

/* The device that packets are sent to. */
volatile const __u32 TARGET = 0;
/* What a program returns that has no more to say. */
volatile const __s32 VERDICT = 0;
/* The other end of a tunnel, in host byte order, and the network identifier. */
volatile const __u32 REMOTE = 0;
volatile const __u32 VNI = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} seen SEC(".maps");

/* How often bpf_fib_lookup gave each answer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} calls SEC(".maps");

static __always_inline void show(__u32 key, __u32 value)
{
	__u32 *place = bpf_map_lookup_elem(&seen, &key);

	if (place)
		*place = value;
}

/* Counts under a key. */
static __always_inline void count(__u32 key)
{
	__u32 *place = bpf_map_lookup_elem(&seen, &key);

	if (place)
		*place += 1;
}

SEC("tc")
int verdict(struct __sk_buff *skb)
{
	return VERDICT;
}

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	return bpf_redirect(TARGET, 0);
}

SEC("tc")
int redirect_in(struct __sk_buff *skb)
{
	return bpf_redirect(TARGET, BPF_F_INGRESS);
}

SEC("tc")
int redirect_peer(struct __sk_buff *skb)
{
	return bpf_redirect_peer(TARGET, 0);
}

SEC("tc")
int redirect_neigh(struct __sk_buff *skb)
{
	return bpf_redirect_neigh(TARGET, NULL, 0, 0);
}

SEC("tc")
int clone_redirect(struct __sk_buff *skb)
{
	show(0, bpf_clone_redirect(skb, TARGET, 0));
	return VERDICT;
}

SEC("tc")
int encapsulate(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = { .tunnel_id = VNI, .remote_ipv4 = REMOTE };

	show(1, bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX));
	return bpf_redirect(TARGET, 0);
}

SEC("tc")
int decapsulate(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {};

	show(2, bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0));
	show(3, key.tunnel_id);
	show(4, key.remote_ipv4);
	return bpf_redirect(TARGET, 0);
}

/* Asks for the way of a packet, and sends it that way if there is one. */
SEC("tc")
int fib(struct __sk_buff *skb)
{
	struct bpf_fib_lookup way = { .ifindex = skb->ingress_ifindex };
	__u32 answer, *times;
	int code;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0)
			return TC_ACT_SHOT;
		way.family = AF_INET;
		way.tos = ip.tos;
		way.l4_protocol = ip.protocol;
		way.tot_len = bpf_ntohs(ip.tot_len);
		way.ipv4_src = ip.saddr;
		way.ipv4_dst = ip.daddr;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0)
			return TC_ACT_SHOT;
		way.family = AF_INET6;
		way.l4_protocol = ip.nexthdr;
		way.tot_len = bpf_ntohs(ip.payload_len) + sizeof(ip);
		__builtin_memcpy(way.ipv6_src, &ip.saddr, sizeof(way.ipv6_src));
		__builtin_memcpy(way.ipv6_dst, &ip.daddr, sizeof(way.ipv6_dst));
	} else {
		return TC_ACT_OK;
	}
	code = bpf_fib_lookup(skb, &way, sizeof(way), 0);
	answer = code;
	times = bpf_map_lookup_elem(&answers, &answer);
	if (times)
		*times += 1;
	show(5, code);
	show(6, way.ifindex);
	show(7, way.mtu_result);
	if (code != BPF_FIB_LKUP_RET_SUCCESS)
		return TC_ACT_SHOT;
	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_dest), way.dmac, ETH_ALEN, 0);
	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_source), way.smac, ETH_ALEN, 0);
	return bpf_redirect(way.ifindex, 0);
}

/* Each of these leaves a trace in the mark; the next program sees it. */
SEC("tc")
int mark_and_next(struct __sk_buff *skb)
{
	skb->mark = skb->mark * 16 + 1;
	return -1;
}

SEC("tc")
int mark_and_verdict(struct __sk_buff *skb)
{
	skb->mark = skb->mark * 16 + 2;
	return VERDICT;
}

SEC("tc")
int show_mark(struct __sk_buff *skb)
{
	show(8, skb->mark);
	return -1;
}

/* Gives a packet back to the device that received it, again and again. */
SEC("tc")
int recirculate(struct __sk_buff *skb)
{
	count(9);
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

SEC("tc")
int call(struct __sk_buff *skb)
{
	count(10);
	bpf_tail_call(skb, &calls, 0);
	/* Nothing is there. */
	return TC_ACT_SHOT;
}

SEC("xdp")
int broadcast(struct xdp_md *xdp)
{
	return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

SEC("xdp")
int xdp_redirect(struct xdp_md *xdp)
{
	return bpf_redirect(TARGET, 0);
}

SEC("xdp")
int xdp_verdict(struct xdp_md *xdp)
{
	return VERDICT;
}

/* Writes what tc is to read in front of the packet. */
SEC("xdp")
int tell_tc(struct xdp_md *xdp)
{
	void *data;
	__u32 *told;

	if (bpf_xdp_adjust_meta(xdp, -(int)sizeof(*told)))
		return XDP_ABORTED;
	data = (void *)(long)xdp->data;
	told = (void *)(long)xdp->data_meta;
	if ((void *)(told + 1) > data)
		return XDP_ABORTED;
	*told = 0x7457;
	return XDP_PASS;
}

SEC("tc")
int hear_xdp(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	__u32 *told = (void *)(long)skb->data_meta;

	show(11, (void *)(told + 1) > data ? 0 : *told);
	return VERDICT;
}

char _license[] SEC("license") = "GPL";
