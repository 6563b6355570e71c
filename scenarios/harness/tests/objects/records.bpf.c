// SPDX-License-Identifier: GPL-2.0
// A program that writes as many records as a frame says: behind the Ethernet header stand their number and how many of
// them, the first ones, are submitted; the others are discarded.
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]

static void *(*ringbuf_reserve)(void *map, __u64 size, __u64 flags) = (void *)131;
static void (*ringbuf_submit)(void *data, __u64 flags) = (void *)132;
static void (*ringbuf_discard)(void *data, __u64 flags) = (void *)133;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

// With its header 48 bytes in the ring.
struct record {
	__u32 number;
	__u8 rest[36];
};

SEC("xdp")
int records(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 16 > end)
		return XDP_PASS;
	for (__u32 number = 0; number < 255; number++) {
		if (number >= data[14])
			break;
		struct record *record = ringbuf_reserve(&ring, sizeof(*record), 0);
		if (!record)
			return XDP_DROP;
		record->number = number;
		for (int at = 0; at < sizeof(record->rest); at++)
			record->rest[at] = 0;
		// Every other one without a word to the reader.
		__u64 flags = number % 2 ? BPF_RB_NO_WAKEUP : 0;
		if (number < data[15])
			ringbuf_submit(record, flags);
		else
			ringbuf_discard(record, flags);
	}
	return XDP_PASS;
}

static const char terms[] SEC("license") = "GPL";
