//! A packet has passed a point of its way.

use std::fmt;

use twinpath_abi::{NotifyType, TraceNotify, TracePoint, TraceReason, TraceRecord};

use super::{EventError, expect_type, expect_version, record, summary};
use crate::describe::{Fields, named};

/// A trace event: where, who, and the head of the packet.
///
/// Its `Display` is a line such as
///
/// ```text
/// -> endpoint 2 flow 0x3000e251 , identity 1001->1002 state new ifindex 11: 10.0.1.1:40000 -> 10.0.1.2:80 tcp SYN
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    record: TraceRecord,
}

impl TraceEvent {
    /// Decodes a record of the ring buffer.
    ///
    /// # Errors
    /// The bytes are no trace event of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let record: TraceRecord = record(bytes)?;
        expect_type(NotifyType::Trace, record.notify.head.r#type)?;
        expect_version(TraceNotify::VERSION, record.notify.capture.version)?;
        Ok(Self { record })
    }

    /// Everything that the event says of the packet.
    pub fn notify(&self) -> &TraceNotify {
        &self.record.notify
    }

    fn point(&self) -> String {
        let code = self.notify().head.subtype;
        named(TracePoint::from_code(code).map(TracePoint::name), code)
    }

    fn reason(&self) -> String {
        let code = self.notify().reason;
        named(TraceReason::from_code(code).map(TraceReason::name), code)
    }

    /// The event's fields, in an order fit for a report.
    pub fn fields(&self) -> Fields {
        let notify = self.notify();
        vec![
            ("point", self.point()),
            ("state", self.reason()),
            ("flow", format!("{:#x}", notify.head.hash)),
            ("source-endpoint", notify.head.source.to_string()),
            ("destination-endpoint", notify.dst_id.to_string()),
            ("source-identity", notify.src_label.to_string()),
            ("destination-identity", notify.dst_label.to_string()),
            ("ifindex", notify.ifindex.to_string()),
            ("length", notify.capture.len_orig.to_string()),
            ("captured", notify.capture.len_cap.to_string()),
            ("time", format!("{}ns", notify.timestamp)),
            ("packet", summary(self.record.captured())),
        ]
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notify = self.notify();
        let point = self.point();
        let (arrow, place) = match point.split_once('-') {
            Some(("to", place)) => ("->", place),
            Some(("from", place)) => ("<-", place),
            _ => ("--", point.as_str()),
        };
        write!(f, "{arrow} {place}")?;
        match (place, arrow) {
            ("endpoint", "->") => write!(f, " {}", notify.dst_id)?,
            ("endpoint", _) => write!(f, " {}", notify.head.source)?,
            _ => {}
        }
        write!(
            f,
            " flow {:#x} , identity {}->{} state {} ifindex {}: {}",
            notify.head.hash,
            notify.src_label,
            notify.dst_label,
            self.reason(),
            notify.ifindex,
            summary(self.record.captured()),
        )
    }
}
