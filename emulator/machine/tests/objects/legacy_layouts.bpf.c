// Definitions of maps with more than five words: what is behind them depends on the loader.
#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))

// aya's: id and pinning.
struct {
	__u32 type, key_size, value_size, max_entries, map_flags, id, pinning;
} aya_pinned SEC("maps") = { BPF_MAP_TYPE_HASH, 4, 8, 16, 0, 0, 1 };

// The kernel's samples': the inner map's position, a NUMA node.
struct {
	__u32 type, key_size, value_size, max_entries, map_flags, inner_map_idx, numa_node;
} samples_nested SEC("maps") = { BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0, 0 };

// Longer than known, but zero.
struct {
	__u32 type, key_size, value_size, max_entries, map_flags, unknown[7];
} zero_tail SEC("maps") = { BPF_MAP_TYPE_ARRAY, 4, 8, 3 };

// The rest is for the loader to fill in.
struct {
	__u32 type, key_size, value_size, max_entries, map_flags;
} to_fill_in SEC("maps") = { BPF_MAP_TYPE_HASH_OF_MAPS, 4, 0, 2 };

// A function that only others call, in a section that tells no type.
static __attribute__((noinline)) SEC("parts") int part(int x)
{
	return x * 3;
}

SEC("socket")
int entry(struct __sk_buff *skb)
{
	return part(7);
}

char _license[] SEC("license") = "GPL";
