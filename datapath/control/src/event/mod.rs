//! Events of the datapath, in the manner of `cilium monitor`.

mod debug;
mod drop;
mod summary;
mod trace;
mod verdict;

use std::fmt;

use twinpath_abi::{NotifyType, Record};

pub use debug::DebugEvent;
pub use drop::DropEvent;
pub use summary::summary;
pub use trace::TraceEvent;
pub use verdict::VerdictEvent;

use crate::describe::Fields;

/// An event of any kind. Its `Display` is the line that `cilium monitor` would print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet was dropped.
    Drop(DropEvent),
    /// A program tells what it does.
    Debug(DebugEvent),
    /// A packet has passed a point of its way.
    Trace(TraceEvent),
    /// A policy has decided.
    Verdict(VerdictEvent),
}

/// Bytes that are no event which this version knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The record is of another size.
    #[error("expected an event of {expected} bytes, found {found}")]
    Size {
        /// The size of such an event.
        expected: usize,
        /// The size of the bytes.
        found: usize,
    },
    /// The record is something else.
    #[error("expected event type {expected}, found {found}")]
    Type {
        /// The number of such events.
        expected: u8,
        /// What the record says.
        found: u8,
    },
    /// The record is of a type that this version does not know.
    #[error("there is no event type {0}")]
    UnknownType(u8),
    /// The record has another layout.
    #[error("expected version {expected} of the event, found {found}")]
    Version {
        /// The version that is read here.
        expected: u8,
        /// The version in the record.
        found: u8,
    },
}

impl Event {
    /// Decodes a record of the ring buffer.
    ///
    /// # Errors
    /// The bytes are no event of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let kind = bytes.first().copied().unwrap_or_default();
        match NotifyType::from_code(kind).ok_or(EventError::UnknownType(kind))? {
            NotifyType::Drop => DropEvent::parse(bytes).map(Self::Drop),
            NotifyType::Debug => DebugEvent::parse(bytes).map(Self::Debug),
            NotifyType::Trace => TraceEvent::parse(bytes).map(Self::Trace),
            NotifyType::PolicyVerdict => VerdictEvent::parse(bytes).map(Self::Verdict),
        }
    }

    /// The event's fields, in an order fit for a report.
    pub fn fields(&self) -> Fields {
        match self {
            Self::Drop(event) => event.fields(),
            Self::Debug(event) => event.fields(),
            Self::Trace(event) => event.fields(),
            Self::Verdict(event) => event.fields(),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(event) => event.fmt(f),
            Self::Debug(event) => event.fmt(f),
            Self::Trace(event) => event.fmt(f),
            Self::Verdict(event) => event.fmt(f),
        }
    }
}

/// A record of a certain size.
fn record<T: Record>(bytes: &[u8]) -> Result<T, EventError> {
    T::read_from_bytes(bytes).map_err(|_| EventError::Size {
        expected: size_of::<T>(),
        found: bytes.len(),
    })
}

/// Refuses a record of another type.
fn expect_type(expected: NotifyType, found: u8) -> Result<(), EventError> {
    let expected = expected as u8;
    if expected == found {
        Ok(())
    } else {
        Err(EventError::Type { expected, found })
    }
}

/// Refuses a record of another version.
fn expect_version(expected: u8, found: u8) -> Result<(), EventError> {
    if expected == found {
        Ok(())
    } else {
        Err(EventError::Version { expected, found })
    }
}

#[cfg(test)]
mod tests;
