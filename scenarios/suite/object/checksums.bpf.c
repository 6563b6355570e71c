// Rewrites addresses and a port, and has each kind of checksum helper set the checksums right.
// clang -target bpf -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c checksums.bpf.c -o checksums.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_OFFSET ETH_HLEN
#define L4_OFFSET (ETH_HLEN + sizeof(struct iphdr))

SEC("tc")
int rewrite(struct __sk_buff *skb)
{
	struct iphdr ip;
	__be16 port, new_port = bpf_htons(8080);
	__be32 new_source = bpf_htonl(0xcb007107); /* 203.0.113.7 */
	__be32 new_destination = bpf_htonl(0x0a01ff02); /* 10.1.255.2 */
	__u32 check, flags = BPF_F_PSEUDO_HDR;

	if (bpf_skb_load_bytes(skb, IP_OFFSET, &ip, sizeof(ip)) < 0 || ip.ihl != 5)
		return TC_ACT_OK;
	if (ip.protocol == IPPROTO_TCP)
		check = L4_OFFSET + offsetof(struct tcphdr, check);
	else if (ip.protocol == IPPROTO_UDP)
		check = L4_OFFSET + offsetof(struct udphdr, check), flags |= BPF_F_MARK_MANGLED_0;
	else
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, L4_OFFSET + 2, &port, sizeof(port)) < 0)
		return TC_ACT_SHOT;

	/* The source by the difference of two buffers, the destination and the port by their values. */
	__s64 difference = bpf_csum_diff(&ip.saddr, 4, &new_source, 4, 0);
	if (bpf_l4_csum_replace(skb, check, 0, difference, flags) ||
	    bpf_l4_csum_replace(skb, check, ip.daddr, new_destination, flags | 4) ||
	    bpf_l4_csum_replace(skb, check, port, new_port, (flags & ~BPF_F_PSEUDO_HDR) | 2))
		return TC_ACT_SHOT;
	if (bpf_l3_csum_replace(skb, IP_OFFSET + offsetof(struct iphdr, check), 0, difference, 0) ||
	    bpf_l3_csum_replace(skb, IP_OFFSET + offsetof(struct iphdr, check), ip.daddr, new_destination, 4))
		return TC_ACT_SHOT;
	bpf_skb_store_bytes(skb, IP_OFFSET + offsetof(struct iphdr, saddr), &new_source, 4, 0);
	bpf_skb_store_bytes(skb, IP_OFFSET + offsetof(struct iphdr, daddr), &new_destination, 4, 0);
	bpf_skb_store_bytes(skb, L4_OFFSET + 2, &new_port, sizeof(new_port), 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
