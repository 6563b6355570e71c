/* In the style of tools on libbpf: types that move with the kernel, its configuration, global data,
 * atomics, loops by callbacks, functions of each kind. */
#include "packet.h"
#include <bpf/bpf_core_read.h>
#include <linux/version.h>

struct sk_buff {
	unsigned int len;
	unsigned int data_len;
	__u16 mac_len;
	__u16 no_such_member;
} __attribute__((preserve_access_index));

struct net_device___old {
	int no_such_thing;
} __attribute__((preserve_access_index));

struct iphdr___flavour {
	__u8 ttl;
	__be32 daddr;
} __attribute__((preserve_access_index));

enum bpf_map_type___here {
	BPF_MAP_TYPE_LPM_TRIE___here = 1,
	NO_SUCH_VALUE___here = 2,
};

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern unsigned long CONFIG_NO_SUCH_NUMBER __kconfig __weak;

enum { SLOTS = 16 };

__u64 total;
static __u32 runs = 3;
__u32 histogram[SLOTS] = { [1] = 100 };
const volatile __u32 limit = 12;
const char name[8] SEC(".rodata.names") = "traced";
int last SEC(".data.extra") = -1;
static __u64 (*hidden)(void) = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, SLOTS);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, SLOTS);
} sums SEC(".maps");

struct state {
	__u64 sum;
	__u32 seen;
	__u32 stop;
};

static __attribute__((noinline)) int log2_of(__u32 value)
{
	int r = 0;

	for (int i = 0; i < 5; i++)
		if (value >> (1 << (4 - i))) {
			r += 1 << (4 - i);
			value >>= 1 << (4 - i);
		}
	return r;
}

/* Global: the verifier sees its arguments as unknown. */
__attribute__((noinline)) int weigh(int a, int b)
{
	return a * 3 - (b >> 1);
}

static int add_slot(__u32 index, void *context)
{
	struct state *state = context;
	__u32 key = index & (SLOTS - 1);
	__u64 *value = bpf_map_lookup_elem(&slots, &key);

	if (!value)
		return 1;
	*value += index;
	state->sum += *value;
	return ++state->seen > state->stop;
}

struct bpf_map;

static long walk_slot(struct bpf_map *map, __u32 *key, __u64 *value, struct state *state)
{
	state->sum += *value * (*key + 1);
	*value ^= 1;
	return state->sum > 1000000;
}

static __attribute__((noinline)) int observe(__u32 len)
{
	int slot = log2_of(len) & (SLOTS - 1);
	__u32 old;

	__sync_fetch_and_add(&histogram[slot], 1);
	old = __sync_fetch_and_add(&runs, 2);
	__sync_fetch_and_xor(&last, old);
	return slot;
}

static int moved(void)
{
	int result = 0;

	if (bpf_core_field_exists(((struct sk_buff *)0)->mac_len))
		result += bpf_core_field_size(((struct sk_buff *)0)->mac_len);
	if (bpf_core_field_exists(((struct sk_buff *)0)->no_such_member))
		result += 1000;
	if (bpf_core_type_exists(struct net_device___old))
		result += 10;
	if (bpf_core_enum_value_exists(enum bpf_map_type___here, BPF_MAP_TYPE_LPM_TRIE___here))
		result += 100 * bpf_core_enum_value(enum bpf_map_type___here, BPF_MAP_TYPE_LPM_TRIE___here);
	if (bpf_core_enum_value_exists(enum bpf_map_type___here, NO_SUCH_VALUE___here))
		result += 7;
	return result + bpf_core_type_size(struct sk_buff) +
	       bpf_core_field_offset(((struct sk_buff *)0)->data_len);
}

SEC("xdp")
int trace_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr___flavour *ip = data + ETH_HLEN;
	struct state state = { .stop = limit };
	__u32 len = end - data, key;
	int slot = observe(len);

	if (data + ETH_HLEN + 20 > end)
		return XDP_ABORTED;
	bpf_loop(len & 31, add_slot, &state, 0);
	bpf_for_each_map_elem(&slots, walk_slot, &state, 0);
	key = ip->ttl & (SLOTS - 1);
	bpf_map_update_elem(&sums, &key, &state.sum, BPF_ANY);
	total += state.sum + name[slot & 7] + ip->daddr % 251;
	if (CONFIG_BPF_SYSCALL && !CONFIG_NO_SUCH_NUMBER)
		total += moved();
	if (LINUX_KERNEL_VERSION < KERNEL_VERSION(4, 19, 0))
		return XDP_DROP;
	if (hidden)
		return XDP_DROP;
	return weigh(len, slot) & 1 ? XDP_PASS : XDP_TX;
}

SEC("tc")
int trace_tc(struct __sk_buff *skb)
{
	struct state state = { .stop = 1000 };

	observe(skb->len);
	bpf_loop(skb->len & 63, add_slot, &state, 0);
	skb->mark = state.sum;
	return state.seen % 3;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
