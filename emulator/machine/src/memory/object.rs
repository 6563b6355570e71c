//! The objects that guest pointers point into.

use crate::helpers::HelperId;
use crate::maps::MapId;
use crate::memory::layout::Layout;
use crate::variables::VariableId;

/// One object: a range of guest memory that may be accessed as a whole and not beyond.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    /// Guest address of the first byte.
    pub base: u32,
    /// Bytes from `base` that plain loads may read.
    pub readable: u32,
    /// Bytes from `base` that plain stores may write.
    pub writable: u32,
    /// What it is.
    pub kind: ObjectKind,
    /// The instruction that made the object's pointer; [`BEFORE`] when it existed before the run.
    pub made_at: u32,
}

/// Stands for "before the first instruction" where an instruction's number is expected.
pub const BEFORE: u32 = u32::MAX;

/// What an object is.
#[derive(Debug, Clone, Copy)]
pub enum ObjectKind {
    /// Tag zero: a number that was never a pointer.
    Nothing,
    /// A stack frame: 512 bytes, the frame pointer at its end. The number is the call depth.
    Frame(u32),
    /// A structure whose fields have rules of their own: a context, a socket.
    Struct(&'static Layout),
    /// A map as such, not its contents.
    Map,
    /// A function as such.
    Function,
    /// A variable of the kernel as such, not the value that a CPU has.
    Variable(VariableId),
    /// The packet from its metadata to its end.
    Packet,
    /// A packet pointer from before a helper that may have moved the packet.
    StalePacket {
        /// The helper.
        helper: HelperId,
        /// The instruction that called it.
        at: u32,
    },
    /// One value of a map.
    MapValue(MapId),
    /// A global variable's section, which is the only value of an array.
    Global(MapId),
    /// A record that is reserved in a ring buffer and not yet submitted.
    Record(MapId),
    /// Memory that a helper lends to the program, such as a slice of a dynptr.
    Buffer(&'static str),
    /// An object that was given back: a submitted record, a released socket.
    Released {
        /// What it was.
        what: &'static str,
        /// The helper that took it back.
        helper: HelperId,
        /// The instruction that called the helper.
        at: u32,
    },
    /// A frame whose function has returned.
    Returned,
}

impl Object {
    pub(crate) const NOTHING: Self = Self {
        base: 0,
        readable: 0,
        writable: 0,
        kind: ObjectKind::Nothing,
        made_at: BEFORE,
    };

    /// An object of `len` bytes that may be read and written.
    pub fn new(kind: ObjectKind, base: u32, len: u32, made_at: u32) -> Self {
        Self {
            base,
            readable: len,
            writable: len,
            kind,
            made_at,
        }
    }

    /// The same object, closed to stores.
    pub fn read_only(self) -> Self {
        Self {
            writable: 0,
            ..self
        }
    }

    /// The same object under another kind, closed to every access.
    pub(crate) fn closed(self, kind: ObjectKind) -> Self {
        Self {
            readable: 0,
            writable: 0,
            kind,
            ..self
        }
    }
}
