// Maps of maps with static initialisers, and every attribute that a map definition can have.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct inner first SEC(".maps");
struct inner second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} by_index SEC(".maps") = {
	.values = { &first, 0, &second },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 1);
		__type(key, __u32);
		__type(value, __u32);
	});
} by_key SEC(".maps") = {
	.values = { [1] = (void *)&second },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 100);
	__uint(key_size, 12);
	__uint(value_size, 20);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(numa_node, 0);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} pinned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

struct locked {
	__u32 before;
	struct bpf_spin_lock lock;
	__u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} locks SEC(".maps");

static int look(void *outer, __u32 key, __u32 add)
{
	__u32 zero = 0, *value;
	void *map = bpf_map_lookup_elem(outer, &key);

	if (!map)
		return -1;
	value = bpf_map_lookup_elem(map, &zero);
	if (!value)
		return -2;
	*value += add;
	return *value;
}

SEC("socket")
int entry(void *context)
{
	int a = look(&by_index, 0, 1), b = look(&by_index, 2, 10);
	int missing = look(&by_index, 1, 0), c = look(&by_key, 1, 100);

	return a + b * 1000 + c * 1000000 + (missing == -1);
}

char _license[] SEC("license") = "GPL";
