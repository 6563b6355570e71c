// In the style of the kernel's samples of old: maps by a structure, names that only begin with a type.
#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))

static void *(*lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*update)(void *map, const void *key, const void *value, __u64 flags) =
	(void *)BPF_FUNC_map_update_elem;

struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
};

struct bpf_map_def SEC("maps") counts = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(long),
	.max_entries = 8,
};

struct bpf_map_def SEC("maps") names = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u64),
	.value_size = 16,
	.max_entries = 8,
	.map_flags = BPF_F_NO_PREALLOC,
};

SEC("socket1")
int count(struct __sk_buff *skb)
{
	__u32 key = 3;
	__u64 name = 0x1122334455667788;
	char value[16] = "a name";
	long *found = lookup(&counts, &key);
	char *stored;

	if (!found)
		return 0;
	__sync_fetch_and_add(found, 5);
	update(&names, &name, value, BPF_ANY);
	stored = lookup(&names, &name);
	return stored ? *found * 1000 + stored[2] : 0;
}

SEC("xdp_drop_all")
int drop(struct xdp_md *context)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
unsigned int _version SEC("version") = 0x041200;
