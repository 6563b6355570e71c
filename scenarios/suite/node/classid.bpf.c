// Programs that classify packets and tell what others have said of them.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c classid.bpf.c -o classid.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

volatile const __u32 CLASS = 0;
volatile const __s32 VERDICT = 0;

SEC("tc")
int classify(struct __sk_buff *skb)
{
	skb->tc_classid = CLASS;
	return VERDICT;
}

/* The mark is the class, and above it the index. */
SEC("tc")
int told(struct __sk_buff *skb)
{
	skb->mark = skb->tc_index << 16 | skb->tc_classid;
	return VERDICT;
}

char _license[] SEC("license") = "GPL";
