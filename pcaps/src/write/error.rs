//! Why a capture could not be written.

use std::io;
use std::path::PathBuf;

use crate::{MAX_FRAME_LEN, Timestamp};

/// Why a capture could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file could not be created, or not moved to its place.
    #[error("{}: cannot {action}: {error}", file.display())]
    File {
        /// Where the capture should be.
        file: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        error: io::Error,
    },
    /// The bytes could not be written.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// A frame that readers of captures refuse.
    #[error("frame of {0} bytes; expected at most {MAX_FRAME_LEN}")]
    Oversize(usize),
    /// A frame with more bytes than it had on the wire.
    #[error("frame of {len} bytes; expected at most its original length, {original}")]
    Lengths {
        /// Its length.
        len: usize,
        /// The length on the wire that it tells.
        original: u32,
    },
    /// A time later than the format can tell.
    #[error("time {0}; expected one before the year 2106")]
    Time(Timestamp),
    /// An interface that this writer did not make.
    #[error("interface {0} of a capture that describes {1}")]
    Interface(u32, u32),
    /// A text that does not fit into an option.
    #[error("{what} of {len} bytes; expected at most 65535")]
    Text {
        /// `comment` or `interface name`.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// Whatever else pcap-file found wrong.
    #[error("cannot encode: {0}")]
    Encode(String),
}

/// Refuses what [`Capture`](crate::Capture) would refuse to read.
pub(super) fn check_lengths(len: usize, original: u32) -> Result<(), WriteError> {
    if len > MAX_FRAME_LEN {
        return Err(WriteError::Oversize(len));
    }
    if len as u64 > u64::from(original) {
        return Err(WriteError::Lengths { len, original });
    }
    Ok(())
}
