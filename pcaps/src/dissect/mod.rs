//! Taking frames apart, for people: named fields, differences between two frames, a line.
//!
//! ```
//! use twinpath_pcaps::{dissect, text};
//!
//! let sent = text::frame("udp 10.0.0.1:53 > 10.0.0.2:999 ttl 64 len 4").unwrap();
//! let seen = text::frame("udp 10.0.0.1:53 > 10.0.0.2:999 ttl 63 len 4").unwrap();
//!
//! let fields = dissect::dissect(&sent);
//! assert_eq!(fields[11].to_string(), "ip.ttl: 64");
//!
//! let differences: Vec<_> = dissect::diff(&sent, &seen).iter().map(ToString::to_string).collect();
//! assert_eq!(
//!     differences,
//!     [
//!         "ip.ttl: 64 != 63 (byte 22)",
//!         "ip.checksum: 0x66cb right != 0x67cb right (bytes 24..26)",
//!     ]
//! );
//! assert_eq!(dissect::summary(&sent), "10.0.0.1:53 > 10.0.0.2:999 udp ttl 64 len 4");
//! ```

mod arp;
mod checksum;
mod diff;
mod ethernet;
mod field;
mod icmp;
mod icmpv6;
mod ipv4;
mod ipv6;
mod names;
mod render;
mod summary;
mod tcp;
mod udp;
mod walk;

pub use diff::{FieldDiff, Side, diff};
pub use field::{ChecksumState, Field, Protocol, Unverified};
pub use names::{NAMES, is_path};
pub use summary::summary;

/// All fields of an Ethernet frame, in their order: each bit of the frame is in exactly one.
///
/// Any bytes can be taken apart: a header that is cut short ends in a field such as
/// `ip.truncated`, and what no header claims is `payload`. Up to 32 headers are followed, through
/// VLAN tags, IPIP in all its forms, VXLAN, and the packet that an ICMP error quotes.
pub fn dissect(frame: &[u8]) -> Vec<Field> {
    walk::Walk::over(frame)
}

/// The checksums of a frame: those of its [fields](dissect) that have a
/// [state](Field::checksum).
pub fn checksums(frame: &[u8]) -> Vec<Field> {
    let mut fields = dissect(frame);
    fields.retain(|field| field.checksum.is_some());
    fields
}

/// The checksums of a frame that are wrong.
pub fn wrong_checksums(frame: &[u8]) -> Vec<Field> {
    let mut fields = dissect(frame);
    fields.retain(|field| matches!(field.checksum, Some(ChecksumState::Wrong { .. })));
    fields
}
