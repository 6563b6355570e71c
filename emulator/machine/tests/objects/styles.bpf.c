// Ways of writing programs that are less usual, all in one object.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

// A map by a type that is named and by one that is not, with constants from an enumeration.
enum { SLOTS = 4, KEY = sizeof(__u32) };

struct by_type {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, KEY);
	__uint(value_size, sizeof(struct { __u64 a, b; }));
	__uint(max_entries, SLOTS);
} named SEC(".maps");

typedef struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct { __u16 port; __u8 kind; });
	__type(value, __u64[3]);
	__uint(max_entries, 1 << 10);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} hash_type;

static hash_type unnamed SEC(".maps");
hash_type of_the_same_type SEC(".maps");

// A map of maps whose inner map has its own definition, and one that names maps.
struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} one SEC(".maps"), two SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [5] = &one, (void *)0, &two },
};

// Static programs in program arrays, two programs in a section.
static int first(struct __sk_buff *skb);
int second(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} jumps SEC(".maps") = {
	.values = { [1] = (void *)&first, [7] = (void *)&second },
};

SEC("tc/jumped")
static int first(struct __sk_buff *skb)
{
	return 11;
}

SEC("tc/jumped")
int second(struct __sk_buff *skb)
{
	return 22;
}

// Data of each kind: constants of a function, strings, arrays of structures, pointers that are null.
static const struct { __u8 from, to; const char *nothing; } ranges[] = {
	{ 1, 10 }, { 20, 30 }, { 40, 50 },
};
const volatile struct { __u32 limit; __u8 flags[3]; } settings = { 7, { 1, 2, 3 } };
__u64 counters[3] SEC(".data.counters") = { 100, 200, 300 };
static volatile __u16 seen = 5;
char text[] = "text";
__u32 zeroed[16];
static __u32 hidden_bss;

__weak int overridden(int x)
{
	return x + 1;
}

int overridden_too(int x) __attribute__((weak));
int overridden_too(int x)
{
	return x + 2;
}

static __noinline int in_range(__u8 value)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < 3; i++) {
		if (value >= ranges[i].from && value <= ranges[i].to)
			return i + 1;
	}
	return 0;
}

struct state {
	long sum;
	int steps;
};

static long step(__u32 index, struct state *state)
{
	state->sum += index;
	state->steps++;
	return index >= 6;
}

static long element(void *map, int *key, int *value, struct state *state)
{
	state->sum += *value + *key;
	return 0;
}

SEC("socket/data")
int data(void *context)
{
	struct state state = {};
	__u32 key = 2;
	struct { __u64 a, b; } *value = bpf_map_lookup_elem(&named, &key);

	if (value)
		__sync_fetch_and_add(&value->a, 3);
	bpf_loop(20, step, &state, 0);
	bpf_for_each_map_elem(&one, element, &state, 0);
	counters[1] += settings.limit + settings.flags[2];
	zeroed[9] += 4;
	hidden_bss += 2;
	seen++;
	return in_range(25) * 1000 + state.sum + state.steps * 100 + overridden(1) + overridden_too(1) +
	       text[3] + (value ? value->a : 0) + counters[1] * 10000 + zeroed[9] + hidden_bss + seen;
}

// A switch that may become a table, and one that becomes constants.
SEC("socket/switches")
int switches(unsigned int *context)
{
	switch (*context) {
	case 0: return bpf_get_smp_processor_id() + 1;
	case 1: return 17;
	case 2: return 4;
	case 3: return bpf_ktime_get_ns() != 0;
	case 4: return 99;
	case 5: return 12;
	case 6: return 7;
	default: return -1;
	}
}

// A pointer to a function of the program, chosen at run time.
SEC("socket/chosen")
int chosen(unsigned int *context)
{
	struct state state = {};
	long (*callback)(__u32, struct state *) = step;

	bpf_loop(*context & 7, callback, &state, 0);
	return state.sum;
}

SEC("tc")
int enters(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jumps, skb->mark);
	return 33;
}

SEC("tc")
int enters_static(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jumps, 7);
	return 44;
}

char _license[] SEC("license") = "Dual BSD/GPL";
__u32 _version SEC("version") = 0x61200;
