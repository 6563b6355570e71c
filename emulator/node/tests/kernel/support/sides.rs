//! The kernel and the emulator, side by side.

use std::collections::HashMap;

use twinpath_bpf::{ProgramSource, TestInput};
use twinpath_machine::engine::{Checked, Engine, Rbpf};
use twinpath_machine::isa::encode;
use twinpath_machine::memory::Placement;
use twinpath_machine::{Cpu, HelperId, MachineOptions, Program, ProgramId};
use twinpath_node::{NodeId, TestRun, TestRunError, World};

use super::case::{BUFFERS, Case, HASH, Input, SPACE, Step};
use super::maps::{EmulatorMaps, KernelMaps};
use super::network;

/// What one side left.
#[derive(Clone, PartialEq, Eq)]
pub struct Left {
    pub returned: u32,
    pub data: Vec<u8>,
    pub context: Vec<u8>,
    pub space: Vec<u8>,
    /// The kernel's are filled up.
    pub events: Vec<Vec<u8>>,
}

/// What a run left, or the error number of its refusal.
type Outcome = Result<Left, i32>;

/// The kernel, and the emulator with each of its engines, ready to run cases.
pub struct Sides {
    /// None compares the engines alone.
    kernel: Option<Kernel>,
    emulators: [Emulator; 2],
    hashes: Hashes,
}

impl Sides {
    pub fn new(against: Against) -> Self {
        let kernel = || Kernel(KernelMaps::new().unwrap());
        Self {
            kernel: (against == Against::Kernel).then(kernel),
            emulators: [
                Emulator::new::<Checked>(Placement::Anywhere),
                Emulator::new::<Rbpf>(Placement::Identity),
            ],
            hashes: Hashes::default(),
        }
    }

    /// Runs a case on all sides, and says on how many: the rbpf engine does not keep the kernel's
    /// narrow fields. What differs, in words.
    pub fn compare(&mut self, case: &Case) -> Result<usize, String> {
        let [checked, _] = &mut self.emulators;
        let expected = match &self.kernel {
            Some(kernel) => kernel.run_all(case)?,
            None => checked.run_all(case)?,
        };
        let engines = if case.meets_narrow_fields() { 1 } else { 2 };
        let known = usize::from(self.kernel.is_none());
        for emulator in self.emulators[..engines].iter_mut().skip(known) {
            let all = emulator.run_all(case)?;
            for (index, (mut found, expected)) in all.into_iter().zip(&expected).enumerate() {
                let same = self.hashes.translate(case, expected, &mut found);
                let same = same.and_then(|()| difference(expected, &found));
                same.map_err(|text| format!("input {index}, {}: {text}", emulator.engine))?;
            }
        }
        Ok(engines)
    }
}

/// Flow hashes of the emulator and of the kernel, whose key is random: what is one flow there must be
/// one flow here.
#[derive(Default)]
struct Hashes {
    kernel: HashMap<u32, u32>,
    emulator: HashMap<u32, u32>,
    collisions: u32,
}

impl Hashes {
    /// Replaces the hashes that the emulator found by the kernel's.
    fn translate(
        &mut self,
        case: &Case,
        kernel: &Outcome,
        emulator: &mut Outcome,
    ) -> Result<(), String> {
        let (Ok(kernel), Ok(emulator)) = (kernel, emulator) else {
            return Ok(());
        };
        let mut known = None;
        for (index, step) in case.steps.iter().enumerate() {
            let at = index * 8;
            let word = |space: &[u8]| u32::from_le_bytes([0, 1, 2, 3].map(|byte| space[at + byte]));
            match step {
                Step::Call(HelperId::GET_HASH_RECALC, _) => {
                    known = Some((word(&emulator.space), word(&kernel.space)));
                }
                step if step.reads_hash() => {}
                _ => continue,
            }
            let Some((ours, theirs)) = known else {
                continue;
            };
            if word(&emulator.space) == ours {
                emulator.space[at..at + 4].copy_from_slice(&theirs.to_le_bytes());
            }
        }
        let Some((ours, theirs)) = known else {
            return Ok(());
        };
        let shown = &mut emulator.space[HASH..HASH + 4];
        if shown == ours.to_le_bytes() {
            shown.copy_from_slice(&theirs.to_le_bytes());
        }
        if emulator.returned == ours {
            emulator.returned = theirs;
        }
        self.agree(ours, theirs)
    }

    fn agree(&mut self, ours: u32, theirs: u32) -> Result<(), String> {
        // What a program sets is the same on both sides.
        if ours == theirs {
            return Ok(());
        }
        let was = *self.emulator.entry(ours).or_insert(theirs);
        if was != theirs {
            let text = format!("the flow {ours:#x} was {was:#x} in the kernel, and is {theirs:#x}");
            return self.chance(text);
        }
        let was = *self.kernel.entry(theirs).or_insert(ours);
        if was != ours {
            let text = format!("the kernel's flow {theirs:#x} was {was:#x}, and is {ours:#x}");
            return self.chance(text);
        }
        Ok(())
    }

    /// Of 50,000 flows two have the same hash of 32 bits once in about four times.
    fn chance(&mut self, text: String) -> Result<(), String> {
        const ALLOWED: u32 = 3;
        eprintln!("a collision, or a mistake: {text}");
        self.collisions += 1;
        if self.collisions > ALLOWED {
            return Err(text);
        }
        Ok(())
    }
}

/// The shared value before a run.
fn space(case: &Case) -> Vec<u8> {
    let mut space = vec![0; SPACE];
    space[BUFFERS as usize..][..case.buffers.len()].copy_from_slice(&case.buffers);
    space
}

/// `BPF_F_XDP_HAS_FRAGS`
const HAS_FRAGS: u32 = 1 << 5;

/// With what both engines are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    Kernel,
    /// With each other.
    Engines,
}

/// What programs use in the kernel.
struct Kernel(KernelMaps);

impl Kernel {
    fn load(&self, case: &Case) -> Result<twinpath_bpf::Program, String> {
        let insns = encode(&case.program(&self.0.numbers()));
        let mut source = ProgramSource::new("case", case.kind as u32, &insns);
        if case.knows_fragments() {
            source.flags |= HAS_FRAGS;
        }
        twinpath_bpf::Program::load(&source)
            .map_err(|refusal| format!("the kernel refuses the program: {refusal:?}"))
    }

    /// Runs a case on all of its inputs.
    fn run_all(&self, case: &Case) -> Result<Vec<Outcome>, String> {
        let program = self.load(case)?;
        let run = |input| self.run(&program, input, &space(case));
        case.inputs.iter().map(run).collect()
    }

    fn run(
        &self,
        program: &twinpath_bpf::Program,
        input: &Input,
        space: &[u8],
    ) -> Result<Outcome, String> {
        let written = self.0.space().update(&[0; 4], space, 0);
        written.map_err(|error| error.to_string())?;
        let run = TestInput {
            context: &input.context,
            flags: u32::from(input.checksum_complete) << 2,
            ..TestInput::packet(&input.data)
        };
        let output = match program.test_run(run) {
            Ok(output) => output,
            Err(error) => return Ok(Err(error.raw_os_error().unwrap_or(0))),
        };
        let space = self.0.space().lookup(&[0; 4]);
        let space = space.map_err(|error| error.to_string())?;
        Ok(Ok(Left {
            returned: output.code as u32,
            data: output.packet,
            context: output.context,
            space: space.ok_or("an array without its value")?,
            events: self.0.events(),
        }))
    }
}

/// A world like the kernel's namespace.
struct Emulator {
    engine: &'static str,
    world: World,
    node: NodeId,
    maps: EmulatorMaps,
}

impl Emulator {
    fn new<E: Engine + Default + 'static>(placement: Placement) -> Self {
        let engines = Box::new(|| Box::<E>::default() as Box<dyn Engine>);
        let options = MachineOptions {
            placement,
            // Tests in many threads share the addresses below 4 GiB.
            memory: 64 << 20,
            ..MachineOptions::default()
        };
        let mut world = World::new(options, engines).unwrap();
        let node = world.add_node();
        network::build(&mut world, node);
        let maps = EmulatorMaps::new(&mut world.machine);
        Self {
            engine: E::default().name(),
            world,
            node,
            maps,
        }
    }

    fn load(&mut self, case: &Case) -> Result<ProgramId, String> {
        let insns = case.program(&self.maps.numbers());
        let program = Program::bare("case", case.kind, insns, &|_, _, _| None);
        let program = program.map_err(|errors| format!("{errors:?}"))?;
        Ok(self.world.machine.add_program(program))
    }

    /// Runs a case on all of its inputs.
    fn run_all(&mut self, case: &Case) -> Result<Vec<Outcome>, String> {
        let program = self.load(case)?;
        let inputs = case.inputs.iter().enumerate();
        let run = |(index, input)| {
            let left = self.run(program, input, &space(case));
            left.map_err(|text| format!("input {index}, {}: {text}", self.engine))
        };
        inputs.map(run).collect()
    }

    fn run(&mut self, program: ProgramId, input: &Input, space: &[u8]) -> Result<Outcome, String> {
        let machine = &mut self.world.machine;
        let address = machine.maps[self.maps.space()]
            .lookup(&[0; 4], Cpu(0))
            .ok_or("no value")?;
        machine
            .memory
            .raw_mut(address, SPACE as u32)
            .copy_from_slice(space);
        let run = TestRun {
            program,
            node: self.node,
            data: &input.data,
            context: (!input.context.is_empty()).then_some(&input.context),
            checksum_complete: input.checksum_complete,
        };
        let result = match self.world.test_run(run) {
            Ok(result) => result,
            Err(TestRunError::Refused { errno, .. }) => return Ok(Err(errno.get())),
            Err(TestRunError::Fault(fault)) => return Err(format!("fault: {fault:?}")),
            Err(error) => return Err(error.to_string()),
        };
        let machine = &mut self.world.machine;
        Ok(Ok(Left {
            returned: result.returned,
            data: result.data,
            context: result.context.unwrap_or_default(),
            space: machine.memory.raw(address, SPACE as u32).to_vec(),
            events: self.maps.events(machine),
        }))
    }
}

/// What differs between what was expected and what was found.
fn difference(expected: &Outcome, found: &Outcome) -> Result<(), String> {
    let (expected, found) = match (expected, found) {
        (Ok(expected), Ok(found)) => (expected, found),
        (Err(expected), Err(found)) if expected == found => return Ok(()),
        (expected, found) => {
            let words = |side: &Outcome| match side {
                Ok(left) => format!("returns {:#x}", left.returned),
                Err(errno) => format!("refuses with errno {errno}"),
            };
            let (expected, found) = (words(expected), words(found));
            return Err(format!("{found}, expected: {expected}"));
        }
    };
    let mut text = String::new();
    if expected.returned != found.returned {
        let (a, b) = (found.returned, expected.returned);
        text += &format!("returned {a:#x}, expected {b:#x}\n");
    }
    for (name, expected, found) in [
        ("shared value", &expected.space, &found.space),
        ("context", &expected.context, &found.context),
        ("data", &expected.data, &found.data),
    ] {
        if expected.len() != found.len() {
            let (a, b) = (found.len(), expected.len());
            text += &format!("{name}: {a} bytes, expected {b}\n");
        }
        let unequal = found.iter().zip(expected).enumerate();
        for (at, (a, b)) in unequal.filter(|(_, (a, b))| a != b).take(16) {
            text += &format!("{name} byte {at}: {a:#04x}, expected {b:#04x}\n");
        }
    }
    let (a, b) = (found.events.len(), expected.events.len());
    if a != b {
        text += &format!("{a} events, expected {b}\n");
    }
    for (a, b) in found.events.iter().zip(&expected.events) {
        // The kernel's are filled up: with a length of four bytes, a multiple of eight.
        let filled = (a.len() + 4).next_multiple_of(8) - 4;
        if a != b && !(b.len() == filled && b.starts_with(a)) {
            text += &format!("event {a:02x?}, expected {b:02x?}\n");
        }
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}
