//! Events of the datapath, in words: as `cilium monitor` prints them (`Display`), and as `hubble observe` does
//! ([`Event::observe`]).

mod fields;
mod monitor;
mod observe;
mod summary;

use twinpath_abi::{
    DebugNotify, DropNotify, DropReason, DropRecord, Identity, NotifyType, Record, TraceNotify,
    TraceRecord, VerdictNotify, VerdictRecord,
};

pub use summary::{Layer4, Summary, TcpFlags};

/// A record of the ring buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet was dropped.
    Drop(DropRecord),
    /// A packet has passed a point of its way.
    Trace(TraceRecord),
    /// A policy has decided about a new connection.
    Verdict(VerdictRecord),
    /// A program tells what it does.
    Debug(DebugNotify),
}

/// Bytes that are no event which this version knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The record is of another size.
    #[error("expected an event of {expected} bytes, found {found}")]
    Size {
        /// The size of an event of this type.
        expected: usize,
        /// The size of the bytes.
        found: usize,
    },
    /// The record is something else.
    #[error("expected event type 1 (drop), 2 (debug), 4 (trace) or 5 (policy verdict), found {0}")]
    Type(u8),
    /// No bytes at all.
    #[error("expected an event, found no bytes")]
    Empty,
    /// The record has another layout.
    #[error("expected version {expected} of this event, found {found}")]
    Version {
        /// The version that is known.
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
        let first = *bytes.first().ok_or(EventError::Empty)?;
        let kind = NotifyType::from_code(first).ok_or(EventError::Type(first))?;
        Ok(match kind {
            NotifyType::Drop => {
                let record: DropRecord = read(bytes)?;
                version(record.notify.capture.version, DropNotify::VERSION)?;
                Self::Drop(record)
            }
            NotifyType::Trace => {
                let record: TraceRecord = read(bytes)?;
                version(record.notify.capture.version, TraceNotify::VERSION)?;
                Self::Trace(record)
            }
            NotifyType::PolicyVerdict => {
                let record: VerdictRecord = read(bytes)?;
                version(record.notify.capture.version, VerdictNotify::VERSION)?;
                Self::Verdict(record)
            }
            NotifyType::Debug => Self::Debug(read(bytes)?),
        })
    }

    /// The reason of a drop in words, or its number.
    pub fn drop_reason(&self) -> Option<String> {
        match self {
            Self::Drop(record) => Some(reason_text(record.notify.head.subtype)),
            _ => None,
        }
    }

    /// The head of the packet; nothing for a debug event, which is about none.
    pub fn packet(&self) -> &[u8] {
        match self {
            Self::Drop(record) => record.captured(),
            Self::Trace(record) => record.captured(),
            Self::Verdict(record) => record.captured(),
            Self::Debug(_) => &[],
        }
    }

    /// The identities of sender and receiver, where the event says them.
    fn identities(&self) -> Option<(Identity, Identity)> {
        match self {
            Self::Drop(record) => Some((record.notify.src_label, record.notify.dst_label)),
            Self::Trace(record) => Some((record.notify.src_label, record.notify.dst_label)),
            Self::Verdict(_) | Self::Debug(_) => None,
        }
    }
}

fn read<T: Record>(bytes: &[u8]) -> Result<T, EventError> {
    T::read_from_bytes(bytes).map_err(|_| EventError::Size {
        expected: size_of::<T>(),
        found: bytes.len(),
    })
}

fn version(found: u8, expected: u8) -> Result<(), EventError> {
    if found == expected {
        Ok(())
    } else {
        Err(EventError::Version { expected, found })
    }
}

/// The reason in words, or its number.
fn reason_text(code: u8) -> String {
    DropReason::from_code(code).map_or_else(|| code.to_string(), |reason| reason.text().to_owned())
}

#[cfg(test)]
mod tests;
