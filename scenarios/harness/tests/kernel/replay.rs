//! Programs of objects that were made for the emulator's loader, in both worlds.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use twinpath::emulated::Engine;
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
fn agree(setup: &Setup) {
    let what = format!(
        "{} of {} as {}",
        setup.program,
        setup.path.display(),
        setup.kind
    );
    let frames = [13, 14, 60, 1514, 5000].map(|len| Order::just(1).frame(len));
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
            let differences = ours.differences(&theirs);
            assert!(
                differences.is_empty(),
                "{what}, {} bytes: {differences:?}",
                frame.len()
            );
        }
        let (ours, theirs) = (emulated.maps()?, kernel.maps()?);
        for (map, contents) in &theirs {
            assert_eq!(ours.get(map), Some(contents), "{what}, {map}");
        }
        Ok::<_, ReplayError>(())
    })
    .unwrap();
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
fn a_program_runs_as_any_type_that_takes_packets() {
    needs_kernel!();
    for kind in TYPES {
        agree(&setup("tests/objects/plain.bpf.o", "strange", Some(kind)));
    }
}
