/* Code behind constants that are set before loading. Each program calls a helper that its type does not have,
 * where only a verifier that follows the constants sees that no path leads. */
#include "packet.h"

const volatile __u32 features = 0x06;
const volatile __u32 divisor = 3;
const volatile _Bool traced;
const volatile struct {
	__u8 mode;
	__u8 levels[3];
} settings = { .mode = 2, .levels = { 1, 0, 4 } };

__u64 seen[8];

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4);
} counts SEC(".maps");

/* Only programs that trace have it. */
static __always_inline void missing(void *ctx)
{
	seen[7] = bpf_get_stack(ctx, seen, 8, 0);
}

static __noinline int has(__u32 feature)
{
	return !!(features & feature);
}

static __noinline __u32 level(__u32 base)
{
	if (settings.mode == 2)
		return base + settings.levels[2];
	return settings.levels[1];
}

static __noinline void count(void *ctx, __u32 key, int verbose)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (value)
		*value += 1;
	if (verbose)
		missing(ctx);
}

SEC("tc")
int returned(struct __sk_buff *skb)
{
	seen[0] += has(2);
	if (!has(4))
		missing(skb);
	if (level(8) != 12)
		missing(skb);
	return 1;
}

SEC("tc")
int passed(struct __sk_buff *skb)
{
	count(skb, 1, traced);
	count(skb, 2, has(16));
	return 2;
}

/* A constant that waits on the stack while helpers take other parts of it. */
SEC("tc")
int kept(struct __sk_buff *skb)
{
	__u32 key = 3, mode = settings.mode, less = features - divisor, rest = features >> 1 << 2;
	__u64 slots[3];
	__u64 *value;

	asm volatile("*(u64 *)(%[slots] + 0) = %[mode]\n"
		     "*(u64 *)(%[slots] + 8) = %[less]\n"
		     "*(u64 *)(%[slots] + 16) = %[rest]\n"
		     : : [slots] "r"(slots), [mode] "r"((__u64)mode), [less] "r"((__u64)less),
		       [rest] "r"((__u64)rest) : "memory");
	value = bpf_map_lookup_elem(&counts, &key);
	if (value)
		*value += skb->len;
	asm volatile("" : : "r"(&key) : "memory");
	if (slots[0] != 2 || slots[1] != 3 || slots[2] != 12)
		missing(skb);
	return mode;
}

/* Register pressure: every feature is read once, and used after many calls. */
SEC("tc")
int pressed(struct __sk_buff *skb)
{
	_Bool a = features & 1, b = features & 2, c = features & 4, d = features & 8;
	__u32 e = settings.mode, f = settings.levels[0], g = settings.levels[2];
	__u64 sum = 0;

	for (int i = 0; i < 4; i++) {
		__u32 key = i;
		__u64 *value = bpf_map_lookup_elem(&counts, &key);

		if (!value)
			return 0;
		if (a || d)
			missing(skb);
		sum += *value * e + f;
		*value = sum + (b ? g : 0) + (c ? skb->len : 0);
		if (e + f + g == 6)
			missing(skb);
	}
	seen[1] = sum;
	return 3;
}

/* Both ways of a branch come to the same. */
SEC("xdp")
int joined(struct xdp_md *xdp)
{
	__u32 known = settings.levels[0];

	if (xdp->data_end - xdp->data > 60)
		seen[2]++;
	else
		seen[3]++;
	if (known == 7)
		missing(xdp);
	return known;
}

char _license[] SEC("license") = "GPL";
