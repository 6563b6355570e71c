//! A program tells what it does.

use std::fmt;

use twinpath_abi::{DebugNotify, DebugPoint, NotifyType};

use super::{EventError, expect_type, record};
use crate::describe::{Fields, named};

/// A debug event: what, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugEvent {
    record: DebugNotify,
}

impl DebugEvent {
    /// Decodes a record of the ring buffer.
    ///
    /// # Errors
    /// The bytes are no debug event.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let record: DebugNotify = record(bytes)?;
        expect_type(NotifyType::Debug, record.head.r#type)?;
        Ok(Self { record })
    }

    fn text(&self) -> String {
        let code = self.record.head.subtype;
        named(DebugPoint::from_code(code).map(DebugPoint::text), code)
    }

    /// The event's fields, in an order fit for a report.
    pub fn fields(&self) -> Fields {
        let DebugNotify {
            head,
            arg1,
            arg2,
            arg3,
        } = self.record;
        vec![
            ("debug", self.text()),
            ("endpoint", head.source.to_string()),
            ("flow", format!("{:#x}", head.hash)),
            ("arguments", format!("{arg1:#x} {arg2:#x} {arg3:#x}")),
        ]
    }
}

impl fmt::Display for DebugEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DebugNotify {
            head,
            arg1,
            arg2,
            arg3,
        } = self.record;
        write!(
            f,
            "## debug: flow {:#x} endpoint {}, {}: {arg1:#x} {arg2:#x} {arg3:#x}",
            head.hash,
            head.source,
            self.text(),
        )
    }
}
