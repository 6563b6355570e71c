// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 OR MIT
// What both halves of the linked object say of each other.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int verdict_of(__u32 len, __u32 port);
extern int flavour(void);
