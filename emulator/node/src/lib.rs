//! The Linux around an eBPF program: packet contexts, packet helpers, devices and hooks
mod types;
pub use types::{Ifindex, Mac, MacError};
