// What no networking program has: an arena, struct_ops, functions of the kernel, variables without a value.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, 33); /* BPF_MAP_TYPE_ARENA */
	__uint(map_flags, 1 << 10);
	__uint(max_entries, 4);
} arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 page_cnt, int node_id,
					   __u64 flags) __ksym;

SEC("?tc")
int uses_arena(struct __sk_buff *skb)
{
	int __arena *page = bpf_arena_alloc_pages(&arena, (void __arena *)0, 1, -1, 0);

	if (!page)
		return 0;
	*page = 7;
	return *page;
}

struct tcp_congestion_ops {
	__u32 (*ssthresh)(void *sk);
	char name[16];
};

SEC("?struct_ops/ssthresh")
int ssthresh(void *ctx)
{
	return 2;
}

SEC(".struct_ops")
struct tcp_congestion_ops own = {
	.ssthresh = (void *)ssthresh,
	.name = "own",
};

extern const unsigned long process_counts __ksym;
extern const int no_such_variable __ksym __weak;

SEC("?tc")
int variable(struct __sk_buff *skb)
{
	const unsigned long *second = bpf_per_cpu_ptr(&process_counts, 1);
	const unsigned long *own = bpf_this_cpu_ptr(&process_counts);

	return bpf_per_cpu_ptr(&process_counts, 3) || !second ? -1 : *second * 10 + *own;
}

SEC("?tc")
int weak_variable(struct __sk_buff *skb)
{
	return &no_such_variable ? 1 : 2;
}

char _license[] SEC("license") = "GPL";
