//! What a program executed in one hop, for reports of differences.

/// The end of what a program executed in a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopTrace {
    /// The hop of the packet's journey, counted from 0.
    pub hop: usize,
    /// How many instructions there were.
    pub count: u64,
    /// The last of them, in order.
    pub steps: Vec<TraceStep>,
    /// Of each field of the frame in question, what wrote to it.
    pub writes: Vec<FieldWrites>,
}

/// What a program wrote to a field of its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldWrites {
    /// The field: `ip.ttl`.
    pub field: String,
    /// The last instruction that wrote to each byte of it, in order, each with its number among those of the hop, counted
    /// from 1. None where the program left the field as it was.
    pub last: Vec<(u64, TraceStep)>,
}

/// An executed instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// The program, where it is another than before.
    pub program: Option<String>,
    /// The source line, where it is another than before.
    pub line: Option<SourceLine>,
    /// The instruction's slot in the program.
    pub slot: u32,
    /// The instruction as the verifier prints it.
    pub text: String,
    /// The registers that it changed, as far as is known, with what they held then; of one that wrote, those that it
    /// used.
    pub registers: Vec<(String, String)>,
}

/// A line of a program's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The file as the compiler saw it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// The text.
    pub text: String,
}
