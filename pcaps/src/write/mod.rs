//! Writing captures: pcap and pcapng, little-endian, to the nanosecond.

mod atomic;
mod error;
mod pcap;
mod pcapng;

pub use atomic::AtomicFile;
pub use error::WriteError;
pub use pcap::PcapWriter;
pub use pcapng::PcapNgWriter;
