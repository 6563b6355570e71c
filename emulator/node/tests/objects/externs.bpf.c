/* What tools on libbpf take from the kernel's configuration, in variables of each kind, and from each other: weak
 * functions, initialisers with gaps, named sections. Each is told by the array `told`. */
#include "packet.h"

/* As `set_kcfg_value_*` of libbpf fill them. All are weak: not every kernel has them. */
extern _Bool CONFIG_NET __kconfig __weak;
extern _Bool CONFIG_NO_SUCH_SWITCH __kconfig __weak;
extern enum libbpf_tristate CONFIG_VXLAN __kconfig __weak;
extern enum libbpf_tristate CONFIG_NO_SUCH_MODULE __kconfig __weak;
extern char CONFIG_IPV6 __kconfig __weak;
extern unsigned char CONFIG_NET_EMATCH_STACK __kconfig __weak;
extern signed char CONFIG_PANIC_TIMEOUT __kconfig __weak;
extern short CONFIG_RCU_CPU_STALL_TIMEOUT __kconfig __weak;
extern unsigned short CONFIG_NR_CPUS __kconfig __weak;
extern int CONFIG_PHYSICAL_START __kconfig __weak;
extern unsigned int CONFIG_HZ __kconfig __weak;
extern long CONFIG_ILLEGAL_POINTER_VALUE __kconfig __weak;
extern unsigned long CONFIG_PHYSICAL_ALIGN __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig __weak;
extern char CONFIG_CC_VERSION_TEXT[5] __kconfig __weak;
extern char CONFIG_DEFAULT_TCP_CONG[1] __kconfig __weak;
extern const char CONFIG_SYSTEM_TRUSTED_KEYS[4] __kconfig __weak;
extern int LINUX_KERNEL_VERSION __kconfig;

extern int bpf_no_such_function(struct xdp_md *) __ksym __weak;
extern int bpf_dynptr_from_xdp(struct xdp_md *, __u64, struct bpf_dynptr *) __ksym __weak;
extern const int no_such_variable __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 64);
} told SEC(".maps");

static __always_inline void tell(__u32 place, __u64 what)
{
	bpf_map_update_elem(&told, &place, &what, BPF_ANY);
}

static __always_inline void tell_text(__u32 place, const volatile char *text, __u32 len)
{
	__u64 all = 0;

	for (__u32 i = 0; i < len; i++)
		all = all * 31 + (__u8)text[i];
	tell(place, all);
}

SEC("xdp")
int configuration(struct xdp_md *ctx)
{
	tell(0, CONFIG_NET);
	tell(1, CONFIG_NO_SUCH_SWITCH);
	tell(2, CONFIG_VXLAN);
	tell(3, CONFIG_NO_SUCH_MODULE);
	tell(4, CONFIG_IPV6);
	tell(5, CONFIG_NET_EMATCH_STACK);
	tell(6, CONFIG_PANIC_TIMEOUT);
	tell(7, CONFIG_RCU_CPU_STALL_TIMEOUT);
	tell(8, CONFIG_NR_CPUS);
	tell(9, CONFIG_PHYSICAL_START);
	tell(10, CONFIG_HZ);
	tell(11, CONFIG_ILLEGAL_POINTER_VALUE);
	tell(12, CONFIG_PHYSICAL_ALIGN);
	tell_text(13, CONFIG_DEFAULT_HOSTNAME, sizeof(CONFIG_DEFAULT_HOSTNAME));
	tell_text(14, CONFIG_CC_VERSION_TEXT, sizeof(CONFIG_CC_VERSION_TEXT));
	tell_text(15, CONFIG_DEFAULT_TCP_CONG, sizeof(CONFIG_DEFAULT_TCP_CONG));
	tell_text(16, CONFIG_SYSTEM_TRUSTED_KEYS, sizeof(CONFIG_SYSTEM_TRUSTED_KEYS));
	tell(17, LINUX_KERNEL_VERSION > 0x40000);
	/* A branch that the verifier does not follow where it knows the answer. */
	if (CONFIG_NO_SUCH_SWITCH)
		tell(18, bpf_get_stack(ctx, 0, 0, 0));
	if (bpf_no_such_function)
		tell(19, bpf_no_such_function(ctx));
	tell(20, !!bpf_dynptr_from_xdp);
	tell(21, !!&no_such_variable);
	return XDP_PASS;
}

/* Sections of their own, and what fills a hole between variables. */
const volatile __u8 first SEC(".rodata.first") = 7;
const volatile __u64 aligned SEC(".rodata.first") = 0x1122334455667788;
const volatile __u32 second SEC(".rodata.second") = 9;
__u32 counted SEC(".data.counts") = 100;
__u16 narrow SEC(".data.counts") = 0xfffe;
static volatile __u32 hidden = 40;
static const char names[3][6] = { "eth", "wlan0", "" };
const __u32 *unused SEC(".data.counts");

__weak __attribute__((noinline)) int chosen(__u32 x)
{
	return x * 3 + second;
}

SEC("xdp")
int sections(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;

	tell(24, first);
	tell(25, aligned);
	tell(26, chosen(len));
	counted += len;
	narrow += 1;
	hidden++;
	tell(27, counted);
	tell(28, narrow);
	tell(29, hidden);
	tell(30, names[len & 1][len >> 1 & 3]);
	return XDP_PASS;
}

/* Arrays of programs and of maps, with gaps; maps of a map that are others' too. */
int leaf_one(struct xdp_md *);
int leaf_two(struct xdp_md *);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 6);
	__array(values, int(struct xdp_md *));
} leaves SEC(".maps") = {
	.values = {
		[1] = (void *)&leaf_one,
		[4] = (void *)&leaf_two,
		[5] = (void *)&leaf_one,
	},
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 2);
} small SEC(".maps"), other SEC(".maps");

struct counter {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 8);
} hashed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} arrays SEC(".maps") = {
	.values = { [0] = &small, [3] = &other },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct counter);
} hashes SEC(".maps") = {
	.values = { [2] = &hashed },
};

SEC("xdp")
int leaf_one(struct xdp_md *ctx)
{
	tell(40, 1);
	return XDP_DROP;
}

SEC("xdp")
int leaf_two(struct xdp_md *ctx)
{
	tell(41, ctx->data_end - ctx->data);
	return XDP_TX;
}

SEC("xdp")
int initialisers(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data, place = len & 3, zero = 0;
	__u64 *value, one = 1;
	void *inner;

	inner = bpf_map_lookup_elem(&arrays, &place);
	if (inner) {
		value = bpf_map_lookup_elem(inner, &zero);
		if (value)
			*value += len;
	}
	tell(32 + place, !!inner);
	inner = bpf_map_lookup_elem(&hashes, &place);
	if (inner)
		bpf_map_update_elem(inner, &len, &one, BPF_ANY);
	tell(36 + place, !!inner);
	bpf_tail_call(ctx, &leaves, len % 6);
	tell(42, len % 6);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
