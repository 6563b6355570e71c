// In the style of objects for tc: iproute2's layout of maps, sections of any name, tail calls by the
// numbers of map and index in a section's name.
#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))

static void *(*lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*tail_call)(void *context, void *map, __u32 index) = (void *)BPF_FUNC_tail_call;

struct bpf_elf_map {
	__u32 type;
	__u32 size_key;
	__u32 size_value;
	__u32 max_elem;
	__u32 flags;
	__u32 id;
	__u32 pinning;
	__u32 inner_id;
	__u32 inner_idx;
};

struct bpf_elf_map SEC("maps") jump_table = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.size_key = 4,
	.size_value = 4,
	.max_elem = 8,
	.id = 2,
};

struct bpf_elf_map SEC("maps") inner = {
	.type = BPF_MAP_TYPE_ARRAY,
	.size_key = 4,
	.size_value = 4,
	.max_elem = 1,
	.id = 42,
	.inner_idx = 1,
};

struct bpf_elf_map SEC("maps") outer = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
	.size_key = 4,
	.size_value = 4,
	.max_elem = 2,
	.inner_id = 42,
	.pinning = 2,
};

SEC("from-container")
int from_container(struct __sk_buff *skb)
{
	__u32 index = 1, zero = 0, *value;
	void *map = lookup(&outer, &index);

	if (map && (value = lookup(map, &zero)))
		*value += 7;
	tail_call(skb, &jump_table, 5);
	return 1;
}

SEC("2/5")
int tail(struct __sk_buff *skb)
{
	__u32 index = 1, zero = 0, *value;
	void *map = lookup(&outer, &index);

	if (map && (value = lookup(map, &zero)))
		return 50 + *value;
	return 2;
}

char _license[] SEC("license") = "GPL";
