// SPDX-License-Identifier: GPL-2.0
// Programs that do what a frame tells them. Behind an IPv4 and a UDP header without options it has a list of orders
// and the number of the next one, which each program that the frame meets takes and counts. A frame without an order
// for a program passes it.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

static long (*clone_redirect)(struct __sk_buff *skb, __u32 ifindex, __u64 flags) = (void *)13;
static long (*skb_vlan_push)(struct __sk_buff *skb, __be16 proto, __u16 tci) = (void *)18;
static long (*skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*skb_change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static long (*xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static long (*redirect_neigh)(__u32 ifindex, void *params, int len, __u64 flags) = (void *)152;
static long (*redirect_peer)(__u32 ifindex, __u64 flags) = (void *)155;

#define ORDERS 8
#define HEADERS 28
#define TAGS 3
// The order is for all programs to come.
#define FOREVER 0x80

struct order {
	__u8 verdict;
	__u8 action;
	__u8 argument;
};

enum action {
	NOTHING,
	REDIRECT,
	REDIRECT_INGRESS,
	REDIRECT_PEER,
	REDIRECT_NEIGH,
	CLONE,
	CLONE_INGRESS,
	PUSH,
	POP,
	// By the argument; at XDP hooks, shorten.
	LENGTHEN,
	MAP,
	BROADCAST,
	OTHERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devices SEC(".maps");

static __attribute__((always_inline)) int take(void *data, void *end, struct order *order)
{
	__u8 *at = data + 12;
	for (int tag = 0; tag < TAGS; tag++) {
		if ((void *)(at + 2) > end)
			return 0;
		__u16 protocol = *(__u16 *)at;
		if (protocol == 0x0081 || protocol == 0xa888)
			at += 4;
	}
	at += 2 + HEADERS;
	if ((void *)(at + 1 + ORDERS * sizeof(*order)) > end)
		return 0;
	__u8 number = *at;
	if (number >= ORDERS)
		return 0;
	struct order *next = (void *)(at + 1 + number * sizeof(*order));
	if ((void *)(next + 1) > end)
		return 0;
	*order = *next;
	if (!(order->action & FOREVER))
		*at = number + 1;
	order->action &= ~FOREVER;
	return 1;
}

// Tells the packet from a copy that was made of it.
static __attribute__((always_inline)) void mark(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 12 <= end)
		*(__u8 *)(data + 11) += 16;
}

static __attribute__((always_inline)) int filter(struct __sk_buff *skb)
{
	struct order order;
	if (!take((void *)(long)skb->data, (void *)(long)skb->data_end, &order))
		return TC_ACT_OK;
	switch (order.action) {
	case REDIRECT:
		return redirect(order.argument, 0);
	case REDIRECT_INGRESS:
		return redirect(order.argument, BPF_F_INGRESS);
	case REDIRECT_PEER:
		return redirect_peer(order.argument, 0);
	case REDIRECT_NEIGH:
		return redirect_neigh(order.argument, 0, 0, 0);
	case CLONE:
		clone_redirect(skb, order.argument, 0);
		mark(skb);
		break;
	case CLONE_INGRESS:
		clone_redirect(skb, order.argument, BPF_F_INGRESS);
		mark(skb);
		break;
	case PUSH:
		skb_vlan_push(skb, 0x0081, order.argument);
		break;
	case POP:
		skb_vlan_pop(skb);
		break;
	case LENGTHEN:
		skb_change_tail(skb, skb->len + order.argument, 0);
		break;
	}
	return order.verdict == 255 ? TC_ACT_UNSPEC : order.verdict;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	return filter(skb);
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	return filter(skb);
}

SEC("xdp")
int driver(struct xdp_md *ctx)
{
	struct order order;
	if (!take((void *)(long)ctx->data, (void *)(long)ctx->data_end, &order))
		return XDP_PASS;
	switch (order.action) {
	case REDIRECT:
		return redirect(order.argument, 0);
	case MAP:
		return redirect_map(&devices, order.argument, order.verdict & 3);
	case BROADCAST:
		return redirect_map(&devices, 0, BPF_F_BROADCAST);
	case OTHERS:
		return redirect_map(&devices, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
	case LENGTHEN:
		// How much room there is to grow depends on packets before this one.
		xdp_adjust_tail(ctx, -(int)order.argument);
		break;
	}
	return order.verdict;
}

static const char terms[] SEC("license") = "GPL";
