// Programs of cgroups at what their sockets send and get. Each tells what it saw; packets to one port are lost.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -c filters.bpf.c -o filters.bpf.o
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The ports to which nothing is sent, and from which nothing is taken. */
#define KEPT 4040
#define IGNORED 5050

struct record {
	__u32 egress;
	__u32 ifindex;
	__u32 ingress_ifindex;
	__u32 mark;
	__u32 len;
	/* In host byte order. */
	__u16 source;
	__u16 destination;
	/* Whether the packet is one of the socket's. */
	__u32 owned;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} told SEC(".maps");

static __always_inline int tell(struct __sk_buff *skb, __u32 egress)
{
	struct record record = {
		.egress = egress,
		.ifindex = skb->ifindex,
		.ingress_ifindex = skb->ingress_ifindex,
		.mark = skb->mark,
		.len = skb->len,
		.owned = bpf_get_socket_cookie(skb) != 0,
	};
	__u32 at = skb->protocol == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	struct udphdr udp;

	if (bpf_skb_load_bytes(skb, at, &udp, sizeof(udp)))
		return 1;
	record.source = bpf_ntohs(udp.source);
	record.destination = bpf_ntohs(udp.dest);
	bpf_ringbuf_output(&told, &record, sizeof(record), 0);
	return egress ? record.destination != KEPT : record.source != IGNORED;
}

SEC("cgroup_skb/egress")
int leaving(struct __sk_buff *skb)
{
	return tell(skb, 1);
}

SEC("cgroup_skb/ingress")
int coming(struct __sk_buff *skb)
{
	return tell(skb, 0);
}

char _license[] SEC("license") = "GPL";
