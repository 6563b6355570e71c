// SPDX-License-Identifier: GPL-2.0
// Programs without maps, compiled without BTF.
#define SEC(name) __attribute__((section(name), used))

struct context {
	unsigned int data, data_end;
};

// Drops frames of more than 60 bytes.
SEC("xdp")
int plain(struct context *ctx)
{
	return ctx->data_end - ctx->data > 60 ? 1 : 2;
}

SEC("no_such_type")
int strange(void *ctx)
{
	return 0;
}

SEC("xdp/devmap")
int to_device(struct context *ctx)
{
	return 2;
}

static const char terms[] SEC("license") = "GPL";
