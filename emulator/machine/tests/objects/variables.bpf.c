// Variables of the kernel that each CPU has a value of, as tools on libbpf read them (`__ksym`).
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const int bpf_prog_active __ksym;
extern const int cpu_number __ksym;
extern const int no_such_variable __ksym __weak;

__u64 seen[16];

static long of_cpu(__u32 cpu, void *unused)
{
	const int *number = bpf_per_cpu_ptr(&cpu_number, cpu);
	const int *active = bpf_per_cpu_ptr(&bpf_prog_active, cpu);

	seen[cpu & 7] = number ? *number + 10 : 1;
	seen[(cpu & 7) + 8] = active ? *active + 10 : 1;
	return 0;
}

static int own(void)
{
	const int *number = bpf_this_cpu_ptr(&cpu_number);
	const int *active = bpf_this_cpu_ptr(&bpf_prog_active);

	return *number == (int)bpf_get_smp_processor_id() && *active == 0;
}

SEC("xdp")
int cpus(struct xdp_md *ctx)
{
	bpf_loop(7, of_cpu, 0, 0);
	of_cpu(-1, 0);
	return own() ? XDP_PASS : XDP_DROP;
}

SEC("tc")
int missing(struct __sk_buff *skb)
{
	return own() && !&no_such_variable;
}

char _license[] SEC("license") = "GPL";
