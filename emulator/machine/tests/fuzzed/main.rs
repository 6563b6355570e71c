//! The short twin of the fuzzers in `fuzz/`: what they start from and what they found, and random changes
//! of it.
//!
//! A find is kept in `finds/` beside this file, in the folder of its target.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod targets;

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

type Target = fn(&[u8]);

/// The files of a folder of this crate by name, if there is one.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// What the fuzzer of a target starts from.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let seeds = match target {
        "object" => files("tests/objects"),
        _ => files(&format!("fuzz/seeds/{target}")),
    };
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

/// One change of bytes.
#[derive(Debug, Clone)]
enum Change {
    /// Other bytes in a place.
    Set(Index, Vec<u8>),
    /// Another 32-bit number in an aligned place, as fuzzers like them: near a bound, or off by a little.
    Number(Index, i32),
    Add(Index, i32),
    /// Bytes from one place copied to another.
    Copy(Index, Index, usize),
    /// Cut off.
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        any::<i32>(),
        -9..64,
        select(&[i32::MIN, i32::MAX, 0xffff, 0x8000])
    ];
    prop_oneof![
        4 => (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, with)| Change::Set(at, with)),
        4 => (any::<Index>(), number).prop_map(|(at, to)| Change::Number(at, to)),
        4 => (any::<Index>(), -16..17).prop_map(|(at, by)| Change::Add(at, by)),
        2 => (any::<Index>(), any::<Index>(), 1..64usize).prop_map(|(from, to, len)| Change::Copy(from, to, len)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

/// Changes an aligned number.
fn renumber(bytes: &mut [u8], at: &Index, change: impl Fn(i32) -> i32) {
    let (words, _) = bytes.as_chunks_mut::<4>();
    if !words.is_empty() {
        let word = &mut words[at.index(words.len())];
        *word = change(i32::from_le_bytes(*word)).to_le_bytes();
    }
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match change {
        Change::Set(at, with) => {
            let at = at.index(len);
            let with = &with[..with.len().min(len - at)];
            bytes[at..at + with.len()].copy_from_slice(with);
        }
        Change::Number(at, to) => renumber(bytes, at, |_| *to),
        Change::Add(at, by) => renumber(bytes, at, |number| number.wrapping_add(*by)),
        Change::Copy(from, to, count) => {
            let (from, to) = (from.index(len), to.index(len));
            bytes.copy_within(from..from + (*count).min(len - from.max(to)), to);
        }
        Change::Cut(at) => bytes.truncate(at.index(len)),
    }
}

/// Runs seeds and finds as they are, then with random changes, then random bytes.
fn short(name: &str, target: Target) {
    let mut known = seeds(name);
    known.extend(files(&format!("tests/fuzzed/finds/{name}")));
    known.iter().for_each(|bytes| target(bytes));
    let changed = (select(known), vec(change(), 1..12)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| apply(change, &mut bytes));
        bytes
    });
    let bytes = prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..400)];
    let config = ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    };
    proptest!(config, |(bytes in bytes)| target(&bytes));
}

/// `PROPTEST_CASES`, or few.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|cases| cases.parse().ok()).unwrap_or(1000)
}

#[test]
fn objects() {
    short("object", targets::object);
}

#[test]
fn instructions() {
    short("decode_run", targets::decode_run);
}

#[test]
fn types() {
    short("btf", targets::btf);
}

/// The target for types puts them where they are looked for.
#[test]
fn sections_are_replaced() {
    let object = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/objects/core.bpf.o"
    ))
    .unwrap();
    let types = targets::contents(&object, ".BTF").unwrap();
    let same = targets::replaced(&object, ".BTF", types);
    let parse = |bytes| twinpath_machine::Object::parse(bytes).unwrap();
    assert_eq!(
        parse(&same).btf().unwrap().len(),
        parse(&object).btf().unwrap().len()
    );
    assert!(twinpath_machine::Object::parse(&targets::replaced(&object, ".BTF", b"?")).is_err());
}
