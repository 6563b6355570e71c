// SPDX-License-Identifier: GPL-2.0
// A program that reads stack which it has never written. The kernel lets the privileged do it.
#define SEC(name) __attribute__((section(name), used))

struct context {
	unsigned int data, data_end;
};

SEC("xdp")
int unwritten(struct context *ctx)
{
	unsigned int word;

	asm volatile("%0 = *(u32 *)(r10 - 8)" : "=r"(word));
	return word ? 1 : 2;
}

static const char terms[] SEC("license") = "GPL";
