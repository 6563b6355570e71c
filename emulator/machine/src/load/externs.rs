//! What an object takes from the kernel: functions, variables, configuration
//! (`bpf_object__resolve_externs` in `tools/lib/bpf/libbpf.c`).

use super::assemble::Assembly;
use super::{Draft, LoadOptions, kconfig, slots};
use crate::helpers::{self, HelperId};
use crate::isa::{self, Insn};
use crate::machine::{Environment, Machine};
use crate::object::{Extern, ExternKind, Object, Reference};

/// Puts what is known of externs into a program, and notes what is not.
pub(super) fn resolve(
    object: &Object,
    options: &LoadOptions,
    environment: &dyn Environment,
    machine: &Machine,
    draft: &mut Draft<'_>,
) {
    numbered(&mut draft.assembly);
    let references: Vec<_> = draft
        .assembly
        .references
        .iter()
        .map(|(slot, to)| (*slot, *to))
        .collect();
    for (slot, reference) in references {
        match reference {
            Reference::Extern(number) => {
                let target = &object.externs()[number];
                let insn = draft.assembly.insns[slot as usize];
                if is_variable(target)
                    && insn.code == isa::LD_IMM64
                    && machine.variables.has(&target.name)
                {
                    continue;
                }
                let function = HelperId::kernel_function(&target.name).filter(|function| {
                    target.kind == ExternKind::KernelFunction
                        && (helpers::provides(*function)
                            || environment.provides(*function, draft.kind))
                });
                draft.assembly.references.remove(&slot);
                kernel_symbol(&mut draft.assembly, slot, target, function);
            }
            Reference::Value(map, offset) => {
                let configuration = unset(object, options, map, offset);
                if let Some(name) = configuration {
                    let lack = format!("kernel configuration {name}, for which no value is given");
                    draft.assembly.lacking.insert(slot, lack);
                }
            }
            _ => {}
        }
    }
}

fn is_variable(target: &Extern) -> bool {
    target.kind == ExternKind::KernelVariable
}

/// Notes calls of helpers by numbers that stand for functions of the kernel here: a program names those.
fn numbered(assembly: &mut Assembly) {
    for (slot, insn) in slots(&assembly.insns) {
        let helper = HelperId(insn.imm as u32);
        let is_helper = insn.code == isa::CALL && insn.src == 0;
        if is_helper
            && helper.is_kernel_function()
            && !super::core::is_poison(insn)
            && !assembly.references.contains_key(&slot)
            && !assembly.lacking.contains_key(&slot)
        {
            let what = format!("helper number {}", helper.0);
            assembly.lacking.insert(slot, what);
        }
    }
}

/// Of the kernel's symbols the emulator has some functions. The address of one that it does not have is
/// null if it is weak; its call is never reached in a program that looks at the address first.
fn kernel_symbol(assembly: &mut Assembly, slot: u32, target: &Extern, function: Option<HelperId>) {
    let insns = &mut assembly.insns[slot as usize..];
    let is_call = insns[0].code == isa::CALL;
    match (is_call, function) {
        (true, Some(function)) => {
            insns[0] = Insn {
                code: isa::CALL,
                imm: function.0 as i32,
                ..Insn::default()
            };
        }
        // All that a program may do with the address of a function is to see whether there is one.
        (false, Some(function)) => set(insns, function.0),
        (false, None) if target.weak => set(insns, 0),
        (_, None) => {
            super::core::poison(insns);
            let without = if is_variable(target) {
                ", for which no value is given"
            } else {
                ""
            };
            let kind = target.kind.describe();
            assembly
                .lacking
                .insert(slot, format!("{kind} {}{without}", target.name));
        }
    }
}

/// Makes a 64-bit load one of a number.
fn set(insns: &mut [Insn], number: u32) {
    if let [first, second, ..] = insns {
        (first.src, first.imm, second.imm) = (0, number as i32, 0);
    }
}

/// The name of a configuration without a value that the object cannot do without.
fn unset<'a>(
    object: &'a Object,
    options: &LoadOptions,
    map: usize,
    offset: u32,
) -> Option<&'a str> {
    if !object.is_kconfig(map) {
        return None;
    }
    let mut globals = object.globals().iter();
    let global = globals.find(|global| global.map == map && global.offset == offset)?;
    let mut externs = object.externs().iter();
    let strong = externs.any(|value| value.name == global.name && !value.weak);
    (strong && kconfig::value(&global.name, options).is_none()).then_some(global.name.as_str())
}
