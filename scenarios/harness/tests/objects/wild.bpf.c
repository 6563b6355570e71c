// SPDX-License-Identifier: GPL-2.0
// A program that no kernel takes.
#define SEC(name) __attribute__((section(name), used))

struct context {
	unsigned int data, data_end;
};

// Reads the packet's byte 100 without asking whether there is one.
SEC("xdp")
int wild(struct context *ctx)
{
	unsigned char *data = (unsigned char *)(long)ctx->data;
	return data[100] == 7 ? 1 : 2;
}

static const char terms[] SEC("license") = "GPL";
