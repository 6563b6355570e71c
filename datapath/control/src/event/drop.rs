//! A packet was dropped.

use std::fmt;

use twinpath_abi::{DropNotify, DropReason, DropRecord, EndpointId, NotifyType, SourceFile};

use super::{EventError, expect_type, expect_version, record, summary};
use crate::describe::Fields;

/// A drop event: why, where, who, and the head of the packet.
///
/// Its `Display` is a line such as
///
/// ```text
/// xx drop (Policy denied by denylist) flow 0x1bc4a9f2 to endpoint 0, ifindex 4, file prefilter.rs:24, identity unknown->unknown: 198.51.100.9:4242 -> 192.0.2.80:80 tcp SYN
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropEvent {
    record: DropRecord,
}

impl DropEvent {
    /// Decodes a record of the ring buffer.
    ///
    /// # Errors
    /// The bytes are no drop event of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let record: DropRecord = record(bytes)?;
        let notify = &record.notify;
        expect_type(NotifyType::Drop, notify.head.r#type)?;
        expect_version(DropNotify::VERSION, notify.capture.version)?;
        Ok(Self { record })
    }

    /// Why the packet was dropped, if this version knows the number.
    pub fn reason(&self) -> Option<DropReason> {
        DropReason::from_code(self.record.notify.head.subtype)
    }

    /// The reason in words, or its number.
    pub fn reason_text(&self) -> String {
        let code = self.record.notify.head.subtype;
        self.reason()
            .map_or_else(|| code.to_string(), |reason| reason.text().to_owned())
    }

    /// The endpoint that sent the packet, if it was one of this node.
    pub fn source(&self) -> Option<EndpointId> {
        let id = self.record.notify.head.source;
        (id.0 != 0).then_some(id)
    }

    /// The place that dropped the packet: `file:line`.
    pub fn place(&self) -> String {
        let DropNotify { file, line, .. } = self.record.notify;
        match SourceFile::from_code(file) {
            Some(file) => format!("{}:{line}", file.name()),
            None => format!("{file}:{line}"),
        }
    }

    /// The head of the packet.
    pub fn packet(&self) -> &[u8] {
        self.record.captured()
    }

    /// Everything that the event says of the packet.
    pub fn notify(&self) -> &DropNotify {
        &self.record.notify
    }

    /// The event's fields, in an order fit for a report.
    pub fn fields(&self) -> Fields {
        let notify = self.notify();
        vec![
            (
                "reason",
                format!("{} ({})", notify.head.subtype, self.reason_text()),
            ),
            ("flow", format!("{:#x}", notify.head.hash)),
            ("source-endpoint", notify.head.source.to_string()),
            ("destination-endpoint", notify.dst_id.to_string()),
            ("source-identity", notify.src_label.to_string()),
            ("destination-identity", notify.dst_label.to_string()),
            ("ifindex", notify.ifindex.to_string()),
            ("place", self.place()),
            ("length", notify.capture.len_orig.to_string()),
            ("captured", notify.capture.len_cap.to_string()),
            ("time", format!("{}ns", notify.timestamp)),
            ("packet", summary(self.packet())),
        ]
    }
}

impl fmt::Display for DropEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notify = self.notify();
        write!(
            f,
            "xx drop ({}) flow {:#x} to endpoint {}, ifindex {}, file {}, identity {}->{}: {}",
            self.reason_text(),
            notify.head.hash,
            notify.dst_id,
            notify.ifindex,
            self.place(),
            notify.src_label,
            notify.dst_label,
            summary(self.packet()),
        )
    }
}
