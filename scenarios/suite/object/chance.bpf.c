// A tunnel's entry that leaves a field of its header unwritten, and notes what it saw with the time and a number for it.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c chance.bpf.c -o chance.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct note {
	__u64 seen;
	__u32 seconds;
	__u32 number;
	__u32 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __be32);
	__type(value, struct note);
} notes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} last SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} told SEC(".maps");

static __always_inline void take_note(__be32 source)
{
	struct note *known = bpf_map_lookup_elem(&notes, &source);
	struct note note = {
		.seen = bpf_ktime_get_ns(),
		.number = bpf_get_prandom_u32(),
		.packets = known ? known->packets + 1 : 1,
	};
	__u32 zero = 0;
	__u64 *time = bpf_map_lookup_elem(&last, &zero);

	note.seconds = note.seen / 1000000000;
	bpf_map_update_elem(&notes, &source, &note, BPF_ANY);
	bpf_ringbuf_output(&told, &note, sizeof(note), 0);
	if (time)
		*time = note.seen;
}

SEC("xdp")
int enter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *old = data, *eth;
	struct iphdr *inner = data + sizeof(*old), *outer;
	__u32 sum = 0;
	__u16 *word;

	if ((void *)(inner + 1) > end || old->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	take_note(inner->saddr);
	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	old = data + sizeof(*outer);
	outer = data + sizeof(*eth);
	inner = (void *)(outer + 1);
	if ((void *)(inner + 1) > end)
		return XDP_DROP;
	__builtin_memmove(eth, old, sizeof(*eth));
	/* The identification stays what it is. */
	outer->version = 4;
	outer->ihl = 5;
	outer->tos = 0;
	outer->tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + sizeof(*outer));
	outer->frag_off = 0;
	outer->ttl = 64;
	outer->protocol = IPPROTO_IPIP;
	outer->check = 0;
	outer->saddr = inner->daddr;
	outer->daddr = bpf_htonl(0xc6336401);
	word = (__u16 *)outer;
#pragma clang loop unroll(full)
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	outer->check = ~((sum & 0xffff) + (sum >> 16));
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
