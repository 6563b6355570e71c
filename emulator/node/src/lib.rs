//! The Linux around an eBPF program: packet contexts, packet helpers, devices and hooks
