//! Packet captures and the frames in them: reading, writing, generating, dissecting. Ethernet only.
//!
//! | what | where |
//! |---|---|
//! | read pcap and pcapng, plain or in gzip, streaming | [`Capture`] |
//! | write pcap and pcapng, whole or not at all | [`PcapWriter`], [`PcapNgWriter`], [`AtomicFile`] |
//! | build frames from types | [`build`] |
//! | build frames from a line of text | [`text`] |
//! | name each field, compare two frames, sum one up in a line | [`dissect`] |
//!
//! ```
//! use twinpath_pcaps::{AtomicFile, Capture, PcapNgWriter, Timestamp, dissect, text};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("out.pcapng");
//! // Written: a packet on a device, with a comment.
//! let frame = text::frame("tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN ttl 3 vlan 7")?;
//! let mut capture = PcapNgWriter::new(AtomicFile::create(&path)?)?;
//! let eth0 = capture.interface("eth0")?;
//! let at = Timestamp::from_nanos(1_700_000_000_000_000_001);
//! capture.write(eth0, at, &frame, frame.len() as u32, Some("dropped: TTL exceeded"))?;
//! capture.finish()?.commit()?;
//!
//! // Read back: nothing is lost.
//! let mut capture = Capture::open(&path)?;
//! let frame = capture.next().ok_or("no packet")??;
//! assert_eq!(frame.at, at);
//! assert_eq!(frame.comment.as_deref(), Some("dropped: TTL exceeded"));
//! assert_eq!(capture.interfaces()[frame.interface.index()].name.as_deref(), Some("eth0"));
//!
//! // Taken apart.
//! assert_eq!(
//!     dissect::summary(&frame.bytes),
//!     "vlan 7 10.0.0.1:1234 > 10.0.0.2:80 tcp SYN ttl 3",
//! );
//! let vlan = &dissect::dissect(&frame.bytes)[5];
//! assert_eq!((vlan.path().as_str(), vlan.value.as_str()), ("vlan.id", "7"));
//! # Ok(())
//! # }
//! ```
//!
//! Bytes from outside are never trusted: a capture that is cut short, lies about its lengths or is
//! something else ends in a [`CaptureError`] that says where and what was expected, and any bytes
//! can be dissected.

pub mod build;
pub mod dissect;
mod frame;
mod mac;
mod read;
mod tcp_flags;
pub mod text;
mod time;
mod write;

pub use frame::{Frame, Interface, InterfaceId, MAX_FRAME_LEN};
pub use mac::{MacAddr, MacAddrError};
pub use read::{Capture, CaptureError, Format, LinkType, Place, Problem, Progress};
pub use tcp_flags::{TcpFlags, TcpFlagsError};
pub use time::Timestamp;
pub use write::{AtomicFile, PcapNgWriter, PcapWriter, WriteError};
