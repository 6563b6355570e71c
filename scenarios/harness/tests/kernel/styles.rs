//! Objects of many styles, made by other compilers and for other loaders: what the emulator loads and the kernel
//! accepts is run in both, and gives the same.

use std::fs;
use std::path::{Path, PathBuf};

use twinpath::arm::Arm;
use twinpath::backend::Backend;
use twinpath::decode::Decoder;
use twinpath::diff::{self, Leeway};
use twinpath::emulated::{EmulatedBackend, Engine};
use twinpath::kernel::KernelBackend;
use twinpath::plan::{HookKind, Plan};
use twinpath_machine::{Object, ProgramType};

use crate::needs_kernel;
use crate::support::*;

/// Folders with objects, from the repository's root.
const FOLDERS: [&str; 2] = [
    "emulator/machine/tests/objects",
    "scenarios/harness/tests/objects",
];

fn objects() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths: Vec<PathBuf> = FOLDERS
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).expect("a folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "o"))
        .collect();
    paths.sort();
    paths
}

/// Frames of several kinds and lengths at the one hook of a program.
fn plan_of(bytes: &[u8], program: &str, kind: HookKind) -> Plan {
    let mut plan = plan();
    plan.nodes[0].objects = vec![object(bytes)];
    let udp = |length: usize| {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0];
        frame.extend((length as u16 - 14).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend([0, 9, 0, 53]);
        frame.extend((length as u16 - 34).to_be_bytes());
        frame.extend((frame.len()..length).map(|at| at as u8));
        frame
    };
    let frames = [Order::just(0).frame(60), udp(60), udp(99), udp(1000)];
    let plan = frames
        .into_iter()
        .fold(plan, |plan, frame| plan.frame("a", frame));
    plan.attach(program, "a", kind)
}

/// What became of a program: a word, or in what it differs.
fn outcome(plan: &Plan) -> Result<&'static str, String> {
    let checked = EmulatedBackend::new(Engine::Checked).run(plan);
    let Ok(checked) = checked else {
        return Ok("refused by the emulator");
    };
    if !checked.warnings.is_empty() {
        return Ok("reads what it never wrote, which is something else each time");
    }
    let kernel = match KernelBackend::default().run(plan) {
        Ok(kernel) => kernel,
        Err(error) if error.verifier_log().is_some() => return Ok("refused by the verifier"),
        Err(error) => return Err(error.to_string()),
    };
    if !kernel.notices.is_empty() {
        return Ok("not recorded in the kernel");
    }
    let rbpf = Arm::Emulator(Engine::Rbpf).run(plan);
    let emulated = [("checked", Some(checked)), ("rbpf", rbpf.ok())];
    for (engine, recording) in emulated {
        let Some(recording) = recording else {
            continue;
        };
        let diff = diff::compare(&kernel, &recording, &Decoder::new([]), &Leeway::default());
        if !diff.is_empty() {
            return Err(format!("the kernel and {engine} differ: {diff:#?}"));
        }
    }
    Ok("the same")
}

/// A frame's way in by a veth pair keeps the packet socket that sent it as `skb->sk`, up to the stack; a frame from a wire
/// has none, and so have the emulator's.
const SEES_THE_SENDER: [(&str, &str); 2] = [("opaque.bpf.o", "uses"), ("opaque.bpf.o", "forgets")];

#[test]
fn what_both_take_they_run_alike() {
    needs_kernel!();
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for path in objects() {
        let bytes = fs::read(&path).expect("it can be read");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let object = Object::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for program in object.programs() {
            if SEES_THE_SENDER.contains(&(&*name, program.name.as_str())) {
                continue;
            }
            let kind = match program.kind {
                ProgramType::Xdp => HookKind::Xdp,
                ProgramType::SchedCls => HookKind::TcIngress,
                _ => continue,
            };
            match outcome(&plan_of(&bytes, &program.name, kind)) {
                Ok(word) => lines.push(format!("{name} {}: {word}", program.name)),
                Err(error) => failures.push(format!("{name} {}: {error}", program.name)),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let same = lines.iter().filter(|line| line.ends_with(": the same"));
    assert!(same.count() >= 10, "{}", lines.join("\n"));
}
