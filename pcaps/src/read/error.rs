//! What can be wrong with a capture, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pcap_file::DataLink;

use crate::MAX_FRAME_LEN;

/// Why a capture, or its next frame, could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {place}{problem}", file.display())]
pub struct CaptureError {
    /// The capture's path, or the name that was given to its stream.
    pub file: PathBuf,
    /// Where in the capture.
    pub place: Place,
    /// What is wrong there.
    #[source]
    pub problem: Problem,
}

/// A place in a capture. Offsets count bytes of the capture itself: after decompression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// The byte at this offset.
    Byte(u64),
    /// A packet, counted from 1 over the whole file, as Wireshark counts.
    Packet {
        /// Its number.
        number: u64,
        /// Where its record or block begins.
        offset: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Byte(offset) => write!(f, "byte {offset}: "),
            Self::Packet { number, offset } => write!(f, "packet {number} at byte {offset}: "),
        }
    }
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened.
    #[error("cannot open: {0}")]
    Open(io::Error),
    /// The file or stream cannot be read on.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// The gzip stream is broken.
    #[error("cannot decompress: {0}")]
    Decompress(io::Error),
    /// There is nothing in it.
    #[error("empty; expected a pcap or pcapng capture")]
    Empty,
    /// It is something else.
    #[error("{found}; expected a pcap or pcapng capture, plain or in gzip")]
    Foreign {
        /// What it begins with, or is known to be.
        found: String,
    },
    /// Another version of the format.
    #[error("{format} version {major}.{minor}; expected {expected}")]
    Version {
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Found major version.
        major: u16,
        /// Found minor version.
        minor: u16,
        /// The version that is understood.
        expected: &'static str,
    },
    /// The frames are not Ethernet.
    #[error("link type {0}; expected Ethernet, EN10MB (1)")]
    LinkType(LinkType),
    /// The frames end with a check sequence, which is no part of a frame here.
    #[error("frames with a frame check sequence; expected frames without")]
    FrameCheckSequence,
    /// The file ends in the middle of something.
    #[error("truncated: expected {expected} bytes of {what}, the file ends after {found}")]
    Truncated {
        /// What was cut.
        what: &'static str,
        /// How long it should be.
        expected: u64,
        /// How much of it there is.
        found: u64,
    },
    /// A packet that is longer than any capture holds: its length field lies, most likely.
    #[error("captured length {0}; expected at most {MAX_FRAME_LEN} bytes")]
    Oversize(u32),
    /// A packet with more bytes than it had on the wire.
    #[error("captured length {captured}; expected at most the original length, {original}")]
    Lengths {
        /// Bytes in the file.
        captured: u32,
        /// Bytes on the wire.
        original: u32,
    },
    /// A packet that the capture's snapshot length cut.
    #[error("cut to {captured} of {original} bytes by the snapshot length; expected a whole frame")]
    Cut {
        /// Bytes in the file.
        captured: u32,
        /// Bytes on the wire.
        original: u32,
    },
    /// A time that is none, or lies outside 1970 to 2554.
    #[error("timestamp {0}")]
    Time(String),
    /// A pcapng block whose length cannot be.
    #[error("block of type {kind:#010x} with length {len}; expected {expected}")]
    BlockLen {
        /// Block type.
        kind: u32,
        /// Its length field.
        len: u32,
        /// What was expected.
        expected: String,
    },
    /// A packet of an interface that its section does not describe.
    #[error("interface {found} of a section that describes {described}")]
    Interface {
        /// The interface that the packet names.
        found: u32,
        /// How many there are.
        described: usize,
    },
    /// A block whose content is wrong otherwise.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// A link type, by name and number of <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub(super) DataLink);

impl LinkType {
    /// Its number.
    pub fn number(self) -> u32 {
        self.0.into()
    }
}

impl fmt::Display for LinkType {
    /// `LINUX_SLL2 (276)`; the number alone where there is no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DataLink::Unknown(number) => write!(f, "{number}"),
            known => write!(f, "{known:?} ({})", self.number()),
        }
    }
}
