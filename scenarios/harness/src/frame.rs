//! Frames in words, as expectations and reports have them.

use twinpath_pcaps::dissect::{self, ChecksumState};

use crate::diff::Values;

/// What stands for the value of a field that a frame does not have.
pub const ABSENT: &str = "absent";

/// A field of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// For people: `63`, `0x67c7 right`.
    pub value: String,
    /// Of a checksum, `right`, `wrong` or `absent`.
    state: Option<&'static str>,
}

impl Field {
    /// Whether it is the expected one. Of a checksum it is enough to say what state it is in, of a number what it is:
    /// `3` for `3 (unreachable)`.
    pub fn is(&self, expected: &str) -> bool {
        let number = self.value.split_once(" (").map(|(number, _)| number);
        self.value == expected || self.state == Some(expected) || number == Some(expected)
    }
}

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// A packet of a device on which they have no link-layer header, as recordings have it: below an Ethernet header with the
/// addresses zero.
pub fn below_header(packet: &[u8]) -> Vec<u8> {
    let protocol: [u8; 2] = match packet.first().map(|first| first >> 4) {
        Some(6) => [0x86, 0xdd],
        _ => [0x08, 0x00],
    };
    [&[0; ETHERNET - 2][..], &protocol, packet].concat()
}

/// What is below a frame's Ethernet header.
pub fn without_header(frame: &[u8]) -> &[u8] {
    frame.get(ETHERNET..).unwrap_or_default()
}

/// A frame in a line.
pub fn line(bytes: &[u8]) -> String {
    dissect::summary(bytes)
}

/// Fields in which two frames differ.
pub fn differences(left: &[u8], right: &[u8]) -> Vec<Values> {
    if left == right {
        return Vec::new();
    }
    let fields = dissect::diff(left, right).into_iter();
    fields
        .map(|diff| {
            let side = diff.left.as_ref().or(diff.right.as_ref());
            Values {
                name: side.map_or_else(|| diff.name.to_owned(), |side| side.path.clone()),
                left: diff.left.map(|side| side.value),
                right: diff.right.map(|side| side.value),
            }
        })
        .collect()
}

/// The first field of that path: `ip.ttl`, of an inner header `ip.ttl#2`.
pub fn field(bytes: &[u8], path: &str) -> Option<Field> {
    let mut fields = dissect::dissect(bytes).into_iter();
    fields
        .find(|field| field.path() == path)
        .map(|field| Field {
            value: field.value,
            state: field.checksum.map(state),
        })
}

/// The checksums that are not right, by path, with what they are and should be.
pub fn wrong_checksums(bytes: &[u8]) -> Vec<(String, String)> {
    let wrong = dissect::wrong_checksums(bytes).into_iter();
    wrong.map(|field| (field.path(), field.value)).collect()
}

const fn state(state: ChecksumState) -> &'static str {
    match state {
        ChecksumState::Right => "right",
        ChecksumState::Wrong { .. } => "wrong",
        ChecksumState::Absent => ABSENT,
        ChecksumState::Unverified(_) => "unverified",
    }
}
