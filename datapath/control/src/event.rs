//! Events of the datapath, in the manner of `cilium monitor`.

mod summary;

use std::fmt;

use twinpath_abi::{
    DropNotify, DropReason, DropRecord, EndpointId, FromBytes as _, NotifyType, SourceFile,
};

pub use summary::summary;

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

/// Bytes that are no event which this version knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The record is of another size.
    #[error("expected an event of {expected} bytes, found {found}")]
    Size {
        /// The size of a drop event.
        expected: usize,
        /// The size of the bytes.
        found: usize,
    },
    /// The record is something else.
    #[error("expected event type 1 (drop), found {0}")]
    Type(u8),
    /// The record has another layout.
    #[error("expected version {expected} of a drop event, found {found}", expected = DropNotify::VERSION)]
    Version {
        /// The version in the record.
        found: u8,
    },
}

impl DropEvent {
    /// Decodes a record of the ring buffer.
    ///
    /// # Errors
    /// The bytes are no drop event of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let record = DropRecord::read_from_bytes(bytes).map_err(|_| EventError::Size {
            expected: size_of::<DropRecord>(),
            found: bytes.len(),
        })?;
        if record.notify.head.r#type != NotifyType::Drop as u8 {
            return Err(EventError::Type(record.notify.head.r#type));
        }
        if record.notify.capture.version != DropNotify::VERSION {
            return Err(EventError::Version {
                found: record.notify.capture.version,
            });
        }
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

#[cfg(test)]
mod tests;
