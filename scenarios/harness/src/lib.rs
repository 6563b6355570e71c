//! Runs eBPF datapath programs in the kernel and in user space and shows every difference
pub mod backend;
pub mod check;
pub mod decode;
pub mod describe;
pub mod diff;
pub mod frame;
pub mod object;
pub mod plan;
pub mod recording;
pub mod scenario;
