// A transparent proxy at a device: packets for a range of ports are given to the socket of one port, whatever the
// sender believes to talk to.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c assign.bpf.c -o assign.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The proxy's port, in host byte order. */
volatile const __u16 PROXY = 15001;
#define FIRST 7000
#define LAST 7099

struct verdict {
	/* IPPROTO_TCP or IPPROTO_UDP. */
	__u32 protocol;
	/* BPF_TCP_* of the socket that was found; 0 when there was none. */
	__u32 state;
	/* What bpf_sk_assign said. */
	__s64 assigned;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} verdicts SEC(".maps");

static __always_inline void tell(__u32 protocol, __u32 state, __s64 assigned)
{
	struct verdict verdict = { protocol, state, assigned };

	bpf_ringbuf_output(&verdicts, &verdict, sizeof(verdict), 0);
}

static __always_inline int give(struct __sk_buff *skb, struct bpf_sock *sk, __u32 protocol)
{
	__u32 state = sk->state;
	__s64 assigned = bpf_sk_assign(skb, sk, 0);

	bpf_sk_release(sk);
	tell(protocol, state, assigned);
	return assigned ? TC_ACT_SHOT : TC_ACT_OK;
}

/* The connection that the segment is of, else who listens at the proxy's port. */
static __always_inline int give_tcp(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size, __be16 *port)
{
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);

	if (sk) {
		if (sk->state != BPF_TCP_LISTEN)
			return give(skb, sk, IPPROTO_TCP);
		bpf_sk_release(sk);
	}
	*port = bpf_htons(PROXY);
	sk = bpf_skc_lookup_tcp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (sk)
		return give(skb, sk, IPPROTO_TCP);
	tell(IPPROTO_TCP, 0, 0);
	return TC_ACT_OK;
}

static __always_inline int give_udp(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 size, __be16 *port)
{
	struct bpf_sock *sk;

	*port = bpf_htons(PROXY);
	sk = bpf_sk_lookup_udp(skb, tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (sk)
		return give(skb, sk, IPPROTO_UDP);
	tell(IPPROTO_UDP, 0, 0);
	return TC_ACT_OK;
}

static __always_inline int in_range(__be16 port)
{
	return bpf_ntohs(port) >= FIRST && bpf_ntohs(port) <= LAST;
}

SEC("tc")
int proxy(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct bpf_sock_tuple tuple = {};
	__u8 protocol;
	/* TCP and UDP begin alike. */
	struct udphdr *ports;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > end || ip->ihl != 5)
			return TC_ACT_OK;
		ports = (void *)(ip + 1);
		if ((void *)(ports + 1) > end || !in_range(ports->dest))
			return TC_ACT_OK;
		tuple.ipv4.saddr = ip->saddr;
		tuple.ipv4.daddr = ip->daddr;
		tuple.ipv4.sport = ports->source;
		tuple.ipv4.dport = ports->dest;
		if (ip->protocol == IPPROTO_TCP)
			return give_tcp(skb, &tuple, sizeof(tuple.ipv4), &tuple.ipv4.dport);
		if (ip->protocol == IPPROTO_UDP)
			return give_udp(skb, &tuple, sizeof(tuple.ipv4), &tuple.ipv4.dport);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > end)
			return TC_ACT_OK;
		ports = (void *)(ip + 1);
		if ((void *)(ports + 1) > end || !in_range(ports->dest))
			return TC_ACT_OK;
		__builtin_memcpy(tuple.ipv6.saddr, &ip->saddr, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &ip->daddr, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = ports->source;
		tuple.ipv6.dport = ports->dest;
		if (ip->nexthdr == IPPROTO_TCP)
			return give_tcp(skb, &tuple, sizeof(tuple.ipv6), &tuple.ipv6.dport);
		if (ip->nexthdr == IPPROTO_UDP)
			return give_udp(skb, &tuple, sizeof(tuple.ipv6), &tuple.ipv6.dport);
	}
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
