//! Runs eBPF datapath programs in the kernel and in user space and shows every difference
pub mod backend;
pub mod plan;
pub mod recording;
pub mod scenario;
