//! A plug-in for public eBPF conformance runners: runs one program and prints r0 in hexadecimal.
//!
//! `conformance_plugin [MEMORY] [--program HEX] [--elf] [--debug] [--engine checked|rbpf]`
//!
//! MEMORY is hex bytes, spaces allowed. The program comes as hex bytes, 8 a slot, on standard input or
//! after `--program`; with `--elf` they are an object file's, of which the first program runs. Bytes may
//! stand apart or together, in either case, with or without `0x` before each word. r1 holds
//! the memory's address or 0, r2 its length, r10 the top of the stack. Helper 5 and the machine's other
//! helpers are callable. A program that is refused or faults: the reason on standard error, exit 1; a
//! wrong argument: exit 2.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a command.

#[cfg(test)]
#[path = "../../tests/isa/asm.rs"]
#[allow(dead_code)] // The tests of the instruction set use all of it.
mod asm;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::process::ExitCode;

use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Outcome, Rbpf};
use twinpath_machine::isa;
use twinpath_machine::{
    Alone, Cpu, LoadOptions, Machine, MachineOptions, Object, Placement, Program, ProgramId,
    ProgramType, TargetBtf,
};

/// Guest memory besides the program's own: stacks, and maps of an object file.
const ROOM: usize = 64 << 20;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    match run(&options, &mut std::io::stdin()) {
        Ok(outcome) => {
            if options.debug {
                eprintln!("{:?}", outcome.cost);
            }
            println!("{:x}", outcome.result);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    memory: Vec<u8>,
    program: Option<String>,
    elf: bool,
    debug: bool,
    rbpf: bool,
}

impl Options {
    /// Runners pass their plug-in options as one argument, which may be empty.
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut memory_seen = false;
        let mut words: Vec<String> = Vec::new();
        for arg in args {
            if arg.starts_with("--") {
                words.extend(arg.split_whitespace().map(str::to_owned));
            } else {
                words.push(arg);
            }
        }
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| words.next()).unwrap_or_default();
            match name {
                "--program" => options.program = Some(value()),
                "--elf" => options.elf = true,
                "--debug" => options.debug = true,
                "--engine" => {
                    options.rbpf = match value().as_str() {
                        "checked" => false,
                        "rbpf" => true,
                        other => return Err(format!("engine {other:?} is not checked or rbpf")),
                    }
                }
                "" => {}
                _ if name.starts_with("--") => return Err(format!("unknown option {name:?}")),
                _ if memory_seen => return Err(format!("unexpected argument {word:?}")),
                _ => {
                    memory_seen = true;
                    options.memory = hex(&word).map_err(|problem| format!("memory: {problem}"))?;
                }
            }
        }
        Ok(options)
    }

    /// The program's bytes.
    fn program(&self, input: &mut dyn Read) -> Result<Vec<u8>, String> {
        let mut text = String::new();
        let text = match &self.program {
            Some(program) => program,
            None => {
                let read = input.read_to_string(&mut text);
                read.map_err(|error| format!("read the program: {error}"))?;
                &text
            }
        };
        hex(text).map_err(|problem| format!("program: {problem}"))
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let words = text.split_whitespace();
    let digits: Vec<u8> = words
        .flat_map(|word| word.trim_start_matches("0x").chars())
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or("something that is no hexadecimal digit")?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
    } else {
        Err("half a byte at the end".to_owned())
    }
}

fn run(options: &Options, input: &mut dyn Read) -> Result<Outcome, String> {
    let bytes = options.program(input)?;
    let mut machine = Machine::new(MachineOptions {
        placement: if options.rbpf {
            Placement::Identity
        } else {
            Placement::Anywhere
        },
        memory: u32::try_from(ROOM + options.memory.len()).map_err(|_| "too much memory")?,
        ..MachineOptions::default()
    })
    .map_err(|error| error.to_string())?;
    let program = if options.elf {
        load_object(&mut machine, &bytes)?
    } else {
        load_slots(&mut machine, &bytes)?
    };
    let invocation = Invocation {
        program,
        cpu: Cpu(0),
        context: context(&mut machine, &options.memory)?,
        packet: None,
        bound: &[],
    };
    let mut engine: Box<dyn Engine> = if options.rbpf {
        Box::new(Rbpf::default())
    } else {
        Box::new(Checked::default())
    };
    let outcome = engine.run(&mut machine, &mut Alone, &invocation);
    outcome.map_err(|fault| fault.report(&machine).to_string())
}

/// Copies the program's memory into the machine.
fn context(machine: &mut Machine, memory: &[u8]) -> Result<Context, String> {
    if memory.is_empty() {
        return Ok(Context::None);
    }
    let len = memory.len() as u32;
    let address = machine.memory.allocate(u64::from(len));
    let address = address.map_err(|error| error.to_string())?;
    machine.memory.raw_mut(address, len).copy_from_slice(memory);
    Ok(Context::Memory(address, len))
}

fn load_slots(machine: &mut Machine, bytes: &[u8]) -> Result<ProgramId, String> {
    let insns = isa::parse(bytes).map_err(|rest| format!("{rest} bytes after the last slot"))?;
    let program = Program::bare("test", ProgramType::Unspecified, insns, &|_, _, _| None);
    let program = program.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    Ok(machine.add_program(program))
}

/// Loads the object's first program with what it needs.
fn load_object(machine: &mut Machine, bytes: &[u8]) -> Result<ProgramId, String> {
    let object = Object::parse(bytes).map_err(|error| error.to_string())?;
    let first = object
        .programs()
        .first()
        .ok_or("an object without programs")?;
    let options = LoadOptions {
        btf: TargetBtf::Own,
        programs: Some([first.name.clone()].into()),
        types: [(first.name.clone(), ProgramType::Xdp)].into(),
        lenient: true,
        ..LoadOptions::default()
    };
    let loaded = machine.load(&object, &options, &Alone);
    let loaded = loaded.map_err(|error| error.to_string())?;
    let program = loaded.programs.get(&first.name);
    program
        .copied()
        .ok_or_else(|| format!("program {:?} is not loaded", first.name))
}
