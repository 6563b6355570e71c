//! What an object takes from the kernel: functions, variables, configuration
//! (`bpf_object__resolve_externs` in `tools/lib/bpf/libbpf.c`).

use super::LoadOptions;
use super::assemble::Assembly;
use super::kconfig;
use crate::isa;
use crate::object::{Extern, ExternKind, Object, Reference};

/// Puts what is known of externs into a program, and notes what is not.
pub(super) fn resolve(object: &Object, options: &LoadOptions, assembly: &mut Assembly) {
    let references: Vec<_> = assembly
        .references
        .iter()
        .map(|(slot, to)| (*slot, *to))
        .collect();
    for (slot, reference) in references {
        match reference {
            Reference::Extern(number) => {
                assembly.references.remove(&slot);
                kernel_symbol(assembly, slot, &object.externs()[number]);
            }
            Reference::Value(map, offset) => {
                let configuration = unset(object, options, map, offset);
                if let Some(name) = configuration {
                    let lack = format!("kernel configuration {name}, for which no value is given");
                    assembly.lacking.insert(slot, lack);
                }
            }
            _ => {}
        }
    }
}

/// The emulator has no kernel symbols: the address of a weak one is null, a call of one is never
/// reached in a program that looks at the address first.
fn kernel_symbol(assembly: &mut Assembly, slot: u32, target: &Extern) {
    let insns = &mut assembly.insns[slot as usize..];
    let is_call = insns[0].code == isa::CALL;
    if target.weak && !is_call {
        if let [first, second, ..] = insns {
            (first.src, first.imm, second.imm) = (0, 0, 0);
        }
        return;
    }
    let what = match target.kind {
        ExternKind::KernelFunction => "kernel function",
        ExternKind::KernelVariable => "kernel variable",
        ExternKind::Kconfig => "kernel configuration",
        ExternKind::Undescribed => "undefined symbol",
    };
    super::core::poison(insns);
    assembly
        .lacking
        .insert(slot, format!("{what} {}", target.name));
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
