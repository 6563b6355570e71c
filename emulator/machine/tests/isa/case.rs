//! Bodies with what they are given, and the programs that run them.

use twinpath_machine::ProgramType;
use twinpath_machine::isa::{Insn, LD_IMM64, pseudo};

use super::asm::{Width, alu_k, cond, exit, jump_x, lddw, ldx, mov, movr, op, stx};

/// Bytes of the space that r9 points to: r0 to r8 at first, then memory for the body.
pub const SPACE: usize = 256;
/// Where the body's memory begins in the space.
pub const MEMORY: i16 = 128;
/// Bytes of each packet.
pub const PACKET: usize = 64;

/// Entries of the array of programs that bodies refer to by [`pseudo::MAP_FD`]: the program itself, further
/// ones, and nothing.
pub const JUMPS: usize = 4;
/// Where on the stack bodies find the context for a tail call.
pub const KEPT_CONTEXT: i16 = -96;

/// What a body is given and what it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// r0 to r8.
    pub registers: [u64; 9],
    /// Memory at r9 + [`MEMORY`].
    pub memory: Vec<u8>,
    /// The packet.
    pub packet: Vec<u8>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            registers: [0; 9],
            memory: vec![0; SPACE - MEMORY as usize],
            packet: (0..PACKET as u8).collect(),
        }
    }
}

/// What the body finds besides r0 to r8 and r9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Registers,
    /// The packet's start in r8; r7 is lost.
    Packet,
    /// The context in r6, as packet loads of classic BPF want it.
    Context,
}

impl Needs {
    /// Registers that the body may use freely.
    pub fn own_registers(self) -> impl Iterator<Item = u8> + Clone + use<> {
        (0..9).filter(move |&register| match self {
            Needs::Registers => true,
            Needs::Packet => register != 8,
            Needs::Context => register != 6,
        })
    }
}

/// What a program does, and the functions behind it.
#[derive(Debug, Clone, Default)]
pub struct Body {
    pub insns: Vec<Insn>,
    pub functions: Vec<Insn>,
}

/// A body to run.
#[derive(Clone)]
pub struct Case {
    pub kind: ProgramType,
    pub needs: Needs,
    /// The body: it runs to its end, exits nowhere and leaves r9 (and r8 or r6 if it needs them) alone.
    pub body: Vec<Insn>,
    /// Functions after the program.
    pub functions: Vec<Insn>,
    /// Of programs in the array of programs, from entry 1.
    pub further: Vec<Body>,
    pub start: State,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} program, body needs {:?}", self.kind, self.needs)?;
        let further = self.further.iter();
        let further = further.flat_map(|body| body.insns.iter().chain(&body.functions));
        for insn in self.body.iter().chain(&self.functions).chain(further) {
            let Insn {
                code,
                dst,
                src,
                off,
                imm,
            } = insn;
            writeln!(f, "    insn({code:#04x}, {dst}, {src}, {off}, {imm:#x})")?;
        }
        writeln!(f, "registers {:x?}", self.start.registers)?;
        writeln!(f, "memory {:02x?}", self.start.memory)?;
        write!(f, "packet {:02x?}", self.start.packet)
    }
}

impl Case {
    pub fn new(body: Vec<Insn>) -> Self {
        Self {
            kind: ProgramType::SocketFilter,
            needs: Needs::Registers,
            body,
            functions: Vec::new(),
            further: Vec::new(),
            start: State::default(),
        }
    }

    /// Whether the program goes to others by tail calls.
    pub fn jumps(&self) -> bool {
        self.body.iter().any(is_jumps)
    }

    /// The programs, the one that runs first; `space` and `jumps` are the references to the space and to the
    /// array of programs.
    pub fn programs(&self, space: i32, jumps: i32) -> Vec<Vec<Insn>> {
        let further = self.further.iter().filter(|_| self.jumps());
        let further = further.map(|body| self.whole(&body.insns, &body.functions, space));
        let mut programs = vec![self.program(space)];
        programs.extend(further);
        for insn in programs.iter_mut().flatten().filter(|insn| is_jumps(insn)) {
            insn.imm = jumps;
        }
        programs
    }

    /// The program that runs.
    pub fn program(&self, space: i32) -> Vec<Insn> {
        self.whole(&self.body, &self.functions, space)
    }

    fn whole(&self, body: &[Insn], functions: &[Insn], space: i32) -> Vec<Insn> {
        let mut insns = Vec::new();
        if body.iter().any(is_jumps) {
            insns.push(stx(Width::D, 10, KEPT_CONTEXT, 1));
        }
        match self.needs {
            Needs::Registers => {}
            Needs::Packet => {
                let data = if self.kind == ProgramType::Xdp { 0 } else { 76 };
                insns.extend([
                    ldx(Width::W, 8, 1, data),
                    ldx(Width::W, 7, 1, data + 4),
                    movr(0, 8),
                    alu_k(true, op::ADD, 0, PACKET as i32, 0),
                    jump_x(true, cond::JLE, 0, 7, 2),
                    mov(0, 1),
                    exit(),
                ]);
            }
            Needs::Context => insns.push(movr(6, 1)),
        }
        insns.extend(lddw(9, pseudo::MAP_VALUE, u64::from(space as u32)));
        let own = self.own_registers();
        insns.extend(own.clone().map(|r| ldx(Width::D, r, 9, i16::from(r) * 8)));
        insns.extend(body);
        insns.extend(own.map(|r| stx(Width::D, 9, i16::from(r) * 8, r)));
        insns.extend([mov(0, 0), exit()]);
        insns.extend(functions);
        insns
    }

    /// Registers that the body may use freely.
    pub fn own_registers(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        self.needs.own_registers()
    }

    pub fn space(&self) -> Vec<u8> {
        let mut space = vec![0; SPACE];
        for (bytes, value) in space
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(self.start.registers)
        {
            *bytes = value.to_le_bytes();
        }
        space[MEMORY as usize..].copy_from_slice(&self.start.memory);
        space
    }

    pub fn end(&self, space: &[u8], packet: Vec<u8>) -> State {
        let mut registers = [0; 9];
        for (value, bytes) in registers.iter_mut().zip(space.as_chunks::<8>().0) {
            *value = u64::from_le_bytes(*bytes);
        }
        State {
            registers,
            memory: space[MEMORY as usize..].to_vec(),
            packet,
        }
    }
}

/// Whether an instruction refers to the array of programs.
fn is_jumps(insn: &Insn) -> bool {
    insn.code == LD_IMM64 && insn.src == pseudo::MAP_FD
}
