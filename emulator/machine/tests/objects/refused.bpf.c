// What loading refuses: helpers that are missing, a licence that is no GPL, forms that no verifier takes.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int enabled = 0;

static long (*next_helper)(void *) = (void *)0x10000;
static long (*unknown_helper)(void *) = (void *)300;

extern int bpf_dynptr_from_skb(void *skb, __u64 flags, void *dynptr) __ksym __weak;
extern int bpf_rdonly_cast(void *object, __u32 type) __ksym;
extern int bpf_cast_to_kern_ctx(void *object) __ksym;
extern int bpf_no_such_kfunc(void *object) __ksym __weak;

// All at once.
SEC("?socket")
long helpers(void *context)
{
	bpf_printk("%d", 7);
	bpf_get_stackid(context, context, 0);
	next_helper(context);
	unknown_helper(context);
	return bpf_ktime_get_ns();
}

SEC("?socket")
long kfuncs(void *context)
{
	if (bpf_no_such_kfunc)
		bpf_no_such_kfunc(context);
	return bpf_rdonly_cast(context, 1) + bpf_cast_to_kern_ctx(context);
}

// Instructions that a verifier refuses where it gets to them.
SEC("?socket")
long forms(void *context)
{
	asm volatile(".8byte 0x37" : : : "r0");	 /* r0 /= 0 */
	asm volatile(".8byte 0x4100000067" : : : "r0"); /* r0 <<= 65 */
	return 0;
}

SEC("?socket")
long frame_pointer(void *context)
{
	asm volatile(".8byte 0x700000ab7" : : : "r0"); /* r10 = 7 */
	return 0;
}

// The same where no path leads.
SEC("socket")
long guarded(void *context)
{
	if (enabled) {
		asm volatile(".8byte 0x37" : : : "r0");
		asm volatile(".8byte 0x4100000067" : : : "r0");
		asm volatile(".8byte 0x700000ab7" : : : "r0");
		bpf_get_stackid(context, context, 0);
		bpf_printk("%d", 7);
		next_helper(context);
	}
	return 5;
}

// Code behind the end.
SEC("?socket")
__attribute__((naked)) long unreached(void *context)
{
	asm volatile("r0 = 0\n"
		     "exit\n"
		     "r0 = 1\n"
		     "exit\n");
}

char _license[] SEC("license") = "Proprietary";
