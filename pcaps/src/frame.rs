//! A frame and the interface that it was seen on.

use crate::Timestamp;

/// The longest frame that is read or written, in bytes: the limit of libpcap and Wireshark
/// (`MAXIMUM_SNAPLEN`).
pub const MAX_FRAME_LEN: usize = 262_144;

/// Which interface of a capture a frame belongs to: an index, counted from 0 over the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub(crate) u32);

impl InterfaceId {
    /// The index into [`Capture::interfaces`](crate::Capture::interfaces).
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// An interface that a capture describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name, when the capture tells it (pcapng `if_name`; never in a pcap).
    pub name: Option<String>,
}

/// One Ethernet frame of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// When it was seen.
    pub at: Timestamp,
    /// Its bytes, from the destination MAC address on, without the frame check sequence.
    pub bytes: Vec<u8>,
    /// Its length on the wire. More than `bytes.len()` only for a frame that the capture cut,
    /// which is refused unless asked for ([`Capture::with_cut_frames`](crate::Capture::with_cut_frames)).
    pub original_len: u32,
    /// Where it was seen.
    pub interface: InterfaceId,
    /// What the capture says about it (pcapng `opt_comment`; several are joined by newlines).
    pub comment: Option<String>,
}

impl Frame {
    /// A whole frame on the first interface, without a comment.
    ///
    /// Its length on the wire saturates at `u32::MAX`; the writers refuse such a frame.
    pub fn new(at: Timestamp, bytes: Vec<u8>) -> Self {
        Self {
            at,
            original_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            bytes,
            ..Self::default()
        }
    }

    /// Makes this frame `packet`, keeping the buffers.
    pub(crate) fn assign(&mut self, packet: Packet<'_>) {
        self.at = packet.at;
        self.bytes.clear();
        self.bytes.extend_from_slice(packet.bytes);
        self.original_len = packet.original_len;
        self.interface = packet.interface;
        self.comment = packet.comment;
    }
}

/// A frame whose bytes still lie in the reader's buffer.
pub(crate) struct Packet<'a> {
    pub at: Timestamp,
    pub bytes: &'a [u8],
    pub original_len: u32,
    pub interface: InterfaceId,
    pub comment: Option<String>,
}
