//! Guest memory: one arena of bytes, and the objects that lie in it.
//!
//! A guest address fits in 32 bits, so that the UAPI contexts, whose packet pointers are 32 bits
//! wide, need no rewriting. Which object a pointer may reach is kept in the pointer's upper half; see
//! [`Pointer`].

mod access;
mod arena;
mod layout;
mod native;
mod object;
mod plain;
mod pointer;
mod stack;

pub(crate) use access::Frame;
pub use access::{By, Checked};
pub use arena::{ArenaError, Placement};
pub use layout::{Field, FieldValue, Layout, Widths};
pub(crate) use native::NATIVE_STEP;
pub use object::{BEFORE, Object, ObjectKind};
pub(crate) use plain::View;
pub use pointer::{Pointer, Tag};
pub use stack::{FRAME_SIZE, MAX_FRAMES, UninitializedRead};

use arena::Arena;
use stack::Stack;

use crate::helpers::HelperId;

/// Guest memory and the table of its objects.
#[derive(Debug)]
pub struct Memory {
    arena: Arena,
    /// First byte that is not allocated.
    next: u32,
    /// Bytes at the end that stand for memory of the host.
    charged: u32,
    placement: Placement,
    stack: Stack,
    /// By tag: the fixed ones, the static ones (globals of loaded programs), then those of the current run.
    objects: Vec<Object>,
    /// How many of `objects` outlive a run.
    statics: usize,
    /// Tags of slices of packets that helpers lent to the program.
    packet_slices: Vec<Tag>,
    /// Objects that fields of contexts point to, by address.
    bound: Vec<(u32, Tag)>,
    /// Memory for helpers that lend a program something: address and bytes.
    areas: Vec<(u32, u32)>,
    /// How many of them are in use.
    borrowed: usize,
    scope: Scope,
}

/// What belongs to the current run.
#[derive(Debug)]
struct Scope {
    /// How many of the objects, slices, bound objects, areas and warnings there were before it.
    objects: usize,
    slices: usize,
    bound: usize,
    borrowed: usize,
    warnings: usize,
    /// How many frames it has open.
    frames: usize,
    /// The tag of its packet.
    packet: Tag,
    /// The last helper that returned null, and its instruction.
    last_null: Option<(HelperId, u32)>,
}

/// The arena is full.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("allocate {wanted} bytes of guest memory: {free} of {size} are free")]
pub struct OutOfMemory {
    /// Bytes asked for.
    pub wanted: u64,
    /// Bytes left.
    pub free: u32,
    /// Bytes in all.
    pub size: u32,
}

impl Memory {
    /// Reserves `size` bytes of guest memory; they cost nothing until they are used.
    ///
    /// # Errors
    /// When the host has no room for the arena.
    pub fn new(placement: Placement, size: u32) -> Result<Self, ArenaError> {
        let arena = Arena::new(placement, size.max(stack::AREA))?;
        let stack = Stack::new(arena.base());
        let mut objects = vec![Object::NOTHING; Tag::FIRST_FREE];
        objects[Tag::MAP.0 as usize].kind = ObjectKind::Map;
        objects[Tag::FUNCTION.0 as usize].kind = ObjectKind::Function;
        Ok(Self {
            next: arena.base() + stack::AREA,
            charged: 0,
            arena,
            placement,
            stack,
            statics: objects.len(),
            objects,
            packet_slices: Vec::new(),
            bound: Vec::new(),
            areas: Vec::new(),
            borrowed: 0,
            scope: Scope::default(),
        })
    }

    /// Whether native code can follow guest addresses.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Takes `len` zeroed bytes for good, aligned to 8.
    ///
    /// # Errors
    /// When the arena is full.
    pub fn allocate(&mut self, len: u64) -> Result<u32, OutOfMemory> {
        let address = self.next;
        self.next += self.fitting(len)?;
        Ok(address)
    }

    /// Counts memory of the host as guest memory, for good: what an object asks for is bounded by the
    /// machine's size, wherever it lies.
    ///
    /// # Errors
    /// When the arena is full.
    pub(crate) fn charge(&mut self, len: u64) -> Result<(), OutOfMemory> {
        self.charged += self.fitting(len)?;
        Ok(())
    }

    /// A length as it is taken from the arena, if there is room for it.
    fn fitting(&self, len: u64) -> Result<u32, OutOfMemory> {
        let size = self.arena.len() as u32;
        let free = size - (self.next - self.arena.base()) - self.charged;
        let rounded = len.checked_next_multiple_of(8);
        let fitting = rounded.filter(|rounded| *rounded <= u64::from(free));
        fitting.map(|rounded| rounded as u32).ok_or(OutOfMemory {
            wanted: len,
            free,
            size,
        })
    }

    /// Takes `len` bytes until [`Memory::return_area`], which gives the one back that was taken last.
    ///
    /// # Errors
    /// When the arena is full.
    pub(crate) fn borrow_area(&mut self, len: u32) -> Result<u32, OutOfMemory> {
        let area = match self.areas.get(self.borrowed).copied() {
            Some((address, size)) if size >= len => address,
            _ => {
                let address = self.allocate(u64::from(len))?;
                self.areas.truncate(self.borrowed);
                self.areas.push((address, len));
                address
            }
        };
        self.borrowed += 1;
        Ok(area)
    }

    /// Gives the last area back.
    pub(crate) fn return_area(&mut self) {
        self.borrowed = self.borrowed.saturating_sub(1);
    }

    /// The bytes at an address that [`Memory::allocate`] returned, unchecked by any object.
    ///
    /// # Panics
    /// When the range is not in the arena: the caller owns the allocation.
    #[inline]
    pub fn raw(&self, address: u32, len: u32) -> &[u8] {
        let start = (address - self.arena.base()) as usize;
        &self.arena[start..start + len as usize]
    }

    /// The same bytes, to write.
    ///
    /// # Panics
    /// When the range is not in the arena: the caller owns the allocation.
    #[inline]
    pub fn raw_mut(&mut self, address: u32, len: u32) -> &mut [u8] {
        let start = (address - self.arena.base()) as usize;
        &mut self.arena[start..start + len as usize]
    }

    /// Copies bytes between two allocations, which may overlap.
    ///
    /// # Panics
    /// When a range is not in the arena: the caller owns the allocations.
    #[inline]
    pub fn raw_copy(&mut self, from: u32, to: u32, len: u32) {
        let (from, to) = (from - self.arena.base(), to - self.arena.base());
        self.arena
            .copy_within(from as usize..(from + len) as usize, to as usize);
    }

    /// Bytes of the arena that are handed out.
    pub fn used(&self) -> u32 {
        self.next - self.arena.base()
    }

    /// Adds an object that outlives the runs, such as a program's global data.
    pub fn add_static(&mut self, object: Object) -> Pointer {
        self.objects.truncate(self.statics);
        self.statics += 1;
        self.push(object)
    }

    /// Adds an object of the current run.
    #[inline]
    pub fn push(&mut self, object: Object) -> Pointer {
        self.admit(&object);
        let address = object.base;
        if self.placement == Placement::Identity {
            return Pointer::new(Tag::NONE, address);
        }
        let tag = Tag(self.objects.len() as u32);
        self.objects.push(object);
        Pointer::new(tag, address)
    }

    /// Every object comes this way, so that its bounds are all that an access is checked against.
    ///
    /// # Panics
    /// When it is not in the arena: whoever makes an object owns its bytes.
    #[inline]
    fn admit(&self, object: &Object) {
        let len = object.readable.max(object.writable);
        let inside = len == 0 || self.arena.contains(object.base, len);
        assert!(inside, "an object outside of guest memory");
    }

    /// The object that a pointer was made for.
    #[inline]
    pub fn object(&self, pointer: Pointer) -> Object {
        self.objects
            .get(pointer.tag().0 as usize)
            .copied()
            .unwrap_or(Object::NOTHING)
    }

    /// Changes what the rest of the run may do with an object.
    pub fn replace(&mut self, tag: Tag, object: Object) {
        self.admit(&object);
        if let Some(slot) = self.objects.get_mut(tag.0 as usize) {
            *slot = object;
        }
    }

    /// Ends an object's life: what pointed to it is now reported as used after `helper` took it back.
    pub fn release(&mut self, pointer: Pointer, what: &'static str, helper: HelperId, at: u32) {
        if pointer.tag() != Tag::NONE {
            let closed = self
                .object(pointer)
                .closed(ObjectKind::Released { what, helper, at });
            self.replace(pointer.tag(), closed);
        }
    }

    /// Names the range from metadata to end that packet pointers of the current run may reach.
    pub fn set_packet(&mut self, start: u32, end: u32) {
        let packet = Object::new(ObjectKind::Packet, start, end - start, BEFORE);
        self.scope.packet = self.push(packet).tag();
    }

    /// The address of the packet's metadata or first byte, and the bytes from there to its end; empty without a packet.
    pub fn packet(&self) -> (u32, &[u8]) {
        let packet = self.object(Pointer::new(self.scope.packet, 0));
        match packet.kind {
            ObjectKind::Packet => (packet.base, self.raw(packet.base, packet.readable)),
            _ => (0, &[]),
        }
    }

    /// Adds a slice of the current packet, which is stale when the packet is.
    pub fn push_packet_slice(&mut self, object: Object) -> Pointer {
        let pointer = self.push(object);
        if pointer.tag() != Tag::NONE {
            self.packet_slices.push(pointer.tag());
        }
        pointer
    }

    /// As [`Memory::set_packet`], after a helper that makes the program's packet pointers stale.
    pub fn move_packet(&mut self, start: u32, end: u32, helper: HelperId, at: u32) {
        let packet = self.scope.packet;
        if packet != Tag::NONE {
            let old = self.object(Pointer::new(packet, 0));
            let stale = old.closed(ObjectKind::StalePacket { helper, at });
            self.replace(packet, stale);
        }
        while self.packet_slices.len() > self.scope.slices {
            if let Some(tag) = self.packet_slices.pop() {
                let old = self.object(Pointer::new(tag, 0));
                self.replace(tag, old.closed(ObjectKind::StalePacket { helper, at }));
            }
        }
        self.set_packet(start, end);
    }

    /// Makes the object at `object.base` reachable through context fields that hold its address.
    pub fn bind(&mut self, object: Object) -> Pointer {
        let pointer = self.push(object);
        self.bound.push((object.base, pointer.tag()));
        pointer
    }

    /// Names the context of the current run.
    pub fn set_context(&mut self, address: u32, layout: &'static Layout) {
        let context = Object {
            base: address,
            ..Object::NOTHING
        };
        let tag = Tag::context(self.stack.level());
        self.objects[tag.0 as usize] = Object {
            kind: ObjectKind::Struct(layout),
            ..context
        };
    }

    /// The pointer that the program gets in r1.
    pub fn context(&self) -> Pointer {
        let tag = Tag::context(self.stack.level());
        let base = self.objects[tag.0 as usize].base;
        match self.placement {
            Placement::Anywhere => Pointer::new(tag, base),
            Placement::Identity => Pointer::new(Tag::NONE, base),
        }
    }

    /// Notes that a helper returned null, for the message if the program follows it.
    #[inline]
    pub fn note_null(&mut self, helper: HelperId, at: u32) {
        self.scope.last_null = Some((helper, at));
    }

    /// Begins a run. The returned state is given back to [`Memory::leave`]; runs nest.
    #[inline]
    pub fn enter(&mut self) -> Outer {
        let scope = Scope {
            objects: self.objects.len(),
            slices: self.packet_slices.len(),
            bound: self.bound.len(),
            borrowed: self.borrowed,
            warnings: self.stack.warnings.len(),
            ..Scope::default()
        };
        Outer {
            scope: std::mem::replace(&mut self.scope, scope),
            stack: self.stack.enter(),
        }
    }

    /// Ends the run that `outer` was returned for.
    #[inline]
    pub fn leave(&mut self, outer: Outer) {
        // A run that ended by a fault has not left its frames.
        for depth in 0..self.scope.frames {
            self.pop_frame(depth);
        }
        let context = Tag::context(self.stack.level());
        self.objects[context.0 as usize].kind = ObjectKind::Returned;
        let scope = std::mem::replace(&mut self.scope, outer.scope);
        self.objects.truncate(scope.objects.max(self.statics));
        self.packet_slices.truncate(scope.slices);
        self.bound.truncate(scope.bound);
        self.borrowed = scope.borrowed;
        self.stack.warnings.truncate(scope.warnings);
        self.stack.leave(outer.stack);
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            objects: 0,
            slices: 0,
            bound: 0,
            borrowed: 0,
            warnings: 0,
            frames: 0,
            packet: Tag::NONE,
            last_null: None,
        }
    }
}

/// The state of the run around a nested run.
#[derive(Debug)]
pub struct Outer {
    scope: Scope,
    stack: stack::Outer,
}
