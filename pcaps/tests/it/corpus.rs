//! Real traffic: what is in the corpus, as it is shown.

use std::collections::BTreeSet;
use std::fmt::Write;

use twinpath_pcaps::dissect::{ChecksumState, Protocol, checksums, dissect, summary};
use twinpath_pcaps::{Capture, Frame};

use crate::support::corpus_files;

/// Each capture by its name, with its frames.
fn captures() -> Vec<(String, Vec<Frame>)> {
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let frames = Capture::open(path).unwrap().map(Result::unwrap);
        (name, frames.collect())
    };
    corpus_files().iter().map(read).collect()
}

#[test]
fn summaries() {
    for (name, frames) in captures() {
        let lines: String = frames
            .iter()
            .map(|frame| format!("{}\n", summary(&frame.bytes)))
            .collect();
        insta::assert_snapshot!(format!("summary_{name}"), lines);
    }
}

/// The first frame of each stack of headers.
#[test]
fn dissections() {
    let mut seen: BTreeSet<Vec<Protocol>> = BTreeSet::new();
    let mut shown = String::new();
    for (name, frames) in captures() {
        for (index, frame) in frames.iter().enumerate() {
            let fields = dissect(&frame.bytes);
            let mut stack: Vec<_> = fields.iter().map(|field| field.protocol).collect();
            stack.dedup();
            if !seen.insert(stack) {
                continue;
            }
            writeln!(shown, "{name} frame {}", index + 1).unwrap();
            for field in fields {
                let bits = &field.bits;
                let byte = |bit: usize| match bit % 8 {
                    0 => format!("{}", bit / 8),
                    rest => format!("{}.{rest}", bit / 8),
                };
                let range = format!("{}..{}", byte(bits.start), byte(bits.end));
                writeln!(shown, "  {range:>13} {field}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(shown);
}

/// The captures were made without offloads: no checksum is wrong.
#[test]
fn checksums_are_right() {
    let mut right = 0;
    for (name, frames) in captures() {
        for frame in frames {
            for field in checksums(&frame.bytes) {
                let state = field.checksum.unwrap();
                let wrong = matches!(state, ChecksumState::Wrong { .. });
                assert!(!wrong, "{name}: {field} in {}", summary(&frame.bytes));
                right += usize::from(state == ChecksumState::Right);
            }
        }
    }
    assert!(right > 1000, "only {right}");
}
