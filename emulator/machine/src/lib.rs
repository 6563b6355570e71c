//! The eBPF machine: loading, guest memory, engines, maps and general helpers
