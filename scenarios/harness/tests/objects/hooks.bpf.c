// SPDX-License-Identifier: GPL-2.0
// Small programs for the tests of the kernel backend. A frame says what is to happen to it: after the Ethernet
// header, behind an ethertype of 0x88b6, it carries a `struct order`.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static long (*map_update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*clone_redirect)(struct __sk_buff *skb, __u32 ifindex, __u64 flags) = (void *)13;
static long (*skb_vlan_push)(struct __sk_buff *skb, __be16 proto, __u16 tci) = (void *)18;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*perf_event_output)(void *ctx, void *map, __u64 flags, void *data, __u64 size) = (void *)25;
static long (*skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
static long (*xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*ringbuf_output)(void *map, void *data, __u64 size, __u64 flags) = (void *)130;

struct order {
	__u8 verdict;
	__u8 action;
	__u8 argument;
	__u8 mark;
};

enum action {
	NOTHING,
	// Write `mark` into the order's argument.
	WRITE,
	// Add a byte range in front, or at the end.
	GROW,
	// To the device with the index `argument`.
	REDIRECT,
	// A copy to the device with the index `argument`.
	CLONE,
	// A VLAN tag with the id `argument`.
	VLAN,
	// To the receiving side of the device with the index `argument`.
	REDIRECT_INGRESS,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} by_length SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} by_verdict SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} by_device_of_the_frame SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} percpu_hash SEC(".maps");

struct prefix {
	__u32 length;
	__u32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(pinning, 1);
	__type(key, __u32);
	__type(value, __u32);
} pinned SEC(".maps");

const volatile __u32 offset_of_count = 0;
__u64 runs;

static __attribute__((always_inline)) void count(void *ctx, __u32 ifindex, __u32 verdict, __u32 length)
{
	__u32 slot = length > 64;
	__u64 one = 1 + offset_of_count;
	__u64 *total = map_lookup(&by_length, &slot);
	if (total)
		*total += length;
	slot = verdict & 7;
	__u32 *times = map_lookup(&by_verdict, &slot);
	if (times)
		*times += 1;
	total = map_lookup(&by_device_of_the_frame, &ifindex);
	if (total)
		*total += one;
	else
		map_update(&by_device_of_the_frame, &ifindex, &one, BPF_ANY);
	runs++;
	__u32 record[3] = { ifindex, verdict, length };
	ringbuf_output(&ring, record, sizeof(record), 0);
	if (verdict == 1)
		perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, record, sizeof(record));
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct order *order = data + 14;
	if ((void *)(order + 1) > end || *(__u16 *)(data + 12) != 0xb688)
		return XDP_PASS;
	__u8 verdict = order->verdict, argument = order->argument;
	count(ctx, ctx->ingress_ifindex, verdict, end - data);
	switch (order->action) {
	case WRITE:
		order->argument = order->mark;
		break;
	case GROW:
		if (xdp_adjust_head(ctx, -4))
			return XDP_ABORTED;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		if (data + 18 > end)
			return XDP_ABORTED;
		__builtin_memmove(data, data + 4, 12);
		*(__u16 *)(data + 12) = 0x0081;
		*(__u16 *)(data + 14) = 0x0700;
		break;
	case REDIRECT:
		return redirect(argument, 0);
	}
	return verdict;
}

static __attribute__((always_inline)) int filter(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct order *order = data + 14;
	if ((void *)(order + 1) > end || *(__u16 *)(data + 12) != 0xb688)
		return TC_ACT_UNSPEC;
	__u8 verdict = order->verdict, argument = order->argument;
	count(skb, skb->ifindex, verdict, skb->len);
	switch (order->action) {
	case WRITE:
		order->argument = order->mark;
		break;
	case GROW:
		if (skb_change_tail(skb, skb->len + 4, 0))
			return TC_ACT_SHOT;
		break;
	case REDIRECT:
		return redirect(argument, 0);
	case REDIRECT_INGRESS:
		return redirect(argument, BPF_F_INGRESS);
	case CLONE:
		if (clone_redirect(skb, argument, 0))
			return TC_ACT_SHOT;
		break;
	case VLAN:
		if (skb_vlan_push(skb, 0x0081, argument))
			return TC_ACT_SHOT;
		break;
	}
	return verdict == 255 ? TC_ACT_UNSPEC : verdict;
}

SEC("tc")
int from_device(struct __sk_buff *skb)
{
	return filter(skb);
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

// Lets all pass but frames of 99 bytes.
SEC("tc")
int to_device(struct __sk_buff *skb)
{
	return skb->len == 99 ? TC_ACT_SHOT : TC_ACT_OK;
}

// Needs all of the frames that calls may nest, so that there is none for a tap.
#define NEST(name, next)                                                                                       \
	static __attribute__((noinline)) int name(struct xdp_md *ctx)                                          \
	{                                                                                                      \
		volatile int one = 1;                                                                          \
		return next(ctx) + one - 1;                                                                    \
	}

static __attribute__((noinline)) int frame8(struct xdp_md *ctx)
{
	volatile int pass = XDP_PASS;
	return pass;
}
NEST(frame7, frame8)
NEST(frame6, frame7)
NEST(frame5, frame6)
NEST(frame4, frame5)
NEST(frame3, frame4)
NEST(frame2, frame3)

SEC("xdp")
int deep(struct xdp_md *ctx)
{
	return frame2(ctx);
}

static __attribute__((noinline)) int inner(__u32 length)
{
	return length > 60 ? XDP_DROP : XDP_PASS;
}

// Calls a function of its own.
SEC("xdp")
int outer(struct xdp_md *ctx)
{
	return inner(ctx->data_end - ctx->data);
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} clock SEC(".maps");

// Drops what comes at an odd nanosecond.
SEC("xdp")
int timed(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *now = map_lookup(&clock, &zero);
	return now && *now % 2 ? XDP_DROP : XDP_PASS;
}

// The verifier refuses this one.
SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	return *(__u8 *)(long)ctx->data;
}

static const char terms[] SEC("license") = "GPL";
