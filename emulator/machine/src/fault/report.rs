//! A fault as text for people.

use std::fmt;

use super::explain::{self, Explanation};
use super::{Fault, objects};
use crate::engine::UninitializedStack;
use crate::isa::disassemble;
use crate::machine::Machine;
use crate::program::Program;

/// What went wrong, where, and what led there.
///
/// Its text looks like this:
///
/// ```text
/// error: read of 4 bytes outside of its object
///   --> flow.c:31:12, instruction 14 of count, program xdp_entry
///    |
///    | ; total += flow->bytes;
/// 14 | (61) r2 = *(u32 *)(r0 +16)
///    |
///    = note: the pointer is 16 bytes into a value of hash map `flows`, which has 16 bytes
///    = note: bpf_map_lookup_elem returned it
///   --> flow.c:30:9, instruction 12
///    ...
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    /// `error`, or `warning` where the run went on.
    pub level: &'static str,
    /// What happened, in one line.
    pub title: String,
    /// Where it happened; none when no instruction was at fault.
    pub place: Option<Place>,
    /// What led there.
    pub notes: Vec<Note>,
    /// What to do about it.
    pub help: Option<&'static str>,
    /// What the registers held, by name; those that held zero are left out.
    pub registers: Vec<(String, String)>,
}

/// Something to know about a fault.
#[derive(Debug, Clone)]
pub struct Note {
    /// The sentence.
    pub text: String,
    /// The instruction that it is about.
    pub place: Option<Place>,
}

/// An instruction of a program.
#[derive(Debug, Clone)]
pub struct Place {
    /// The instruction's slot, from the program's start.
    pub instruction: u32,
    /// The instruction as the verifier prints it.
    pub text: String,
    /// The function that it is in.
    pub function: String,
    /// The program.
    pub program: String,
    /// File, line and column, when the object says; a line or column of 0 is unknown.
    pub source: Option<(String, u32, u32)>,
    /// The line's text, when the object says.
    pub line: String,
}

impl Fault {
    /// The fault for people; `machine` is the one that it happened on.
    pub fn report(&self, machine: &Machine) -> Report {
        let program = self.id.and_then(|id| machine.program(id));
        let Explanation { title, notes, help } = explain::explain(self, machine);
        let at = |instruction| program.map(|program| Place::of(program, instruction));
        Report {
            level: "error",
            title,
            place: at(self.instruction),
            notes: notes
                .into_iter()
                .map(|(text, instruction)| Note {
                    text,
                    place: instruction.and_then(at),
                })
                .collect(),
            help,
            registers: self.named_registers(machine),
        }
    }

    fn named_registers(&self, machine: &Machine) -> Vec<(String, String)> {
        let known = self.registers.iter().enumerate();
        known
            .filter_map(|(number, register)| {
                let register = register.filter(|register| register.value != 0)?;
                Some((format!("r{number}"), objects::register(register, machine)))
            })
            .collect()
    }
}

impl UninitializedStack {
    /// The warning for people; `machine` is the one that the run was on.
    pub fn report(&self, machine: &Machine) -> Report {
        let program = machine.program(self.program);
        Report {
            level: "warning",
            title: self.to_string(),
            place: program.map(|program| Place::of(program, self.instruction)),
            notes: vec![Note {
                text: "the kernel lets privileged programs do it and gives them what lay there; here it is zero"
                    .to_owned(),
                place: None,
            }],
            help: Some("initialise the variable, or all of the structure with its padding"),
            registers: Vec::new(),
        }
    }
}

impl fmt::Display for UninitializedStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&explain::uninitialized(self.size, self.offset))
    }
}

impl Place {
    fn of(program: &Program, instruction: u32) -> Self {
        let slot = instruction as usize;
        let insn = program.insns.get(slot).copied();
        let next = program.insns.get(slot + 1).copied();
        let text = insn.map(|insn| format!("({:02x}) {}", insn.code, disassemble(insn, next)));
        let line = program.line_at(instruction);
        let function = program.function_at(instruction);
        Self {
            instruction,
            text: text.unwrap_or_default(),
            function: function.map_or_else(String::new, |function| function.name.clone()),
            program: program.name.clone(),
            source: line.map(|line| (line.file.to_string(), line.line, line.column)),
            line: line.map_or_else(String::new, |line| line.text.trim().to_owned()),
        }
    }

    /// `flow.c:31:12, instruction 14 of count, program xdp_entry`
    fn header(&self) -> String {
        let mut header = String::new();
        if let Some((file, line, column)) = &self.source {
            header += file;
            for number in [line, column] {
                if *number != 0 {
                    header += &format!(":{number}");
                }
            }
            header += ", ";
        }
        header += &format!("instruction {}", self.instruction);
        if !self.function.is_empty() && self.function != self.program {
            header += &format!(" of {}", self.function);
        }
        if !self.program.is_empty() {
            header += &format!(", program {}", self.program);
        }
        header
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        writeln!(f, "{:width$}--> {}", "", self.header())?;
        writeln!(f, "{:width$} |", "")?;
        if !self.line.is_empty() {
            writeln!(f, "{:width$} | ; {}", "", self.line)?;
        }
        writeln!(f, "{:width$} | {}", self.instruction, self.text)?;
        writeln!(f, "{:width$} |", "")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self
            .place
            .iter()
            .chain(self.notes.iter().filter_map(|note| note.place.as_ref()));
        let digits = |place: &Place| place.instruction.to_string().len();
        let width = places.map(digits).max().unwrap_or(1);
        writeln!(f, "{}: {}", self.level, self.title)?;
        if let Some(place) = &self.place {
            place.write(f, width)?;
        }
        for note in &self.notes {
            writeln!(f, "{:width$} = note: {}", "", note.text)?;
            if let Some(place) = &note.place {
                place.write(f, width)?;
            }
        }
        if let Some(help) = self.help {
            writeln!(f, "{:width$} = help: {help}", "")?;
        }
        if !self.registers.is_empty() {
            writeln!(f, "{:width$} = registers other than 0:", "")?;
        }
        for (name, value) in &self.registers {
            writeln!(f, "{:width$}   {name:<3} = {value}", "")?;
        }
        Ok(())
    }
}
