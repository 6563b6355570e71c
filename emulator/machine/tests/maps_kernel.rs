//! Maps against the running kernel: the same random operations on both, through the system call and
//! from programs, and the same results and contents.
//!
//! `TWINPATH_CASES` sets how many sequences of operations each map type gets, `TWINPATH_SEED` from
//! which seed they are made.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // These are tests.

#[path = "isa/asm.rs"]
#[allow(dead_code)] // Shared with the tests of the instruction set.
mod asm;
#[path = "maps/creation.rs"]
mod creation;
#[path = "maps/faces.rs"]
mod faces;
#[path = "maps/handles.rs"]
mod handles;
mod kernel;
#[path = "maps/lru.rs"]
mod lru;
#[path = "maps/owners.rs"]
mod owners;
#[path = "maps/program.rs"]
mod program;
#[path = "maps/records.rs"]
mod records;
#[path = "maps/steps.rs"]
mod steps;
#[path = "maps/things.rs"]
mod things;

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};
use twinpath_machine::MapType;

use faces::{Ours, Theirs};
use kernel::map::Raw;
use program::Command;
use steps::{Case, Step};

const STEPS: usize = 40;

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Runs a property as often and from the seed that the environment says.
fn check<S: Strategy>(
    name: &str,
    strategy: S,
    test: impl Fn(S::Value) -> Result<u64, TestCaseError>,
) {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    let config = ProptestConfig {
        cases: number("TWINPATH_CASES", 64) as u32,
        rng_seed: RngSeed::Fixed(number("TWINPATH_SEED", 1)),
        failure_persistence: None,
        max_shrink_iters: 4096,
        ..ProptestConfig::default()
    };
    let (cases, seed) = (config.cases, config.rng_seed);
    let operations = AtomicU64::new(0);
    let result = TestRunner::new(config).run(&strategy, |case| {
        let done = test(case)?;
        operations.fetch_add(done, Ordering::Relaxed);
        Ok(())
    });
    let operations = operations.into_inner();
    eprintln!("{name}: {cases} cases, {operations} operations, seed {seed}");
    if let Err(error) = result {
        panic!("{name}: {error}");
    }
}

/// Does all steps on both sides and compares what they give.
fn compare(case: &Case) -> Result<u64, TestCaseError> {
    let theirs = Theirs::new(&case.def);
    let ours = Ours::new(&case.def);
    let (theirs, mut ours) = match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => (theirs, ours),
        (Err(_), Err(_)) => return Ok(1),
        (theirs, ours) => {
            let (theirs, ours) = (theirs.err(), ours.err());
            return Err(TestCaseError::fail(format!("create: {theirs:?}, {ours:?}")));
        }
    };
    for (number, step) in case.steps.iter().enumerate() {
        take(case, step, &theirs, &mut ours)
            .map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
    }
    contents(case, &theirs, &mut ours)?;
    Ok(case.steps.len() as u64 + 1)
}

fn take(case: &Case, step: &Step, theirs: &Theirs, ours: &mut Ours) -> Result<(), TestCaseError> {
    let bloom = case.def.kind == MapType::BloomFilter;
    match *step {
        Step::Lookup(key) if bloom => {
            let value = case.value(key);
            let found = faces::raw(ours.map().user_contains(&value));
            prop_assert_eq!(theirs.map.contains(&value), found);
        }
        Step::Lookup(key) => {
            let key = case.key(key);
            same_value(case, theirs.map.lookup(&key), ours.lookup(&key))?;
        }
        Step::Update { key, value, flags } => {
            let (key, value) = (case.key(key), case.user_value(value));
            let done = ours.update(&key, &value, flags);
            prop_assert_eq!(theirs.map.update(&key, &value, flags), done);
        }
        Step::Delete(key) => {
            let key = case.key(key);
            prop_assert_eq!(theirs.map.delete(&key), ours.delete(&key));
        }
        Step::Next(key) => {
            let key = key.map(|key| case.key(key));
            let next = theirs.map.next_key(key.as_deref());
            let own = ours.next_key(key.as_deref());
            match case.ordered() {
                true => prop_assert_eq!(next, own),
                false => prop_assert_eq!(
                    next.err().filter(|_| key.is_none()),
                    own.err().filter(|_| key.is_none())
                ),
            }
        }
        Step::Take(key) => {
            let key = case.key(key);
            same_value(case, theirs.map.take(&key), ours.take(&key))?;
        }
        Step::Freeze => prop_assert_eq!(theirs.map.freeze(), faces::raw(ours.map().freeze())),
        Step::Run {
            action,
            cpu,
            other_cpu,
            key,
            value,
            flags,
        } => {
            let Some(action) = case.action(action) else {
                return Ok(());
            };
            let command = Command {
                action: action as u32,
                cpu: other_cpu,
                flags,
                key: case.key(key),
                value: case.value(value),
            };
            prop_assert_eq!(
                theirs.run(cpu, &command),
                ours.run(cpu, &command),
                "{:?}",
                action
            );
        }
    }
    Ok(())
}

/// Compares what user space reads. What rounds up the values of a per-CPU hash that a program has
/// written to is whatever lay there in the kernel.
fn same_value(case: &Case, theirs: Raw<Vec<u8>>, ours: Raw<Vec<u8>>) -> Result<(), TestCaseError> {
    let hash = matches!(case.def.kind, MapType::PerCpuHash | MapType::LruPerCpuHash);
    let ran = case
        .steps
        .iter()
        .any(|step| matches!(step, Step::Run { .. }));
    let size = case.def.value_size as usize;
    let masked = |value: Raw<Vec<u8>>| match hash && ran {
        false => value,
        true => value.map(|mut value| {
            for value in value.chunks_mut(size.next_multiple_of(8)) {
                value[size..].fill(0);
            }
            value
        }),
    };
    prop_assert_eq!(masked(theirs), masked(ours));
    Ok(())
}

/// All keys and values, in order if the order is the same.
fn contents(case: &Case, theirs: &Theirs, ours: &mut Ours) -> Result<(), TestCaseError> {
    let mut keys = theirs.map.keys();
    let mut own = Vec::new();
    while let Ok(next) = ours.next_key(own.last().map(Vec::as_slice)) {
        own.push(next);
    }
    if !case.ordered() {
        keys.sort();
        own.sort();
    }
    prop_assert_eq!(&keys, &own);
    for key in keys {
        same_value(case, theirs.map.lookup(&key), ours.lookup(&key))?;
    }
    Ok(())
}

macro_rules! same {
    ($($name:ident $kind:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let kind = MapType::$kind;
                check(kind.name(), steps::case(kind, STEPS), |case| compare(&case));
            }
        )*
    };
}

same! {
    array Array,
    percpu_array PerCpuArray,
    hash Hash,
    percpu_hash PerCpuHash,
    lpm_trie LpmTrie,
    queue Queue,
    stack Stack,
    bloom_filter BloomFilter,
}

macro_rules! same_things {
    ($($name:ident $kind:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let kind = MapType::$kind;
                check(kind.name(), handles::case(kind, STEPS), |case| handles::compare(&case));
            }
        )*
    };
}

same_things! {
    array_of_maps ArrayOfMaps,
    hash_of_maps HashOfMaps,
    prog_array ProgArray,
    cgroup_array CgroupArray,
    devmap DevMap,
    devmap_hash DevMapHash,
    cpumap CpuMap,
    xskmap XskMap,
    sockmap SockMap,
    sockhash SockHash,
}

#[test]
fn definitions() {
    check("definitions", creation::def(), |def| {
        creation::compare(&def)
    });
}

#[test]
fn sk_storage() {
    check("sk_storage", owners::sockets(STEPS), |case| {
        owners::compare_sockets(&case)
    });
}

#[test]
fn cgroup_storage() {
    check("cgroup_storage", owners::cgroups(STEPS), |case| {
        owners::compare_cgroups(&case)
    });
}

#[test]
fn ring_buffer() {
    let case = (records::steps(STEPS), prop_oneof![Just(1u32), Just(2)]);
    check("ring_buffer", case, records::compare_rings);
}

#[test]
fn perf_event_array() {
    let case = (records::perf_steps(STEPS), 1..4u32, any::<u8>());
    check("perf_event_array", case, records::compare_events);
}

#[test]
fn lru_hash() {
    let case = steps::case(MapType::LruHash, STEPS).prop_filter("open", |case| !case.restricted());
    check("lru_hash", case, |case| lru::lawful(&case));
}

#[test]
fn lru_percpu_hash() {
    let kind = MapType::LruPerCpuHash;
    let case = steps::case(kind, STEPS).prop_filter("open", |case| !case.restricted());
    check("lru_percpu_hash", case, |case| lru::lawful(&case));
}

#[test]
fn lru_hash_is_exact() {
    let case = steps::case(MapType::LruHash, STEPS).prop_filter("open", |case| !case.restricted());
    check("lru_hash, model", case, |case| lru::exact(&case));
}
