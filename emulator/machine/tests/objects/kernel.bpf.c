// Values and functions of the kernel: configuration, kfuncs, typed kernel variables.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum libbpf_tristate_ { UNUSED };

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_VXLAN __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[8] __kconfig;
extern char CONFIG_LETTER __kconfig;
extern int CONFIG_NOT_SET __kconfig __weak;

extern int bpf_no_such_kfunc(int x) __ksym __weak;
extern int bpf_strong_kfunc(int x) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym __weak;
extern const int no_such_variable __ksym __weak;

SEC("socket")
long version(void *context)
{
	return LINUX_KERNEL_VERSION;
}

SEC("?socket")
long values(void *context)
{
	return CONFIG_HZ + CONFIG_BPF_SYSCALL * 10000 + CONFIG_VXLAN * 100000 +
	       CONFIG_DEFAULT_HOSTNAME[0] * 1000000 + CONFIG_LETTER * 1000000000L;
}

SEC("?socket")
long not_set(void *context)
{
	return CONFIG_NOT_SET + 4;
}

SEC("?socket")
long weak(void *context)
{
	if (bpf_no_such_kfunc)
		return bpf_no_such_kfunc(1);
	if (&no_such_variable)
		return 2;
	return 3;
}

// Has a function of the kernel that the emulator may know.
SEC("?socket")
long known(void *context)
{
	if (bpf_dynptr_size)
		return bpf_dynptr_size(0) + 1;
	return 2;
}

SEC("?socket")
long strong(void *context)
{
	return bpf_strong_kfunc(1);
}

// Excluded by the configuration.
SEC("?socket")
long excluded(void *context)
{
	if (CONFIG_NOT_SET == 1)
		return bpf_strong_kfunc(1);
	if (LINUX_KERNEL_VERSION < 0x060000)
		return bpf_get_current_task();
	return 6;
}

char _license[] SEC("license") = "GPL";
