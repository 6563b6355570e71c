// Instructions that only newer instruction sets have: atomics, signed division, sign extension, swaps.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct input {
	__s64 a;
	__s64 b;
	__s8 narrow;
	__u32 word;
	__u64 counter;
	__u32 small;
};

SEC("socket")
long arithmetic(struct input *in)
{
#ifdef __BPF_FEATURE_SDIV_SMOD
	return in->a / in->b * 1000 + in->a % in->b + in->narrow + (__s32)in->a / (__s32)in->b;
#else
	return (__u64)in->a / (__u64)in->b + in->narrow;
#endif
}

SEC("socket")
long swapped(struct input *in)
{
	return __builtin_bswap32(in->word) + __builtin_bswap16(in->word);
}

SEC("socket")
long atomics(struct input *in)
{
	long old = __sync_fetch_and_add(&in->counter, 5);

	old += __sync_fetch_and_or(&in->counter, 0x100);
	old += __sync_fetch_and_and(&in->counter, ~1ul);
	old += __sync_fetch_and_xor(&in->counter, 0xff);
	old += __sync_lock_test_and_set(&in->small, 9);
	old += __sync_val_compare_and_swap(&in->small, 9, 11);
	return old * 100 + in->small;
}

char _license[] SEC("license") = "GPL";
