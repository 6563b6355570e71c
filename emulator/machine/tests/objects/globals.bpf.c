// Global data in all its places, a BTF map, static, global and weak functions.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int config_base = 40;
const volatile struct {
	__u32 a;
	__u16 b;
} config_pair SEC(".rodata.config") = { 7, 9 };
int counter = 5;
long total;
static volatile int hidden = 3;
__u64 warm[2] SEC(".data.warm") = { 100, 200 };
char name[8] SEC(".data.warm") = "warm";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __attribute__((noinline)) int twice(int x)
{
	return x * 2 + hidden;
}

__attribute__((noinline)) int visible(int x)
{
	counter += 1;
	return twice(x) + counter;
}

__weak __attribute__((noinline)) int overridable(int x)
{
	return x + config_pair.a + config_pair.b;
}

SEC("socket")
int entry(struct __sk_buff *skb)
{
	__u32 key = 2;
	__u64 *value = bpf_map_lookup_elem(&counts, &key);

	if (!value)
		return -1;
	__sync_fetch_and_add(value, 1);
	hidden++;
	total += *value;
	return visible(config_base) + overridable(1);
}

// A second program in the same section.
SEC("socket")
int sums(struct __sk_buff *skb)
{
	static int own_counter;

	own_counter += 10;
	return total * 1000 + warm[0] + warm[1] + name[3] + own_counter;
}

// Only loaded when asked for; writes to read-only data, which no verifier accepts.
SEC("?socket")
int spoils(struct __sk_buff *skb)
{
	*(volatile int *)&config_base = 1;
	return 0;
}

char _license[] SEC("license") = "GPL";
