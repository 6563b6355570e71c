// A program at a device that loses what is longer than a scenario says, and a pair at sockets that count what they see.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c losses.bpf.c -o losses.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

/* Bytes with the Ethernet header. */
volatile const __u32 LONGEST = 0;

SEC("tc")
int no_longer(struct __sk_buff *skb)
{
	return skb->len > LONGEST ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
