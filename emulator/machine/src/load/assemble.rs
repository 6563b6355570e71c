//! One program from the functions that it can reach (`bpf_object__reloc_code` in
//! `tools/lib/bpf/libbpf.c`): the entry first, then each function at its first mention.

use std::collections::{BTreeMap, BTreeSet};

use crate::isa::{Insn, pseudo};
use crate::object::btf::CoreRelocation;
use crate::object::{self, Object, Reference};
use crate::program::{Function, Line};

/// A program before it is put into a machine.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub(crate) insns: Vec<Insn>,
    /// What remains to be resolved: maps, global data, externs; by slot.
    pub(crate) references: BTreeMap<u32, Reference>,
    pub(crate) core: Vec<(u32, CoreRelocation)>,
    /// What the emulator or the kernel's types lack, by the slot that asks for it. It matters if the
    /// program can get there.
    pub(crate) lacking: BTreeMap<u32, String>,
    /// The first slots of static functions.
    pub(crate) statics: BTreeSet<u32>,
    pub(crate) lines: Vec<Line>,
    pub(crate) functions: Vec<Function>,
}

/// `BPF_COMPLEXITY_LIMIT_INSNS`: no verifier would finish a longer program.
const MAX_INSNS: usize = 1_000_000;

/// A program with all that it calls is longer than the kernel takes.
#[derive(Debug)]
pub(super) struct TooLong;

struct Assembler<'a> {
    object: &'a Object,
    out: Assembly,
    /// The slot at which each function was put.
    starts: BTreeMap<usize, u32>,
    /// Instructions that refer to functions.
    calls: Vec<(u32, usize, bool)>,
}

/// Puts a function and all that it refers to one after the other.
pub(super) fn assemble(object: &Object, entry: usize) -> Result<Assembly, TooLong> {
    let mut assembler = Assembler {
        object,
        out: Assembly {
            insns: Vec::new(),
            references: BTreeMap::new(),
            core: Vec::new(),
            lacking: BTreeMap::new(),
            statics: BTreeSet::new(),
            lines: Vec::new(),
            functions: Vec::new(),
        },
        starts: BTreeMap::new(),
        calls: Vec::new(),
    };
    // libbpf appends depth first: what a function calls comes before its later siblings.
    let mut pending = vec![entry];
    while let Some(next) = pending.pop() {
        if !assembler.starts.contains_key(&next) {
            let mentioned = assembler.append(next)?;
            pending.extend(mentioned.into_iter().rev());
        }
    }
    assembler.patch();
    Ok(assembler.out)
}

impl Assembler<'_> {
    /// Appends a function and returns those that it mentions, in order.
    fn append(&mut self, index: usize) -> Result<Vec<usize>, TooLong> {
        let function: &object::Function = &self.object.functions[index];
        let start = self.out.insns.len();
        if start + function.insns.len() > MAX_INSNS {
            return Err(TooLong);
        }
        let start = start as u32;
        self.starts.insert(index, start);
        if function.is_local {
            self.out.statics.insert(start);
        }
        self.out.insns.extend(&function.insns);
        self.out.functions.push(Function {
            slot: start,
            // rustc's symbols are no names that anybody has written.
            name: format!("{:#}", rustc_demangle::demangle(&function.name)),
        });
        let moved = |line: &Line| Line {
            slot: line.slot + start,
            ..line.clone()
        };
        self.out.lines.extend(function.lines.iter().map(moved));
        let core = function.core.iter();
        self.out
            .core
            .extend(core.map(|(slot, core)| (slot + start, *core)));
        let mut mentioned = Vec::new();
        for (slot, reference) in &function.references {
            match *reference {
                Reference::Call(target) | Reference::Function(target) => {
                    let is_call = matches!(reference, Reference::Call(_));
                    self.calls.push((slot + start, target, is_call));
                    mentioned.push(target);
                }
                other => {
                    self.out.references.insert(slot + start, other);
                }
            }
        }
        Ok(mentioned)
    }

    /// Points calls to where the functions are now.
    fn patch(&mut self) {
        for &(slot, target, is_call) in &self.calls {
            let relative = self.starts[&target] as i32 - slot as i32 - 1;
            let insn = &mut self.out.insns[slot as usize];
            insn.imm = relative;
            insn.src = if is_call { pseudo::CALL } else { pseudo::FUNC };
            if !is_call && let Some(second) = self.out.insns.get_mut(slot as usize + 1) {
                second.imm = 0;
            }
        }
    }
}
