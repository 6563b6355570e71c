//! What a run holds and must give back before it ends.
//!
//! The kernel's verifier follows every path of a program and refuses one that could end with a
//! reference (`check_reference_leak` in `kernel/bpf/verifier.c`); here the path that a packet took is
//! what counts.

use crate::fault::FaultKind;
use crate::maps::MapId;
use crate::memory::{Checked, Pointer};

/// Something that a program must give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A record that is reserved in a ring buffer.
    Record(MapId),
    /// A dynptr on the stack that stands for a record, whether or not there was room for one.
    RecordDynptr(MapId),
    /// A socket.
    Socket,
    /// A spin lock in a value of a map.
    SpinLock,
}

/// A resource that the current run holds.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// What it is.
    pub resource: Resource,
    /// The pointer by which the program gives it back.
    pub pointer: Pointer,
    /// The instruction that acquired it.
    pub acquired_at: u32,
}

/// The references of the runs under way; runs nest.
#[derive(Debug, Default)]
pub struct References {
    held: Vec<Reference>,
    /// How many of `held` belong to the runs around the current one.
    outer: usize,
}

/// The state of the run around a nested run.
#[derive(Debug)]
#[must_use]
pub struct Outer(usize);

impl References {
    /// Begins a run, which holds nothing. The returned state is given back to [`References::leave`].
    pub fn enter(&mut self) -> Outer {
        Outer(std::mem::replace(&mut self.outer, self.held.len()))
    }

    /// Ends the run that `outer` was returned for, whatever it still holds.
    pub fn leave(&mut self, outer: Outer) {
        self.held.truncate(self.outer);
        self.outer = outer.0;
    }

    /// What the current run holds, in the order in which it was acquired.
    #[inline]
    pub fn held(&self) -> &[Reference] {
        &self.held[self.outer..]
    }

    /// Notes that the current run holds a resource.
    pub fn acquire(&mut self, resource: Resource, pointer: Pointer, acquired_at: u32) {
        self.held.push(Reference {
            resource,
            pointer,
            acquired_at,
        });
    }

    /// The reference that exactly this pointer stands for.
    pub fn get(&self, pointer: Pointer) -> Option<Reference> {
        let held = self.held().iter().rev();
        held.copied().find(|held| held.pointer == pointer)
    }

    /// Notes that the resource that exactly this pointer stands for was given back; none when the run
    /// does not hold it.
    pub fn release(&mut self, pointer: Pointer) -> Option<Reference> {
        let at = self
            .held()
            .iter()
            .rposition(|held| held.pointer == pointer)?;
        Some(self.held.remove(self.outer + at))
    }

    /// The spin lock that the current run holds.
    #[inline]
    pub fn lock(&self) -> Option<Reference> {
        let mut held = self.held().iter();
        held.find(|held| held.resource == Resource::SpinLock)
            .copied()
    }

    /// Checks that the current run may end.
    ///
    /// # Errors
    /// The fault of a run that holds something.
    #[inline]
    pub fn settled(&self) -> Checked<()> {
        match self.held().first() {
            None => Ok(()),
            Some(reference) => Err(Box::new(FaultKind::Leak {
                what: reference.resource.what(),
                acquired_at: reference.acquired_at,
            })),
        }
    }
}

impl Resource {
    /// What it is, for a message.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Record(_) => "a record of a ring buffer",
            Self::RecordDynptr(_) => "a dynptr of a ring buffer",
            Self::Socket => "a socket",
            Self::SpinLock => "a spin lock",
        }
    }
}
