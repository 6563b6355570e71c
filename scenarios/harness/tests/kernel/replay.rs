//! Programs of objects that were made for the emulator's loader, in both worlds.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use twinpath::decode::Decoder;
use twinpath::diff::{self, Leeway};
use twinpath::emulated::Engine;
use twinpath::recording::Recording;
use twinpath::replay::{Emulated, EmulatedOptions, ReplayError, Replayer, Setup, with_kernel};
use twinpath_machine::{Object, ProgramType};

use crate::needs_kernel;
use crate::support::*;

/// What is not in the files of the kernel backend's own tests: calls, initial entries of program arrays and of maps
/// of maps, variables, old layouts of maps.
const PROGRAMS: &[(&str, &str)] = &[
    ("globals", "entry"),
    ("globals", "sums"),
    ("globals_old", "entry"),
    ("legacy", "count"),
    ("legacy", "drop"),
    ("legacy_old", "count"),
    ("nested", "entry"),
    ("calls", "nested"),
    ("calls", "called_static"),
];

const TYPES: [ProgramType; 8] = [
    ProgramType::Xdp,
    ProgramType::SchedCls,
    ProgramType::SchedAct,
    ProgramType::SocketFilter,
    ProgramType::CgroupSkb,
    ProgramType::LwtIn,
    ProgramType::LwtOut,
    ProgramType::LwtXmit,
];

fn setup(path: &str, program: &str, kind: Option<ProgramType>) -> Setup {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let bytes = std::fs::read(&path).unwrap();
    let object = Object::parse(&bytes).unwrap();
    let mut programs = object.programs().iter();
    let found = programs.find(|found| found.name == program).unwrap();
    Setup {
        path,
        bytes: bytes.into(),
        program: program.to_owned(),
        kind: kind.unwrap_or(found.kind),
        globals: BTreeMap::new(),
        max_entries: BTreeMap::new(),
    }
}

/// Runs a program over frames on both sides, which must agree on each and on the maps.
/// How many events the kernel's program wrote.
fn agree(setup: &Setup) -> usize {
    let what = format!(
        "{} of {} as {}",
        setup.program,
        setup.path.display(),
        setup.kind
    );
    let frames = [13, 14, 60, 1514, 5000].map(|len| Order::just(1).frame(len));
    let mut events = 0;
    with_kernel(setup, |kernel| {
        let mut emulated = Emulated::new(
            setup,
            EmulatedOptions {
                engine: Engine::Checked,
                cpus: 1,
                seed: 0,
                mtu: 1500,
                test_run: true,
            },
        )?;
        for frame in &frames {
            let ours = emulated.packet(Duration::ZERO, frame)?;
            let theirs = kernel.packet(Duration::ZERO, frame)?;
            let differences = ours.differences(&theirs, &Decoder::new([]));
            assert!(
                differences.is_empty(),
                "{what}, {} bytes: {differences:?}",
                frame.len()
            );
            events += theirs.events.len();
        }
        let with_maps = |maps| Recording {
            maps,
            ..Recording::default()
        };
        let (ours, theirs) = (with_maps(emulated.maps()?), with_maps(kernel.maps()?));
        assert_eq!(ours.maps.len(), theirs.maps.len(), "{what}");
        let maps = diff::compare(&ours, &theirs, &Decoder::new([]), &Leeway::default()).maps;
        assert!(maps.is_empty(), "{what}: {maps:?}");
        Ok::<_, ReplayError>(())
    })
    .unwrap();
    events
}

#[test]
fn objects_of_others_run_alike() {
    needs_kernel!();
    for (object, program) in PROGRAMS {
        let path = format!("../../emulator/machine/tests/objects/{object}.bpf.o");
        agree(&setup(&path, program, None));
    }
}

#[test]
fn events_are_read() {
    needs_kernel!();
    // Two records tell of each frame, with the verdict 1. For tc the longest is too long.
    for (program, events) in [("entry", 10), ("from_device", 8)] {
        let setup = setup("tests/objects/hooks.bpf.o", program, None);
        assert_eq!(agree(&setup), events, "{program}");
    }
}

#[test]
fn a_program_runs_as_any_type_that_takes_packets() {
    needs_kernel!();
    for kind in TYPES {
        agree(&setup("tests/objects/plain.bpf.o", "strange", Some(kind)));
    }
}
