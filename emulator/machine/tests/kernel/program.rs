//! Programs in the running kernel, and the one value through which tests hand bytes in and out.

use std::os::fd::AsFd;

use twinpath_bpf::{DebugInfo, Map, MapShape, Program, ProgramSource, load_btf};
use twinpath_machine::ProgramType;
use twinpath_machine::isa::{CALL, Insn, LD_IMM64, encode, pseudo};

/// Loads a program for a place to attach it to (`enum bpf_attach_type`), or says why the kernel refuses it.
pub fn load(kind: ProgramType, attach_type: u32, insns: &[Insn]) -> Result<Program, String> {
    let instructions = encode(insns);
    let mut source = ProgramSource::new("test", kind as u32, &instructions).for_hook(attach_type);
    let starts = functions(insns);
    // Callbacks, and tail calls out of functions, are taken only where functions have types.
    let records: Vec<u8> = starts.iter().flat_map(|start| record(*start)).collect();
    let types = match starts.len() > 1 {
        true => Some(load_btf(&static_function()).map_err(|error| error.to_string())?),
        false => None,
    };
    source.debug = types.as_ref().map(|types| DebugInfo {
        btf: types.as_fd(),
        functions: &records,
        lines: &[],
    });
    Program::load(&source).map_err(|refusal| format!("{}\n{}", refusal.error, refusal.log))
}

/// The number of the type of all functions, in the types of [`static_function`].
const FUNCTION: u32 = 3;

/// A record of `struct bpf_func_info`.
fn record(start: u32) -> [u8; 8] {
    let mut record = [0; 8];
    record[..4].copy_from_slice(&start.to_ne_bytes());
    record[4..].copy_from_slice(&FUNCTION.to_ne_bytes());
    record
}

/// Types with a function: 1: `int`, 2: `int (void)`, 3: `static int function(void)`.
fn static_function() -> Vec<u8> {
    let strings = b"\0int\0function\0";
    let (int, function) = (1u32, 5u32);
    let kind = |kind: u32| kind << 24;
    let types = [int, kind(1), 4, 1 << 24 | 32]
        .into_iter()
        .chain([0, kind(13), 1])
        .chain([function, kind(12), 2]);
    let types: Vec<u8> = types.flat_map(u32::to_ne_bytes).collect();
    let (types_len, strings_len) = (types.len() as u32, strings.len() as u32);
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    let header = [24, 0, types_len, types_len, strings_len];
    btf.extend(header.into_iter().flat_map(u32::to_ne_bytes));
    btf.extend(types);
    btf.extend(strings);
    btf
}

fn names_function(insn: &Insn) -> bool {
    insn.code == LD_IMM64 && insn.src == pseudo::FUNC
}

/// Where the program's functions begin, its entry first.
fn functions(insns: &[Insn]) -> Vec<u32> {
    let calls = |insn: &Insn| insn.code == CALL && insn.src == pseudo::CALL;
    let targets = insns.iter().enumerate();
    let targets = targets.filter(|(_, insn)| calls(insn) || names_function(insn));
    let targets = targets.map(|(at, insn)| (at as i32 + 1 + insn.imm) as u32);
    let mut starts: Vec<u32> = std::iter::once(0).chain(targets).collect();
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// An array of one value, by which programs and tests exchange bytes.
#[derive(Debug)]
pub struct Block(pub Map);

impl Block {
    pub fn new(size: usize) -> Self {
        let shape = MapShape::array(size as u32, 1);
        Self(Map::create("block", shape).expect("an array"))
    }

    pub fn set(&self, value: &[u8]) {
        self.0.update(&[0; 4], value, 0).expect("set the block");
    }

    pub fn get(&self) -> Vec<u8> {
        let value = self.0.lookup(&[0; 4]).expect("read the block");
        value.expect("an array has all its values")
    }
}
