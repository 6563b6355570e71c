// Functions of all kinds, callbacks, tail calls through statically initialised program arrays.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define noinline __attribute__((noinline))

struct sum {
	long total;
	long step;
};

static long add(__u64 index, void *context)
{
	struct sum *sum = context;

	sum->total += index * sum->step;
	return index == 9;
}

// Calls forwards and backwards, through another section.
static noinline long deepest(long x)
{
	return x + 1;
}

static noinline long deeper(long x)
{
	return deepest(x) * 2;
}

noinline long deep(long x)
{
	return deeper(x) + deepest(x);
}

SEC("socket")
long nested(void *context)
{
	return deep(10) + deeper(1);
}

SEC("?socket")
long loops(void *context)
{
	struct sum sum = { .step = 3 };

	bpf_loop(100, add, &sum, 0);
	return sum.total;
}

// Programs that are only called by others, static ones among them.
int called_global(void *context);
static int called_static(void *context);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {
		[1] = (void *)&called_global,
		[3] = (void *)&called_static,
	},
};

SEC("socket/called")
int called_global(void *context)
{
	return 101;
}

SEC("socket/called")
static int called_static(void *context)
{
	bpf_tail_call(context, &programs, 1);
	return 103;
}

SEC("socket")
int jumps(void *context)
{
	bpf_tail_call(context, &programs, 2);
	bpf_tail_call(context, &programs, 3);
	return 1;
}

char _license[] SEC("license") = "GPL";
