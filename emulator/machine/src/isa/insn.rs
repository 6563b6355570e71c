//! The instruction as it stands in an object: 8 bytes (RFC 9669, section 3; `struct bpf_insn`).

/// One 64-bit instruction slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Insn {
    /// Class, operation and source or mode.
    pub code: u8,
    /// Destination register, 0 to 10.
    pub dst: u8,
    /// Source register, 0 to 10, or a pseudo value.
    pub src: u8,
    /// Signed offset.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

/// Bytes of a slot.
pub const SLOT: usize = 8;

impl Insn {
    /// Reads a slot, little-endian.
    pub const fn from_bytes(b: [u8; SLOT]) -> Self {
        Self {
            code: b[0],
            dst: b[1] & 15,
            src: b[1] >> 4,
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Writes a slot, little-endian.
    pub const fn to_bytes(self) -> [u8; SLOT] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        [
            self.code,
            self.dst & 15 | self.src << 4,
            off[0],
            off[1],
            imm[0],
            imm[1],
            imm[2],
            imm[3],
        ]
    }

    /// The instruction's class, the low three bits of its code.
    pub const fn class(self) -> u8 {
        self.code & 7
    }

    /// Whether this is the first slot of a 64-bit immediate load.
    pub const fn is_wide(self) -> bool {
        self.code == LD_IMM64
    }
}

/// Reads a program.
///
/// # Errors
/// The number of bytes left over, when the length is no multiple of 8.
pub fn parse(bytes: &[u8]) -> Result<Vec<Insn>, usize> {
    let (slots, rest) = bytes.as_chunks::<SLOT>();
    if rest.is_empty() {
        Ok(slots.iter().copied().map(Insn::from_bytes).collect())
    } else {
        Err(rest.len())
    }
}

/// The bytes of instructions, as an object or the kernel has them.
pub fn encode(insns: &[Insn]) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_bytes()).collect()
}

/// Instruction classes (RFC 9669, section 3.1).
pub mod class {
    #![allow(missing_docs)]
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// The source bit: a register instead of an immediate.
pub const SOURCE_X: u8 = 8;
/// `BPF_LD | BPF_IMM | BPF_DW`, the only instruction of two slots.
pub const LD_IMM64: u8 = 0x18;
/// `BPF_JMP | BPF_CALL`.
pub const CALL: u8 = 0x85;
/// `BPF_JMP | BPF_CALL | BPF_X`.
pub const CALLX: u8 = 0x8d;
/// `BPF_JMP | BPF_EXIT`.
pub const EXIT: u8 = 0x95;

/// What the source field of a 64-bit immediate load means (`BPF_PSEUDO_*`).
pub mod pseudo {
    #![allow(missing_docs)]
    pub const MAP_FD: u8 = 1;
    pub const MAP_VALUE: u8 = 2;
    pub const BTF_ID: u8 = 3;
    pub const FUNC: u8 = 4;
    pub const MAP_IDX: u8 = 5;
    pub const MAP_IDX_VALUE: u8 = 6;
    /// Of a call: another function of the program.
    pub const CALL: u8 = 1;
    /// Of a call: a kernel function.
    pub const KFUNC_CALL: u8 = 2;
}
