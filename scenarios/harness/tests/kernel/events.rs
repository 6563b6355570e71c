//! Records that programs write for user space.

use twinpath::backend::Backend;
use twinpath::emulated::{EmulatedBackend, Engine};
use twinpath::plan::HookKind::Xdp;
use twinpath::plan::Plan;
use twinpath::recording::{Journey, Recording};

use crate::needs_kernel;
use crate::support::*;

/// A ring of 4096 bytes, for records of 48, the last of which the kernel never fills.
const RECORDS: &[u8] = include_bytes!("../objects/records.bpf.o");

/// A frame for each pair of how many records the program reserves and how many of those it submits.
fn writes(pairs: &[(u8, u8)]) -> Plan {
    let mut plan = plan();
    plan.nodes[0].objects = vec![object(RECORDS)];
    let plan = plan.attach("records", "a", Xdp);
    pairs.iter().fold(plan, |plan, (reserved, submitted)| {
        let mut frame = Order::just(0).frame(60);
        frame[14..16].copy_from_slice(&[*reserved, *submitted]);
        plan.frame("a", frame)
    })
}

/// The numbers of the records of a journey.
fn numbers(journey: &Journey) -> Vec<u8> {
    let events = journey.events.iter();
    events.map(|event| event.bytes[0]).collect()
}

fn verdicts(recording: &Recording) -> Vec<String> {
    let hops = recording.journeys.iter().flat_map(|journey| &journey.hops);
    hops.map(verdict).collect()
}

#[test]
fn discarded_records_are_neither_shown_nor_missed() {
    needs_kernel!();
    let plan = writes(&[(10, 3), (84, 0), (84, 84), (0, 0), (2, 1)]);
    let kernel = run(&plan);
    let emulated = EmulatedBackend::new(Engine::Checked).run(&plan).unwrap();
    for recording in [&kernel, &emulated] {
        let numbers: Vec<_> = recording.journeys.iter().map(numbers).collect();
        let all: Vec<u8> = (0..84).collect();
        assert_eq!(numbers, [&[0, 1, 2][..], &[], &all, &[], &[0]]);
        assert_eq!(verdicts(recording), ["XDP_PASS"; 5]);
    }
}

#[test]
fn a_full_ring_is_told_also_when_what_fills_it_is_discarded() {
    needs_kernel!();
    for submitted in [0, 90, 255] {
        let plan = writes(&[(255, submitted), (2, 2)]);
        let kernel = run_with_notices(&plan);
        let emulated = EmulatedBackend::new(Engine::Checked).run(&plan).unwrap();
        assert_eq!(
            kernel.notices,
            ["ring buffer hooks/ring was full after packet 1: records may be missing"]
        );
        for recording in [&kernel, &emulated] {
            assert_eq!(verdicts(recording), ["XDP_DROP", "XDP_PASS"]);
            let first: Vec<u8> = (0..85.min(submitted)).collect();
            assert_eq!(numbers(&recording.journeys[0]), first);
            assert_eq!(numbers(&recording.journeys[1]), [0, 1]);
        }
    }
}
