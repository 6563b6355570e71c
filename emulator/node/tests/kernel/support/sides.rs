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

/// The kernel, and the emulator with each of its engines, ready to run cases.
pub struct Sides {
    kernel: Kernel,
    emulators: [Emulator; 2],
    hashes: Hashes,
}

impl Sides {
    pub fn new() -> Self {
        Self {
            kernel: Kernel(KernelMaps::new().unwrap()),
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
        let program = self.kernel.load(case)?;
        let mut spaces = Vec::new();
        for input in &case.inputs {
            spaces.push(self.kernel.run(&program, input, &space(case))?);
        }
        let engines = if case.meets_narrow_fields() { 1 } else { 2 };
        for emulator in self.emulators.iter_mut().take(engines) {
            let program = emulator.load(case)?;
            for (index, (input, expected)) in case.inputs.iter().zip(&spaces).enumerate() {
                let found = emulator.run(program, input, &space(case));
                let found = found.and_then(|mut found| {
                    self.hashes.translate(case, expected, &mut found)?;
                    difference(expected, &found)
                });
                found.map_err(|text| format!("input {index}, {}: {text}", emulator.engine))?;
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
        kernel: &Result<Left, i32>,
        emulator: &mut Result<Left, i32>,
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

    /// What a run left, or the error number of its refusal.
    fn run(
        &self,
        program: &twinpath_bpf::Program,
        input: &Input,
        space: &[u8],
    ) -> Result<Result<Left, i32>, String> {
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

    /// What a run left, or the error number of its refusal.
    fn run(
        &mut self,
        program: ProgramId,
        input: &Input,
        space: &[u8],
    ) -> Result<Result<Left, i32>, String> {
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

/// What differs between both sides.
fn difference(kernel: &Result<Left, i32>, emulator: &Result<Left, i32>) -> Result<(), String> {
    let (kernel, emulator) = match (kernel, emulator) {
        (Ok(kernel), Ok(emulator)) => (kernel, emulator),
        (Err(kernel), Err(emulator)) if kernel == emulator => return Ok(()),
        (kernel, emulator) => {
            let words = |side: &Result<Left, i32>| match side {
                Ok(left) => format!("returns {:#x}", left.returned),
                Err(errno) => format!("refuses with errno {errno}"),
            };
            let (kernel, emulator) = (words(kernel), words(emulator));
            return Err(format!("the kernel {kernel}, the emulator {emulator}"));
        }
    };
    let mut text = String::new();
    if kernel.returned != emulator.returned {
        let (a, b) = (kernel.returned, emulator.returned);
        text += &format!("returned {a:#x}, emulator {b:#x}\n");
    }
    for (name, kernel, emulator) in [
        ("shared value", &kernel.space, &emulator.space),
        ("context", &kernel.context, &emulator.context),
        ("data", &kernel.data, &emulator.data),
    ] {
        if kernel.len() != emulator.len() {
            let (a, b) = (kernel.len(), emulator.len());
            text += &format!("{name}: {a} bytes, emulator {b}\n");
        }
        let unequal = kernel.iter().zip(emulator).enumerate();
        for (at, (a, b)) in unequal.filter(|(_, (a, b))| a != b).take(16) {
            text += &format!("{name} byte {at}: {a:#04x}, emulator {b:#04x}\n");
        }
    }
    let (a, b) = (kernel.events.len(), emulator.events.len());
    if a != b {
        text += &format!("{a} events, emulator {b}\n");
    }
    for (a, b) in kernel.events.iter().zip(&emulator.events) {
        // With a length of four bytes, a multiple of eight.
        let filled = (b.len() + 4).next_multiple_of(8) - 4;
        if a.len() != filled || !a.starts_with(b) {
            text += &format!("event {a:02x?}, emulator {b:02x?}\n");
        }
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}
