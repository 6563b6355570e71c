//! A case: some steps of a program in a row, on some packets.

use std::fmt;

use twinpath_machine::isa::{CALL, Insn, pseudo};
use twinpath_machine::memory::{Field, FieldValue};
use twinpath_machine::{HelperId, ProgramType};
use twinpath_node::layout;

use crate::support::asm::{
    Width, alu_k, alu_x, cond, exit, insn, jump_k, ld_abs, ld_ind, lddw, ldx, mov, movr, op, st,
    stx,
};

use super::maps::{Name, Numbers};

/// Bytes of the map value that both sides share: results, context fields, buffers.
pub const SPACE: usize = 1024;
/// Where the fields of the context are copied to.
const FIELDS: i16 = 128;
/// Where `struct __sk_buff` has `hash`.
const CONTEXT_HASH: i16 = 68;
/// Where its copy is.
pub const HASH: usize = (FIELDS + CONTEXT_HASH) as usize;
/// Where `struct __sk_buff` has `sk`.
const SK: i16 = 168;
/// Where the buffers for helpers begin.
pub const BUFFERS: i16 = 512;

/// An argument of a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// The context.
    Context,
    /// A number.
    Number(u64),
    /// A pointer into the buffers.
    Buffer(u16),
    /// A map.
    Map(Name),
    /// A null pointer.
    Null,
}

/// What a program does.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Calls a helper and keeps what it returns.
    Call(HelperId, Vec<Arg>),
    /// Reads a field of the context, or a part of it.
    Read(Width, i16),
    /// Writes a number into a field of the context.
    Write(Width, i16, u64),
    /// Reads a field of the packet's socket, and whether it is looked at as a full one first.
    Socket { full: bool, at: i16 },
    /// Puts bytes into the buffers.
    Fill(u16, Vec<u8>),
    /// Loads from the packet (`BPF_LD | BPF_ABS`), or ends the program.
    Absolute(Width, i32),
    /// The same with a register that is added to the offset (`BPF_LD | BPF_IND`).
    Indirect(Width, i32, u64),
}

impl Step {
    /// Whether it reads a field's bytes that the kernel does not keep, or writes what it does not keep:
    /// only the checked engine sees which field an access is to.
    pub fn meets_narrow_field(&self, kind: ProgramType) -> bool {
        let layout = layout(kind, None).unwrap();
        let field = |at: i16| {
            let field = layout.field_at(at as u32)?;
            match field.value {
                FieldValue::Short(kept) => Some((u32::from(kept), at as u16 - field.offset)),
                FieldValue::Queue => Some((2, at as u16 - field.offset)),
                _ => None,
            }
        };
        match *self {
            Self::Read(_, at) => field(at).is_some_and(|(kept, within)| u32::from(within) >= kept),
            Self::Write(_, at, value) => {
                field(at).is_some_and(|(kept, _)| (value as u32) >> (kept * 8 - 1) != 0)
            }
            _ => false,
        }
    }

    /// Whether it yields the packet's hash or a part of it.
    pub fn reads_hash(&self) -> bool {
        matches!(self, Self::Read(_, at) if (CONTEXT_HASH..CONTEXT_HASH + 4).contains(at))
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(helper, args) => write!(f, "{helper}{args:x?}"),
            Self::Read(width, at) => write!(f, "read {} bytes at {at}", width.bytes()),
            Self::Write(width, at, value) => {
                write!(f, "write {value:#x}, {} bytes at {at}", width.bytes())
            }
            Self::Socket { full, at } => write!(f, "read sk at {at}, full {full}"),
            Self::Fill(at, bytes) => write!(f, "{at}: {bytes:02x?}"),
            Self::Absolute(width, at) => write!(f, "load {} bytes at {at:#x}", width.bytes()),
            Self::Indirect(width, at, by) => {
                write!(f, "load {} bytes at {at:#x} + {by:#x}", width.bytes())
            }
        }
    }
}

/// What a program runs on.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    pub data: Vec<u8>,
    pub context: Vec<u8>,
    /// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`.
    pub checksum_complete: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: String = self.data.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{} bytes {hex}", self.data.len())?;
        for (at, word) in self.context.chunks(4).enumerate() {
            let value = word
                .iter()
                .rev()
                .fold(0u32, |all, byte| all << 8 | u32::from(*byte));
            if value != 0 {
                write!(f, ", context {}: {value:#x}", at * 4)?;
            }
        }
        write!(f, ", checksum_complete {}", self.checksum_complete)
    }
}

/// Steps in a row, and inputs.
#[derive(Clone, PartialEq, Eq)]
pub struct Case {
    pub kind: ProgramType,
    pub steps: Vec<Step>,
    pub inputs: Vec<Input>,
    /// The buffers before.
    pub buffers: Vec<u8>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} program: {:x?}", self.kind, self.steps)?;
        for (index, input) in self.inputs.iter().enumerate() {
            writeln!(f, "input {index}: {input:?}")?;
        }
        let hex: String = self
            .buffers
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        write!(f, "buffers {hex}")
    }
}

impl Case {
    /// Whether an XDP program says that it knows packets of several buffers. Programs that share a map
    /// of devices or CPUs all do or all do not (`bpf_prog_map_compatible`): these do not.
    pub fn knows_fragments(&self) -> bool {
        let drawn = self.buffers.first().is_some_and(|byte| byte & 1 != 0);
        let redirects = |step: &Step| matches!(step, Step::Call(HelperId::REDIRECT_MAP, _));
        drawn && self.kind == ProgramType::Xdp && !self.steps.iter().any(redirects)
    }

    /// Whether a step meets a narrow field.
    pub fn meets_narrow_fields(&self) -> bool {
        let meets = |step: &Step| step.meets_narrow_field(self.kind);
        self.steps.iter().any(meets)
    }

    /// The program, with maps of these numbers or descriptors.
    pub fn program(&self, maps: &Numbers) -> Vec<Insn> {
        let mut insns = vec![movr(6, 1), st(Width::W, 10, -4, 0), movr(2, 10)];
        insns.push(alu_k(true, op::ADD, 2, -4, 0));
        insns.extend(load_map(1, maps.of(Name::Space)));
        insns.push(call(HelperId::MAP_LOOKUP_ELEM));
        insns.push(jump_k(true, cond::JNE, 0, 0, 1));
        insns.push(exit());
        insns.push(movr(9, 0));
        for (index, step) in self.steps.iter().enumerate() {
            take(&mut insns, step, maps);
            insns.push(stx(Width::D, 9, index as i16 * 8, 0));
        }
        dump(&mut insns, self.kind);
        let last = (self.steps.len().max(1) as i16 - 1) * 8;
        insns.push(ldx(Width::D, 0, 9, last));
        if self.kind == ProgramType::CgroupSkb {
            // The verifier wants a verdict.
            insns.push(alu_k(true, op::AND, 0, 1, 0));
        }
        insns.push(exit());
        insns
    }
}

/// The call of a helper.
pub fn call(helper: HelperId) -> Insn {
    insn(CALL, 0, 0, 0, helper.0 as i32)
}

/// A step whose result is in r0 afterwards.
fn take(insns: &mut Vec<Insn>, step: &Step, maps: &Numbers) {
    match step {
        Step::Call(helper, args) => {
            for (number, arg) in args.iter().enumerate() {
                set(insns, number as u8 + 1, *arg, maps);
            }
            insns.push(call(*helper));
        }
        Step::Read(width, at) => insns.push(ldx(*width, 0, 6, *at)),
        Step::Write(width, at, value) => {
            insns.extend(lddw(0, 0, *value));
            insns.push(stx(*width, 6, *at, 0));
        }
        Step::Socket { full, at } => {
            let more = if *full { 3 } else { 0 };
            insns.extend([ldx(Width::D, 1, 6, SK), mov(0, -1)]);
            insns.push(jump_k(true, cond::JEQ, 1, 0, more + 1));
            if *full {
                insns.push(call(HelperId::SK_FULLSOCK));
                insns.extend([jump_k(true, cond::JEQ, 0, 0, 2), movr(1, 0)]);
            }
            insns.push(ldx(Width::W, 0, 1, *at));
        }
        Step::Fill(at, bytes) => {
            for (index, word) in bytes.chunks(4).enumerate() {
                let mut value = [0; 4];
                value[..word.len()].copy_from_slice(word);
                let at = BUFFERS + *at as i16 + index as i16 * 4;
                insns.push(st(Width::W, 9, at, i32::from_le_bytes(value)));
            }
            insns.push(mov(0, 0));
        }
        Step::Absolute(width, at) => insns.push(ld_abs(*width, *at)),
        Step::Indirect(width, at, by) => {
            insns.extend(lddw(1, 0, *by));
            insns.push(ld_ind(*width, 1, *at));
        }
    }
}

fn load_map(register: u8, number: i32) -> [Insn; 2] {
    lddw(register, pseudo::MAP_FD, number as u32 as u64)
}

fn set(insns: &mut Vec<Insn>, register: u8, arg: Arg, maps: &Numbers) {
    match arg {
        Arg::Context => insns.push(movr(register, 6)),
        Arg::Map(name) => insns.extend(load_map(register, maps.of(name))),
        Arg::Null => insns.push(mov(register, 0)),
        Arg::Number(value) => insns.extend(lddw(register, 0, value)),
        Arg::Buffer(at) => {
            insns.push(movr(register, 9));
            let at = i32::from(BUFFERS) + i32::from(at);
            insns.push(alu_k(true, op::ADD, register, at, 0));
        }
    }
}

/// Copies what the context says into the shared value; of pointers into the packet, their distances.
fn dump(insns: &mut Vec<Insn>, kind: ProgramType) {
    let layout = layout(kind, None).unwrap();
    for field in layout.fields {
        if !matches!(field.value, FieldValue::Packet | FieldValue::Object) {
            copy(insns, field);
        }
    }
    let Some(data) = layout.field("data") else {
        return;
    };
    let distance = |insns: &mut Vec<Insn>, upper: &Field, lower: &Field, to: &Field| {
        insns.push(ldx(Width::W, 1, 6, upper.offset as i16));
        insns.push(ldx(Width::W, 2, 6, lower.offset as i16));
        insns.push(alu_x(true, op::SUB, 1, 2, 0));
        insns.push(stx(Width::W, 9, FIELDS + to.offset as i16, 1));
    };
    if let Some(end) = layout.field("data_end") {
        distance(insns, end, data, end);
    }
    if let Some(meta) = layout.field("data_meta") {
        distance(insns, data, meta, meta);
    }
}

fn copy(insns: &mut Vec<Insn>, field: &Field) {
    let widths = [Width::D, Width::W, Width::B];
    let fits = |width: &Width| {
        let bytes = width.bytes() as u32;
        field.read.contains(bytes) && u32::from(field.offset).is_multiple_of(bytes)
    };
    let Some(width) = widths.into_iter().find(fits) else {
        return;
    };
    let bytes = width.bytes();
    for at in (0..field.size as i16).step_by(bytes as usize) {
        // An array of words whose last one stands alone.
        let width = if at + bytes > field.size as i16 {
            Width::W
        } else {
            width
        };
        let at = field.offset as i16 + at;
        insns.push(ldx(width, 1, 6, at));
        insns.push(stx(width, 9, FIELDS + at, 1));
    }
}
