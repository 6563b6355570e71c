//! What each kind of fault means.

use super::{Access, Fault, FaultKind, objects};
use crate::helpers::HelperId;
use crate::machine::Machine;
use crate::memory::{Object, ObjectKind, Pointer, Widths};
use crate::program::Program;

/// A fault in words.
pub(super) struct Explanation {
    pub(super) title: String,
    /// Sentences, and the instructions that they are about.
    pub(super) notes: Vec<(String, Option<u32>)>,
    pub(super) help: Option<&'static str>,
}

impl Explanation {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            notes: Vec::new(),
            help: None,
        }
    }

    fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push((text.into(), None));
        self
    }

    fn note_at(mut self, text: impl Into<String>, instruction: u32) -> Self {
        self.notes.push((text.into(), Some(instruction)));
        self
    }

    fn help(mut self, text: &'static str) -> Self {
        self.help = Some(text);
        self
    }
}

pub(super) fn explain(fault: &Fault, machine: &Machine) -> Explanation {
    let program = fault.id.and_then(|id| machine.program(id));
    match &fault.kind {
        FaultKind::Memory {
            access,
            pointer,
            size,
            object,
            argument,
        } => Reached {
            access: *access,
            pointer: *pointer,
            size: *size,
            object: *object,
            argument: *argument,
            machine,
            program: program.map(|program| &**program),
        }
        .explain(),
        FaultKind::Null {
            access,
            pointer,
            size,
            lookup,
            argument,
        } => null(*access, *pointer, *size, *lookup, *argument),
        FaultKind::Field {
            access,
            structure,
            field,
            offset,
            size,
            allowed,
        } => self::field(*access, structure, *field, *offset, *size, *allowed),
        FaultKind::Uninitialized { offset, size, .. } => {
            Explanation::new(uninitialized(*size, *offset))
                .help("initialise the variable, or all of the structure with its padding")
        }
        FaultKind::Argument {
            helper,
            argument,
            problem,
        } => {
            let explanation =
                Explanation::new(format!("argument {argument} of bpf_{helper}: {problem}"));
            match fault.registers[usize::from(*argument)] {
                Some(register) => {
                    let held = objects::register(register, machine);
                    explanation.note(format!("r{argument} holds {held}"))
                }
                None => explanation,
            }
        }
        FaultKind::Unsupported(what) => {
            Explanation::new(format!("{what} is not supported by the emulator"))
                .note("this is no mistake of the program's; the run could not be followed further")
        }
        FaultKind::Leak { what, acquired_at } => {
            Explanation::new(format!("the program ends and still holds {what}"))
                .note_at("it was acquired here", *acquired_at)
                .help("give it back on each path to the end")
        }
        FaultKind::Locked { helper, locked_at } => {
            Explanation::new(format!("bpf_{helper} is called while a spin lock is held"))
                .note_at("the lock was taken here", *locked_at)
                .help("call nothing but bpf_spin_unlock while holding a lock")
        }
        FaultKind::Budget { budget } => {
            Explanation::new(format!("the budget of {budget} instructions is used up"))
                .note("the run was at this jump then")
                .help("look for a loop without an end, or give the run a larger budget")
        }
        FaultKind::CallDepth => Explanation::new(fault.kind.to_string())
            .note("the kernel gives a program 8 frames, its own and those of callbacks included"),
        FaultKind::Wild => Explanation::new("jump out of the program"),
        FaultKind::Engine { engine, message } => {
            Explanation::new(format!("the engine {engine} failed: {message}"))
        }
    }
}

pub(super) fn uninitialized(size: u32, offset: i32) -> String {
    format!(
        "read of {} of stack at r10{offset:+} that were never written",
        bytes(size)
    )
}

fn bytes(count: u32) -> String {
    match count {
        1 => "1 byte".to_owned(),
        _ => format!("{count} bytes"),
    }
}

/// `read of 4 bytes`, and for which helper.
fn attempt(access: Access, size: u32, argument: Option<(HelperId, u8)>) -> String {
    match argument {
        Some((helper, argument)) => format!(
            "{access} of {} by bpf_{helper}, argument {argument},",
            bytes(size)
        ),
        None => format!("{access} of {}", bytes(size)),
    }
}

fn null(
    access: Access,
    pointer: Pointer,
    size: u32,
    lookup: Option<(HelperId, u32)>,
    argument: Option<(HelperId, u8)>,
) -> Explanation {
    let attempt = attempt(access, size, argument);
    let offset = pointer.0 as i64;
    let explanation = match offset {
        0 => Explanation::new(format!("{attempt} through a null pointer")),
        _ => Explanation::new(format!("{attempt} at offset {offset} from a null pointer")),
    };
    match lookup {
        Some((helper, at)) => explanation
            .note_at(format!("bpf_{helper} returned null here"), at)
            .help("compare the result with null before following it"),
        None => explanation,
    }
}

fn field(
    access: Access,
    structure: &str,
    field: Option<&str>,
    offset: u32,
    size: u32,
    allowed: Widths,
) -> Explanation {
    let verb = match access {
        Access::Read => "read",
        Access::Write => "written",
    };
    match field {
        None => Explanation::new(format!(
            "{access} of {} at offset {offset} of struct {structure}, where no field is",
            bytes(size)
        )),
        Some(field) => {
            let title = format!(
                "{access} of {} of `{field}` of struct {structure}",
                bytes(size)
            );
            let widths: Vec<String> = allowed.iter().map(|width| width.to_string()).collect();
            Explanation::new(title).note(match widths.as_slice() {
                [] => format!("programs of this type may not have this field {verb}"),
                [width] => format!("the field is {verb} {width} bytes at once, aligned"),
                [rest @ .., last] => format!(
                    "the field is {verb} {} or {last} bytes at once, aligned",
                    rest.join(", ")
                ),
            })
        }
    }
}

/// An access outside of its object.
struct Reached<'a> {
    access: Access,
    pointer: Pointer,
    size: u32,
    object: Object,
    argument: Option<(HelperId, u8)>,
    machine: &'a Machine,
    program: Option<&'a Program>,
}

impl Reached<'_> {
    fn explain(&self) -> Explanation {
        let attempt = attempt(self.access, self.size, self.argument);
        let described = objects::describe(&self.object, self.machine);
        match self.object.kind {
            ObjectKind::Nothing => Explanation::new(format!("{attempt} through a number"))
                .note(format!("{:#x} is no pointer", self.pointer.0)),
            ObjectKind::StalePacket { helper, at } => Explanation::new(format!(
                "{attempt} through a packet pointer from before the packet moved"
            ))
            .note_at(format!("bpf_{helper} may move the packet"), at)
            .help("load data and data_end again after the call, and compare again"),
            ObjectKind::Released { what, helper, at } => {
                Explanation::new(format!("{attempt} of {what} that was given back"))
                    .note_at(format!("bpf_{helper} took it back"), at)
            }
            ObjectKind::Returned => Explanation::new(format!("{attempt} of {described}")),
            ObjectKind::Map | ObjectKind::Function | ObjectKind::Variable(_) => {
                Explanation::new(format!("{attempt} of {described}"))
                    .note("it is a reference, which only helpers follow")
            }
            ObjectKind::Struct(_) => Explanation::new(format!("{attempt} of {described}"))
                .note("its fields are accessed one by one, by the program itself"),
            _ if self.is_closed() => self.closed(&attempt, &described),
            _ => self.outside(&attempt, &described),
        }
    }

    /// The bytes from the object's start that the access may reach, and those that the other may.
    fn limits(&self) -> (u32, u32) {
        match self.access {
            Access::Read => (self.object.readable, self.object.writable),
            Access::Write => (self.object.writable, self.object.readable),
        }
    }

    /// Whether only the other access is allowed.
    fn is_closed(&self) -> bool {
        let (own, other) = self.limits();
        own == 0 && other != 0
    }

    fn closed(&self, attempt: &str, described: &str) -> Explanation {
        let only = match self.access {
            Access::Read => "write-only for programs",
            Access::Write => "read-only",
        };
        self.with_origin(Explanation::new(format!(
            "{attempt} of {described}, which is {only}"
        )))
    }

    fn outside(&self, attempt: &str, described: &str) -> Explanation {
        let start = objects::offset(self.pointer, &self.object);
        let end = start + i64::from(self.size);
        let explanation = Explanation::new(format!("{attempt} outside of {described}"));
        let explanation = match self.object.kind {
            ObjectKind::Frame(_) => explanation.note(format!(
                "the access is to r10{start:+} up to r10{end:+}, and a frame has 512 bytes below r10"
            )),
            ObjectKind::Packet => explanation.note(format!(
                "the access is to bytes {start} up to {end}, and data_end is at {}",
                self.limits().0
            )),
            _ => explanation.note(format!(
                "the access is to bytes {start} up to {end} of {}",
                self.limits().0
            )),
        };
        let explanation = self.with_origin(explanation);
        match self.object.kind {
            ObjectKind::Packet => explanation
                .help("compare the end of what is accessed with data_end before the access"),
            _ => explanation,
        }
    }

    fn with_origin(&self, explanation: Explanation) -> Explanation {
        match objects::origin(&self.object, self.program) {
            Some((how, at)) => explanation.note_at(how, at),
            None => explanation,
        }
    }
}
