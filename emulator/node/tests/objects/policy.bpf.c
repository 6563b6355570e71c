/* In the style of a container network: stages joined by tail calls through a table that is filled in
 * statically, prefixes, connections, metrics, rewritten addresses and ports. */
#include "packet.h"

enum { STAGE_IPV4 = 1, STAGE_POLICY = 3, STAGE_REWRITE = 4, STAGES = 6 };
enum { MARK = 0xcafe, DROP_PREFIX = 130, DROP_INVALID = 134, DROP_MISSED = 140 };

struct prefix {
	__u32 bits;
	__u8 address[4];
};

struct metric {
	__u8 reason;
	__u8 direction;
	__u16 pad;
};

struct counts {
	__u64 count;
	__u64 bytes;
};

struct connection {
	__u64 packets;
	__u32 flags : 4, closing : 1, reserved : 27;
	__u32 generation;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct prefix);
	__type(value, __u32);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} identities SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct flow);
	__type(value, struct connection);
	__uint(max_entries, 1024);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct metric);
	__type(value, struct counts);
	__uint(max_entries, 64);
} metrics SEC(".maps");

int stage_ipv4(struct __sk_buff *);
int stage_policy(struct __sk_buff *);
int stage_rewrite(struct __sk_buff *);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, STAGES);
	__array(values, int(struct __sk_buff *));
} stages SEC(".maps") = {
	.values = {
		[STAGE_IPV4] = (void *)&stage_ipv4,
		[STAGE_POLICY] = (void *)&stage_policy,
		[STAGE_REWRITE] = (void *)&stage_rewrite,
	},
};

struct config {
	__be32 backend;
	__be16 port;
	__u8 verbose;
};

const volatile struct config config SEC(".rodata.config") = {
	.backend = bpf_htonl(0xc0a80705),
	.port = bpf_htons(8080),
	.verbose = 1,
};

/* Global, and verified on its own. */
__weak int drop_reason(__u32 identity)
{
	return identity == 7 ? DROP_PREFIX : 0;
}

__attribute__((noinline)) int account(struct __sk_buff *skb, __u8 reason)
{
	struct metric key = { .reason = reason, .direction = 1 };
	struct counts *found = bpf_map_lookup_elem(&metrics, &key), fresh = { 1, 0 };

	if (!skb)
		return 0;
	if (found) {
		found->count++;
		found->bytes += skb->len;
	} else {
		fresh.bytes = skb->len;
		bpf_map_update_elem(&metrics, &key, &fresh, BPF_ANY);
	}
	return reason;
}

static int stop(struct __sk_buff *skb, int reason)
{
	account(skb, reason);
	return 2; /* TC_ACT_SHOT */
}

static __always_inline int flow_of(struct __sk_buff *skb, struct flow *flow)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0)
		return -1;
	flow->saddr = ip.saddr;
	flow->daddr = ip.daddr;
	flow->proto = ip.protocol;
	if (ip.protocol == IPPROTO_TCP || ip.protocol == IPPROTO_UDP)
		return bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4, &flow->sport, 4);
	return 0;
}

SEC("tc")
int from_container(struct __sk_buff *skb)
{
	skb->cb[0] = MARK;
	skb->cb[1] = 0;
	switch (skb->protocol) {
	case bpf_htons(ETH_P_IP):
		bpf_tail_call_static(skb, &stages, STAGE_IPV4);
		return stop(skb, DROP_MISSED);
	case bpf_htons(ETH_P_ARP):
		return 0;
	}
	/* An entry that is empty. */
	bpf_tail_call(skb, &stages, 2);
	skb->mark = 0x0f00;
	return stop(skb, DROP_INVALID);
}

SEC("tc")
int stage_ipv4(struct __sk_buff *skb)
{
	struct prefix prefix = { .bits = 32 };
	__u32 *identity, fresh = 7;
	struct prefix block = { .bits = 9, .address = { 192, 128 } };
	struct prefix host = { .bits = 32, .address = { 192, 0, 2, 10 } };

	if (skb->cb[0] != MARK)
		return stop(skb, DROP_INVALID);
	bpf_map_update_elem(&identities, &block, &fresh, BPF_NOEXIST);
	fresh = 300;
	bpf_map_update_elem(&identities, &host, &fresh, BPF_ANY);
	if (bpf_skb_load_bytes(skb, ETH_HLEN + 12, prefix.address, 4))
		return stop(skb, DROP_INVALID);
	identity = bpf_map_lookup_elem(&identities, &prefix);
	skb->cb[1] = identity ? *identity : 2;
	bpf_tail_call_static(skb, &stages, STAGE_POLICY);
	return stop(skb, DROP_MISSED);
}

SEC("tc")
int stage_policy(struct __sk_buff *skb)
{
	int reason = drop_reason(skb->cb[1]);
	struct connection *found, fresh = { .packets = 1, .flags = 5 };
	struct flow flow = {};

	if (reason)
		return stop(skb, reason);
	if (flow_of(skb, &flow))
		return stop(skb, DROP_INVALID);
	found = bpf_map_lookup_elem(&connections, &flow);
	if (found) {
		found->packets++;
		found->closing = found->packets > 2;
		__sync_fetch_and_or(&found->generation, 1u << (found->packets & 31));
	} else {
		bpf_map_update_elem(&connections, &flow, &fresh, BPF_NOEXIST);
	}
	bpf_tail_call_static(skb, &stages, STAGE_REWRITE);
	return stop(skb, DROP_MISSED);
}

SEC("tc")
int stage_rewrite(struct __sk_buff *skb)
{
	__be32 old, new = config.backend;
	struct iphdr ip;
	int l4, at;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return stop(skb, DROP_INVALID);
	old = ip.daddr;
	l4 = ETH_HLEN + ip.ihl * 4;
	at = ip.protocol == IPPROTO_TCP ? 16 : 6;
	if (ip.protocol == IPPROTO_TCP || ip.protocol == IPPROTO_UDP) {
		__be16 port, to = config.port;
		int flags = ip.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

		if (bpf_skb_load_bytes(skb, l4 + 2, &port, 2))
			return stop(skb, DROP_INVALID);
		bpf_l4_csum_replace(skb, l4 + at, old, new, BPF_F_PSEUDO_HDR | flags | 4);
		bpf_l4_csum_replace(skb, l4 + at, port, to, flags | 2);
		bpf_skb_store_bytes(skb, l4 + 2, &to, 2, 0);
	}
	bpf_l3_csum_replace(skb, ETH_HLEN + 10, old, new, 4);
	if (bpf_skb_store_bytes(skb, ETH_HLEN + 16, &new, 4, 0))
		return stop(skb, DROP_INVALID);
	skb->mark = skb->cb[1] << 16 | (config.verbose ? 0x0200 : 0);
	skb->priority = skb->hash ? 1 : 2;
	account(skb, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
