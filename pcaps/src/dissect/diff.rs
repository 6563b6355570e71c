//! What differs between two frames.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;

use super::dissect;
use super::field::Field;
use super::render;

/// A field that two frames have differently, or that only one of them has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDiff {
    /// The field's name: `ip.ttl`.
    pub name: &'static str,
    /// What the left frame has there.
    pub left: Option<Side>,
    /// What the right frame has there.
    pub right: Option<Side>,
}

/// One frame's half of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Name and place of the field: `ip.ttl#2` in an inner header.
    pub path: String,
    /// The value for people. Of a payload, the bytes from the first difference on.
    pub value: String,
    /// The bytes of the frame that hold it. Of a payload, those that differ.
    pub bytes: Range<usize>,
}

impl fmt::Display for FieldDiff {
    /// `ip.ttl: 64 != 63 (byte 22)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |side: &Option<Side>| match side {
            Some(side) => side.value.clone(),
            None => "absent".to_owned(),
        };
        let side = self.left.as_ref().or(self.right.as_ref());
        let path = side.map_or(self.name, |side| side.path.as_str());
        let (left, right) = (value(&self.left), value(&self.right));
        write!(f, "{path}: {left} != {right} ({})", self.place())
    }
}

impl FieldDiff {
    fn place(&self) -> String {
        let show = |bytes: &Range<usize>| match bytes.len() {
            1 => format!("byte {}", bytes.start),
            _ => format!("bytes {}..{}", bytes.start, bytes.end),
        };
        match (&self.left, &self.right) {
            (Some(left), Some(right)) if left.bytes != right.bytes => {
                format!("{}, {}", show(&left.bytes), show(&right.bytes))
            }
            (Some(side), _) | (None, Some(side)) => show(&side.bytes),
            (None, None) => String::new(),
        }
    }
}

/// The fields that differ between two frames, in their order; none if the frames are equal.
///
/// Headers are aligned first: a header that one frame has more, such as a VLAN tag or a tunnel,
/// is reported with all its fields, and the headers around and inside it are compared with those
/// that they resemble most.
pub fn diff(left: &[u8], right: &[u8]) -> Vec<FieldDiff> {
    if left == right {
        return Vec::new();
    }
    let (left_fields, right_fields) = (dissect(left), dissect(right));
    let left = Frame::new(left, &left_fields);
    let right = Frame::new(right, &right_fields);
    let mut diffs = Vec::new();
    for pair in align(&left, &right) {
        let empty: &[&Field] = &[];
        let left_layer = pair.0.map_or(empty, |layer| &left.layers[layer]);
        let right_layer = pair.1.map_or(empty, |layer| &right.layers[layer]);
        compare(&left, left_layer, &right, right_layer, &mut diffs);
    }
    diffs
}

/// A frame and its fields by header.
struct Frame<'a> {
    bytes: &'a [u8],
    layers: Vec<Vec<&'a Field>>,
}

impl<'a> Frame<'a> {
    fn new(bytes: &'a [u8], fields: &'a [Field]) -> Self {
        let mut layers: Vec<Vec<&Field>> = Vec::new();
        for field in fields {
            if layers.len() <= field.layer {
                layers.resize(field.layer + 1, Vec::new());
            }
            layers[field.layer].push(field);
        }
        Self { bytes, layers }
    }

    fn same(&self, field: &Field, other: &Frame<'_>, theirs: &Field) -> bool {
        field.bits.len() == theirs.bits.len()
            && bits(self.bytes, &field.bits).eq(bits(other.bytes, &theirs.bits))
    }
}

/// The bits of a range, a byte at a time from its start on.
fn bits(bytes: &[u8], range: &Range<usize>) -> impl Iterator<Item = u8> {
    let byte = move |bit: usize| bytes.get(bit / 8).copied().unwrap_or(0);
    let (shift, end) = (range.start % 8, range.end);
    range.clone().step_by(8).map(move |bit| {
        let word = u16::from_be_bytes([byte(bit), byte(bit + 8)]) << shift;
        let unused = (bit + 8).saturating_sub(end);
        (word >> 8) as u8 >> unused
    })
}

/// Which headers stand for each other: the most of them, and of several ways to pair them the one
/// with the most equal fields.
fn align(left: &Frame<'_>, right: &Frame<'_>) -> Vec<(Option<usize>, Option<usize>)> {
    let (rows, columns) = (left.layers.len(), right.layers.len());
    // best[row][column]: the best score of the headers from there on.
    let mut best = vec![vec![0; columns + 1]; rows + 1];
    let mut score = vec![vec![None; columns]; rows];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            score[row][column] = likeness(left, row, right, column);
            let paired = score[row][column].map_or(0, |score| score + best[row + 1][column + 1]);
            best[row][column] = paired.max(best[row + 1][column]).max(best[row][column + 1]);
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut pairs = Vec::new();
    while row < rows || column < columns {
        let here = best[row][column];
        let paired = (row < rows && column < columns)
            .then(|| score[row][column])
            .flatten()
            .is_some_and(|score| score + best[row + 1][column + 1] == here);
        if paired {
            pairs.push((Some(row), Some(column)));
            row += 1;
            column += 1;
        } else if row < rows && best[row + 1][column] == here {
            pairs.push((Some(row), None));
            row += 1;
        } else {
            pairs.push((None, Some(column)));
            column += 1;
        }
    }
    pairs
}

/// How much two headers resemble each other; none if they are of different protocols.
fn likeness(left: &Frame<'_>, row: usize, right: &Frame<'_>, column: usize) -> Option<usize> {
    /// More than the fields of any header that repeats.
    const SAME_PROTOCOL: usize = 1000;
    let (ours, theirs) = (&left.layers[row], &right.layers[column]);
    if ours.first()?.protocol != theirs.first()?.protocol {
        return None;
    }
    let equal = ours
        .iter()
        .zip(theirs)
        .filter(|(field, other)| field.name == other.name && left.same(field, right, other))
        .count();
    Some(SAME_PROTOCOL + equal.min(SAME_PROTOCOL / 2))
}

/// Appends the differences between two headers, of which one may be empty.
fn compare(
    left: &Frame<'_>,
    left_layer: &[&Field],
    right: &Frame<'_>,
    right_layer: &[&Field],
    diffs: &mut Vec<FieldDiff>,
) {
    let mut unpaired: BTreeMap<&str, VecDeque<&Field>> = BTreeMap::new();
    for field in right_layer {
        unpaired.entry(field.name).or_default().push_back(field);
    }
    for field in left_layer {
        let other = unpaired.get_mut(field.name).and_then(VecDeque::pop_front);
        match other {
            Some(other) if left.same(field, right, other) => {}
            Some(other) => diffs.push(differing(left, field, right, other)),
            None => diffs.push(FieldDiff {
                name: field.name,
                left: Some(side(field)),
                right: None,
            }),
        }
    }
    let mut only_right: Vec<&Field> = unpaired.into_values().flatten().collect();
    only_right.sort_by_key(|field| field.bits.start);
    diffs.extend(only_right.into_iter().map(|field| FieldDiff {
        name: field.name,
        left: None,
        right: Some(side(field)),
    }));
}

fn side(field: &Field) -> Side {
    Side {
        path: field.path(),
        value: field.value.clone(),
        bytes: field.bytes(),
    }
}

fn differing(left: &Frame<'_>, field: &Field, right: &Frame<'_>, other: &Field) -> FieldDiff {
    let (mut ours, mut theirs) = (side(field), side(other));
    if field.opaque && other.opaque {
        let (left, right) = (&left.bytes[field.bytes()], &right.bytes[other.bytes()]);
        let equal = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        let behind = match left.len() == right.len() {
            true => equal_end(&left[equal..], &right[equal..]),
            false => 0,
        };
        narrow(&mut ours, left, equal, behind);
        narrow(&mut theirs, right, equal, behind);
    }
    FieldDiff {
        name: field.name,
        left: Some(ours),
        right: Some(theirs),
    }
}

fn equal_end(left: &[u8], right: &[u8]) -> usize {
    let pairs = left.iter().rev().zip(right.iter().rev());
    pairs.take_while(|(a, b)| a == b).count()
}

/// Leaves out what is equal before and behind the difference.
fn narrow(side: &mut Side, bytes: &[u8], before: usize, behind: usize) {
    let differing = &bytes[before..bytes.len() - behind];
    side.bytes = side.bytes.start + before..side.bytes.end - behind;
    side.value = match differing {
        [] => format!("ends after {} bytes", bytes.len()),
        differing => format!("{} at offset {before}", render::hex(differing)),
    };
}
