//! Objects, and where pointers to them came from, in words.

use super::Register;
use crate::helpers::HelperId;
use crate::isa::{self, Insn, pseudo};
use crate::machine::Machine;
use crate::maps::MapId;
use crate::memory::{BEFORE, Object, ObjectKind, Pointer};
use crate::program::Program;

/// What an object is, with an article.
pub(super) fn describe(object: &Object, machine: &Machine) -> String {
    match object.kind {
        ObjectKind::Nothing => "nothing that a pointer was made for".to_owned(),
        ObjectKind::Frame(0) => "the program's stack frame".to_owned(),
        ObjectKind::Frame(depth) => format!("the stack frame of call depth {depth}"),
        ObjectKind::Struct(layout) => format!("struct {}", layout.name),
        ObjectKind::Map => "a map as such".to_owned(),
        ObjectKind::Function => "a function".to_owned(),
        ObjectKind::Variable(id) => {
            format!(
                "the kernel variable `{}` as such",
                machine.variables.name(id)
            )
        }
        ObjectKind::Packet => "the packet".to_owned(),
        ObjectKind::StalePacket { .. } => "the packet as it was before it moved".to_owned(),
        ObjectKind::MapValue(id) => format!("a value of {}", map(id, machine)),
        ObjectKind::Global(id) => format!("the global data {}", map(id, machine)),
        ObjectKind::Record(id) => format!("a record of {}", map(id, machine)),
        ObjectKind::Buffer(what) => what.to_owned(),
        ObjectKind::Released { what, .. } => format!("{what} that was given back"),
        ObjectKind::Returned => "the stack frame of a function that has returned".to_owned(),
    }
}

/// `hash map "flows"`
pub(super) fn map(id: MapId, machine: &Machine) -> String {
    match machine.maps.iter().find(|(known, _)| *known == id) {
        Some((_, map)) => format!("{} map `{}`", map.def().kind, map.def().name),
        None => format!("map number {}", id.0),
    }
}

/// The distance of a pointer from the start of its object.
pub(super) fn offset(pointer: Pointer, object: &Object) -> i64 {
    let offset = pointer.address().wrapping_sub(object.base) as i32;
    // The frame pointer is what programs count from.
    match object.kind {
        ObjectKind::Frame(_) | ObjectKind::Returned => {
            i64::from(offset) - i64::from(crate::memory::FRAME_SIZE)
        }
        _ => i64::from(offset),
    }
}

/// What a register held.
pub(super) fn register(register: Register, machine: &Machine) -> String {
    const FAR: i64 = 1 << 20;
    let Register { value, object } = register;
    let pointer = Pointer(value);
    let offset = offset(pointer, &object);
    match object.kind {
        ObjectKind::Map if (pointer.address() as usize) < machine.maps.len() => {
            map(MapId(pointer.address()), machine)
        }
        ObjectKind::Function => format!("function at operation {}", pointer.address()),
        ObjectKind::Nothing | ObjectKind::Map => number(value),
        // Numbers can look like pointers by chance.
        _ if offset.abs() > FAR => number(value),
        _ => format!("{}, {offset:+}", describe(&object, machine)),
    }
}

fn number(value: u64) -> String {
    match value as i64 {
        small @ -9..10 => small.to_string(),
        signed if signed < 0 && signed > -(1 << 31) => format!("{value:#x} ({signed})"),
        _ => format!("{value:#x} ({value})"),
    }
}

/// How the pointer to an object came about, and by which instruction.
pub(super) fn origin(object: &Object, program: Option<&Program>) -> Option<(String, u32)> {
    if object.made_at == BEFORE {
        return None;
    }
    let insn = *program?.insns.get(object.made_at as usize)?;
    let how = match helper(insn) {
        Some(helper) => format!("bpf_{helper} returned the pointer"),
        None => "the pointer was made here".to_owned(),
    };
    Some((how, object.made_at))
}

/// The helper that an instruction calls.
fn helper(insn: Insn) -> Option<HelperId> {
    let calls =
        insn.code == isa::CALL && insn.src != pseudo::CALL && insn.src != pseudo::KFUNC_CALL;
    calls.then_some(HelperId(insn.imm as u32))
}
