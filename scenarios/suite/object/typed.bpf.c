// A firewall whose maps and variables have members of each kind: what scenarios write by the names of these.
// clang -target bpf -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -c typed.bpf.c -o typed.bpf.o
// (-I is where Debian has asm/types.h.)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum action { REFUSE, ADMIT, LIMIT };

struct service {
	__be32 addr;
	__be16 port;
	__u8 proto;
	__u8 zone;
};

struct rule {
	enum action action;
	__u32 logged : 1, priority : 3, burst : 12, : 16;
	__u8 router[ETH_ALEN];
	char name[10];
	union {
		__u32 mark;
		struct {
			__u16 low, high;
		} half;
	};
	struct {
		__u32 limit;
		__s32 slack;
	} steps[2];
};

struct state {
	__u64 packets;
	__u64 bytes;
	__be16 last_port;
	__u16 seen : 1, admitted : 1;
	enum action last;
};

struct network {
	__u32 bits;
	__u8 addr[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct service);
	__type(value, struct rule);
	__uint(max_entries, 64);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct network);
	__type(value, bool);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} trusted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct service);
	__type(value, struct state);
	__uint(max_entries, 64);
} states SEC(".maps");

struct settings {
	__be16 any_port;
	bool strict;
	__u32 steps[3];
};

const volatile struct settings settings = {};

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	struct network from = { .bits = 32 };
	struct service service = {};
	struct state *state, fresh = {};
	struct rule *rule;
	__u32 most;

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	service.addr = ip->daddr;
	service.port = udp->dest;
	service.proto = ip->protocol;
	rule = bpf_map_lookup_elem(&rules, &service);
	if (!rule && settings.any_port) {
		service.port = settings.any_port;
		rule = bpf_map_lookup_elem(&rules, &service);
	}
	if (!rule)
		return settings.strict ? XDP_DROP : XDP_PASS;
	state = bpf_map_lookup_elem(&states, &service);
	if (!state) {
		bpf_map_update_elem(&states, &service, &fresh, BPF_ANY);
		state = bpf_map_lookup_elem(&states, &service);
		if (!state)
			return XDP_ABORTED;
	}
	state->packets++;
	state->bytes += end - data;
	state->last_port = udp->source;
	state->seen = 1;
	state->last = rule->action;
	__builtin_memcpy(from.addr, &ip->saddr, sizeof(from.addr));
	most = rule->steps[rule->priority & 1].limit + rule->steps[1].slack + settings.steps[2];
	if (rule->action == REFUSE && !bpf_map_lookup_elem(&trusted, &from))
		return XDP_DROP;
	if (rule->action == LIMIT && state->packets > most)
		return XDP_DROP;
	if (rule->half.high != 0xcafe || rule->name[0] != 'd')
		return XDP_DROP;
	state->admitted = 1;
	__builtin_memcpy(eth->h_dest, rule->router, ETH_ALEN);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
