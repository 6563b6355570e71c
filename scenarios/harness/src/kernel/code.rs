//! A program as instructions that the kernel takes, alone or with a tap.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use twinpath_bpf::{DebugInfo, Map, load_btf};
use twinpath_machine::isa::{Insn, SLOT, pseudo};
use twinpath_machine::object::btf::{Btf, Kind};
use twinpath_machine::{HelperId, MapId, Program, ProgramType};

use super::types::Types;

/// A program, with all functions that it calls and the object's maps put in.
#[derive(Debug, Clone)]
pub struct Function {
    /// The program's name.
    pub name: String,
    /// The type that its section, or what calls it, gives it.
    pub kind: ProgramType,
    /// The licence of its object.
    pub license: CString,
    instructions: Vec<u8>,
    /// Where each function starts, the program's own first, with its name.
    functions: Vec<(u32, String)>,
    lines: Vec<Line>,
    /// The object's types, if it has any.
    types: Option<Types>,
}

/// A source line, from an instruction on.
#[derive(Debug, Clone)]
struct Line {
    instruction: u32,
    file: String,
    text: String,
    /// As `struct bpf_line_info` has them.
    place: u32,
}

/// Instructions with what the kernel is told about them.
#[derive(Debug)]
pub struct Whole {
    /// Of eight bytes each.
    pub instructions: Vec<u8>,
    /// Functions and lines, if the object has BTF that the kernel takes.
    pub debug: Option<OwnedDebugInfo>,
}

/// What the kernel is told about instructions.
#[derive(Debug)]
pub struct OwnedDebugInfo {
    btf: OwnedFd,
    functions: Vec<u8>,
    lines: Vec<u8>,
}

/// Bits of a column in `bpf_line_info.line_col`.
const COLUMN_BITS: u32 = 10;
/// Kernel functions have these numbers in the emulator, others are helpers.
const FIRST_KERNEL_FUNCTION: u32 = 0x1_0000;
/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;

impl Function {
    /// A program of the emulator's machine with the kernel's maps in place of the machine's.
    ///
    /// # Errors
    /// When the program calls a function that this kernel does not have.
    pub fn new(
        program: &Program,
        license: &str,
        maps: &BTreeMap<MapId, &Map>,
        types: Option<&Types>,
    ) -> io::Result<Self> {
        let instructions = linked(&program.insns, maps)?;
        let functions = program.functions.iter();
        Ok(Self {
            name: program.name.clone(),
            kind: program.kind,
            license: CString::new(license).unwrap_or_default(),
            instructions,
            functions: functions
                .map(|function| (function.slot, function.name.clone()))
                .collect(),
            lines: lines(program),
            types: types.cloned(),
        })
    }

    /// The program as it is. Without BTF if the kernel does not take the object's.
    pub fn alone(&self) -> Whole {
        let described = self.types.clone().map(|mut types| {
            let functions = self.functions.iter();
            let functions = functions
                .map(|(start, name)| (*start, described(&mut types, name)))
                .collect::<Vec<_>>();
            self.debug_info(types, &functions, 0)
        });
        Whole {
            instructions: self.instructions.clone(),
            debug: described.and_then(Result::ok),
        }
    }

    /// Puts other instructions in front, which are then the program, and this one a function of it.
    ///
    /// The program, now called by another, gets a description of its own, as a static function: one that is
    /// verified for the call that is there, and not for all that its signature would allow.
    pub fn behind(&self, front: &[u8]) -> Whole {
        let shift = (front.len() / SLOT) as u32;
        let described = self.types.clone().map(|mut types| {
            let mut functions = vec![
                (0, types.add_function("twinpath_tap")),
                (shift, types.add_function("twinpath_program")),
            ];
            for (start, name) in self.functions.iter().skip(1) {
                functions.push((start + shift, described(&mut types, name)));
            }
            self.debug_info(types, &functions, shift)
        });
        Whole {
            instructions: [front, &self.instructions].concat(),
            debug: described.and_then(Result::ok),
        }
    }

    /// The kernel wants each function described, and if there are lines, one at the start of each.
    fn debug_info(
        &self,
        mut types: Types,
        functions: &[(u32, u32)],
        shift: u32,
    ) -> io::Result<OwnedDebugInfo> {
        let mut lines: BTreeMap<u32, [u32; 3]> = BTreeMap::new();
        for line in &self.lines {
            let words = [types.name(&line.file), types.name(&line.text), line.place];
            lines.entry(line.instruction + shift).or_insert(words);
        }
        for (start, _) in functions {
            let next = lines.range(*start..).next().or(lines.iter().next_back());
            if let Some(words) = next.map(|(_, words)| *words) {
                lines.entry(*start).or_insert(words);
            }
        }
        let words = |at: &u32, [file, text, place]: &[u32; 3]| [*at, *file, *text, *place];
        Ok(OwnedDebugInfo {
            btf: load_btf(&types.bytes())?,
            functions: functions
                .iter()
                .flat_map(|(at, of)| [*at, *of])
                .flat_map(u32::to_ne_bytes)
                .collect(),
            lines: lines
                .iter()
                .flat_map(|(at, line)| words(at, line))
                .flat_map(u32::to_ne_bytes)
                .collect(),
        })
    }
}

/// The object's own description of a function, or one that is made.
fn described(types: &mut Types, name: &str) -> u32 {
    types
        .function(name)
        .unwrap_or_else(|| types.add_function(name))
}

/// The lines of a program, without those of a kind that the kernel does not take.
fn lines(program: &Program) -> Vec<Line> {
    let mut second_half = vec![false; program.insns.len()];
    for (slot, insn) in program.insns.iter().enumerate() {
        if is_wide(insn)
            && !second_half[slot]
            && let Some(next) = second_half.get_mut(slot + 1)
        {
            *next = true;
        }
    }
    let takes = |slot: u32| second_half.get(slot as usize) == Some(&false);
    program
        .lines
        .iter()
        .filter(|line| takes(line.slot))
        .map(|line| Line {
            instruction: line.slot,
            file: line.file.to_string(),
            text: line.text.to_string(),
            place: line.line << COLUMN_BITS | line.column & ((1 << COLUMN_BITS) - 1),
        })
        .collect()
}

fn is_wide(insn: &Insn) -> bool {
    const LOAD_IMMEDIATE: u8 = 0x18;
    insn.code == LOAD_IMMEDIATE
}

/// The instructions with descriptors of maps and numbers of kernel functions put in.
fn linked(insns: &[Insn], maps: &BTreeMap<MapId, &Map>) -> io::Result<Vec<u8>> {
    let mut kernel = None;
    let mut linked = Vec::with_capacity(insns.len() * SLOT);
    let mut slots = insns.iter();
    while let Some(insn) = slots.next() {
        let mut insn = *insn;
        let called = HelperId(insn.imm as u32);
        if insn.code == CALL
            && insn.src == 0
            && called.0 >= FIRST_KERNEL_FUNCTION
            && let Some(name) = called.name()
        {
            insn.imm = kernel_function(&mut kernel, name)? as i32;
            insn.src = pseudo::KFUNC_CALL;
        }
        if is_wide(&insn) && matches!(insn.src, pseudo::MAP_FD | pseudo::MAP_VALUE) {
            let map = maps.get(&MapId(insn.imm as u32));
            insn.imm = map.ok_or(io::ErrorKind::NotFound)?.as_raw_fd();
        }
        linked.extend(insn.to_bytes());
        if is_wide(&insn) {
            linked.extend(slots.next().copied().unwrap_or_default().to_bytes());
        }
    }
    Ok(linked)
}

/// The number of a function's type among the kernel's.
fn kernel_function(kernel: &mut Option<Btf>, name: &str) -> io::Result<u32> {
    let btf = match kernel {
        Some(btf) => btf,
        None => kernel.insert(Btf::of_running_kernel()?),
    };
    let found = btf
        .types()
        .find(|(_, of)| matches!(of.kind, Kind::Function { .. }) && of.name == name);
    let (id, _) = found.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("this kernel has no function {name}"),
        )
    })?;
    Ok(id.0)
}

impl OwnedDebugInfo {
    /// As the system call takes it.
    pub fn borrow(&self) -> DebugInfo<'_> {
        DebugInfo {
            btf: self.btf.as_fd(),
            functions: &self.functions,
            lines: &self.lines,
        }
    }
}
