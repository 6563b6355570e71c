//! Packet captures: reading, writing, generating and dissecting Ethernet frames.

mod frame;
mod read;
mod time;
mod write;

pub use frame::{Frame, Interface, InterfaceId, MAX_FRAME_LEN};
pub use read::{Capture, CaptureError, Format, Place, Problem, Progress};
pub use time::Timestamp;
pub use write::{AtomicFile, PcapNgWriter, PcapWriter, WriteError};
