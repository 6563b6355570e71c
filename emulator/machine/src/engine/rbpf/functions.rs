//! Which functions a program has and how deeply they call each other.

use std::collections::{BTreeMap, BTreeSet};

use super::RbpfError;
use crate::isa::Code;
use crate::memory::{MAX_FRAMES, Pointer, Tag};
use crate::program::Program;

/// The functions of a program.
pub(super) struct Functions {
    /// Those whose address the program takes.
    pub(super) pointed_at: Vec<Function>,
    /// Frames that the program's own calls need.
    pub(super) depth: usize,
}

/// A function whose address a program takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    /// The first operation.
    pub(super) start: u32,
    /// Frames that it and what it calls need.
    pub(super) depth: usize,
    /// Operations that it has.
    pub(super) len: usize,
}

impl Functions {
    /// # Errors
    /// When functions call themselves or nest too deeply, which the kernel refuses too.
    pub(super) fn of(program: &Program) -> Result<Self, RbpfError> {
        let ops = &program.decoded.ops;
        let pointed_at: BTreeSet<u32> = ops
            .iter()
            .filter(|op| op.code == Code::Imm64)
            .map(|op| Pointer(op.imm))
            .filter(|pointer| pointer.tag() == Tag::FUNCTION)
            .map(Pointer::address)
            .filter(|&op| (op as usize) < ops.len())
            .collect();
        let mut calls = Calls {
            program,
            pointed_at: &pointed_at,
            depths: BTreeMap::new(),
        };
        let depth = calls.depth(0, 1)?;
        let mut functions = Vec::new();
        for &start in &pointed_at {
            functions.push(Function {
                start,
                depth: calls.depth(start, 1)?,
                len: calls.body(start).len(),
            });
        }
        Ok(Self {
            pointed_at: functions,
            depth,
        })
    }
}

struct Calls<'a> {
    program: &'a Program,
    pointed_at: &'a BTreeSet<u32>,
    /// Frames that a function and what it calls need.
    depths: BTreeMap<u32, usize>,
}

impl Calls<'_> {
    fn depth(&mut self, function: u32, level: usize) -> Result<usize, RbpfError> {
        if let Some(&depth) = self.depths.get(&function) {
            return Ok(depth);
        }
        if level > MAX_FRAMES {
            return Err(RbpfError::CallDepth);
        }
        let mut below = 0;
        for callee in self.callees(function) {
            below = below.max(self.depth(callee, level + 1)?);
        }
        if level + below > MAX_FRAMES {
            return Err(RbpfError::CallDepth);
        }
        self.depths.insert(function, below + 1);
        Ok(below + 1)
    }

    /// The functions that a function calls itself.
    fn callees(&self, function: u32) -> BTreeSet<u32> {
        let mut callees = BTreeSet::new();
        for at in self.body(function) {
            let op = self.program.decoded.ops[at as usize];
            match op.code {
                Code::CallLocal => {
                    callees.insert(op.off);
                }
                Code::CallRegister => callees.extend(self.pointed_at),
                _ => {}
            }
        }
        callees
    }

    /// The operations that a function can get to.
    fn body(&self, function: u32) -> BTreeSet<u32> {
        let ops = &self.program.decoded.ops;
        let mut seen = BTreeSet::new();
        let mut open = vec![function];
        while let Some(at) = open.pop() {
            let Some(op) = ops.get(at as usize) else {
                continue;
            };
            if !seen.insert(at) || op.code == Code::Exit {
                continue;
            }
            if op.code.is_jump() {
                open.push(op.off);
            }
            if op.code != Code::Jump {
                open.push(at + 1);
            }
        }
        seen
    }
}
