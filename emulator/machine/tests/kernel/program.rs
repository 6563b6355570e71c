//! Programs in the running kernel, and the one value through which tests hand bytes in and out.

use twinpath_bpf::{Map, MapShape, Program, ProgramSource};
use twinpath_machine::ProgramType;
use twinpath_machine::isa::{Insn, encode};

/// Loads a program for a place to attach it to (`enum bpf_attach_type`), or says why the kernel refuses it.
pub fn load(kind: ProgramType, attach_type: u32, insns: &[Insn]) -> Result<Program, String> {
    let instructions = encode(insns);
    let source = ProgramSource::new("test", kind as u32, &instructions).for_hook(attach_type);
    Program::load(&source).map_err(|refusal| format!("{}\n{}", refusal.error, refusal.log))
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
