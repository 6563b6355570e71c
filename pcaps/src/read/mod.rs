//! Reading captures: pcap and pcapng, either byte order, any resolution down to a nanosecond,
//! plain or in gzip.
//!
//! pcap-file parses records and blocks. Around it stands what it leaves open: lengths are checked
//! before anything is buffered, so that a lying one costs no memory; a block that holds no packet
//! is skipped unparsed; a truncated file is told from a wrong one; and an error says where.

mod capture;
mod error;
mod input;
mod pcap;
mod pcapng;
mod sniff;
mod window;

pub use capture::{Capture, Progress};
pub use error::{CaptureError, LinkType, Place, Problem};
pub use sniff::Format;

use crate::MAX_FRAME_LEN;
use input::Input;

/// Refuses what cannot be a frame, and, unless `cut_frames`, what is not all of one.
fn check_lengths(captured: u32, original: u32, cut_frames: bool) -> Result<(), Problem> {
    if captured as usize > MAX_FRAME_LEN {
        return Err(Problem::Oversize(captured));
    }
    if captured > original {
        return Err(Problem::Lengths { captured, original });
    }
    if captured < original && !cut_frames {
        return Err(Problem::Cut { captured, original });
    }
    Ok(())
}
