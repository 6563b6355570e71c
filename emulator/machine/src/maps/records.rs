//! What programs send to user space.

use crate::machine::Cpu;

/// One record of a ring buffer or of a perf event array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The CPU of the program that sent it.
    pub cpu: Cpu,
    /// What the program sent. Perf rounds the bytes that user space reads up, so that they and their
    /// 32-bit length are a multiple of 8; that filling is not here.
    pub bytes: Vec<u8>,
}
