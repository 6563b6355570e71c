//! Frames that are looked for among those that were seen.

use crate::frame;
use crate::kernel::journey::Frame;
use crate::plan::{DeviceName, HookKind, NodeName};

/// A frame that is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wire<'a> {
    pub bytes: &'a [u8],
    /// Without the tag that was beside the packet, as an XDP program sees it.
    pub untagged: &'a [u8],
    /// So many of the first bytes may be others.
    pub free: usize,
    /// Whether checksums may be others: behind tc egress those are filled in that were left to the device.
    pub filled: bool,
}

impl<'a> Wire<'a> {
    pub fn exactly(bytes: &'a [u8], untagged: &'a [u8]) -> Self {
        Self {
            bytes,
            untagged,
            free: 0,
            filled: false,
        }
    }

    /// Between other hardware addresses.
    pub fn under_a_new_header(self) -> Self {
        const ADDRESSES: usize = 12;
        Self {
            free: ADDRESSES,
            ..self
        }
    }

    /// What a device has of it whose packets have no link-layer header.
    pub fn without_header(self) -> Self {
        Self {
            bytes: frame::without_header(self.bytes),
            free: 0,
            ..self
        }
    }

    /// Whether a frame is this one, at a device of the node, or at any of them.
    pub fn is_at(self, frame: &Frame, node: &NodeName, device: Option<&DeviceName>) -> bool {
        frame.node == *node
            && device.is_none_or(|device| frame.device == *device)
            && self.is(&frame.bytes)
    }

    pub fn is(self, bytes: &[u8]) -> bool {
        self.matches(self.bytes, bytes)
    }

    /// Whether it came to a hook so.
    pub fn came_as(self, kind: HookKind, found: &[u8]) -> bool {
        let own = if kind.is_xdp() {
            self.untagged
        } else {
            self.bytes
        };
        self.matches(own, found)
    }

    pub fn matches(self, own: &[u8], bytes: &[u8]) -> bool {
        bytes.len() == own.len()
            && match self.filled {
                false => bytes.get(self.free..) == own.get(self.free..),
                true => differ_in_checksums(bytes, own),
            }
    }
}

/// Whether two frames are the same but for checksums behind the network header: that of the packet, and that of one
/// inside of it. It is enough to see that no more than two words differ there.
pub fn differ_in_checksums(a: &[u8], b: &[u8]) -> bool {
    const HEADERS: usize = 34;
    const CHECKSUMS: usize = 2;
    let words = |bytes: &[u8]| bytes.chunks(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (a_words, b_words) = (words(a), words(b));
    let pairs = a_words.iter().zip(&b_words);
    let places = pairs.enumerate().filter(|(_, (a, b))| a != b);
    let places: Vec<usize> = places.map(|(place, _)| 2 * place).collect();
    places.len() <= CHECKSUMS && places.iter().all(|place| *place >= HEADERS)
}
