//! Map entries and events in words: the datapath's own by their types, others as bytes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use twinpath_control::abi::{CAPTURE_LEN, map};
use twinpath_control::{Names, describe, event};
use twinpath_machine::Object;
use twinpath_machine::object::btf::TypeId;

use crate::plan::{NodeName, ObjectName};
use crate::recording::{Event, MapRef};

/// Named values of a record, in its own order. A value may stand without a name.
pub type Fields = Vec<(String, String)>;

/// Knows which objects are the datapath, whose records it can read, and the types that other objects tell of.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// With what is behind the numbers in their records: at the start, and after each change of the cluster.
    datapaths: BTreeMap<(NodeName, ObjectName), Vec<Names>>,
    typed: BTreeMap<(NodeName, ObjectName), Arc<Typed>>,
}

/// An object whose types are read when they are asked for.
#[derive(Debug)]
struct Typed {
    bytes: Arc<[u8]>,
    object: OnceLock<Option<Object>>,
}

impl Decoder {
    /// A decoder that takes these objects for the datapath, each on its node, with the names that it knows there: at the
    /// start, and after each change of the cluster.
    pub fn new(datapaths: impl IntoIterator<Item = ((NodeName, ObjectName), Vec<Names>)>) -> Self {
        Self {
            datapaths: datapaths.into_iter().collect(),
            typed: BTreeMap::new(),
        }
    }

    /// The same, and it knows what the types of maps are in these objects.
    pub fn with_objects(
        mut self,
        objects: impl IntoIterator<Item = ((NodeName, ObjectName), Arc<[u8]>)>,
    ) -> Self {
        let objects = objects.into_iter().map(|(name, bytes)| {
            let object = OnceLock::new();
            (name, Arc::new(Typed { bytes, object }))
        });
        self.typed.extend(objects);
        self
    }

    /// An event's fields.
    pub fn event(&self, event: &Event) -> Fields {
        match (self.own(event), self.names_then(event)) {
            (None, _) => raw(&event.bytes),
            (Some(own), names) => {
                let mut fields = named(own.fields());
                let decided = names.and_then(|names| names.decided(&own));
                fields.extend(decided.map(|by| ("policy".to_owned(), by)));
                fields
            }
        }
    }

    /// An event in words, if it is one of the datapath's.
    pub fn event_text(&self, event: &Event) -> Option<String> {
        let own = self.own(event)?;
        let decided = self.names_then(event)?.decided(&own);
        let by = decided.map(|by| format!(" by {by}"));
        Some(format!("{own}{}", by.unwrap_or_default()))
    }

    /// An event with names instead of addresses, if it is one of the datapath's.
    pub fn event_observed(&self, event: &Event) -> Option<String> {
        Some(self.own(event)?.observe(self.names_then(event)?))
    }

    /// An event in a line, whoever wrote it.
    pub fn event_line(&self, event: &Event) -> String {
        self.event_text(event)
            .unwrap_or_else(|| format!("{}: {}", event.map, hex(&event.bytes)))
    }

    /// Where in an event's record the head of a packet stands, if it is one of the datapath's.
    pub fn packet_at(&self, event: &Event) -> Option<Range<usize>> {
        let len = self.own(event)?.packet().len();
        let start = event.bytes.len().checked_sub(CAPTURE_LEN)?;
        Some(start..start + len)
    }

    /// The reason of an event that tells of a drop.
    pub fn drop_reason(&self, event: &Event) -> Option<String> {
        self.own(event)?.drop_reason()
    }

    /// A key's fields.
    pub fn key(&self, map: &MapRef, key: &[u8]) -> Fields {
        let own = self.is_own(map).then(|| describe::key(&map.map, key));
        let fields = own.flatten().map(named);
        fields
            .or_else(|| self.parts(map, |(key, _)| key, key))
            .unwrap_or_else(|| raw(key))
    }

    /// A record in parts by the type that the map's object has for it.
    fn parts(
        &self,
        map: &MapRef,
        which: impl FnOnce((TypeId, TypeId)) -> TypeId,
        bytes: &[u8],
    ) -> Option<Fields> {
        let typed = self.typed.get(&(map.node.clone(), map.object.clone()))?;
        let object = typed
            .object
            .get_or_init(|| Object::parse(&typed.bytes).ok());
        let object = object.as_ref()?;
        let mut maps = object.maps().iter();
        let types = object.map_types(maps.position(|known| known.name == map.map)?)?;
        object.btf()?.parts(which(types), bytes)
    }

    /// A key in a line.
    pub fn key_line(&self, map: &MapRef, key: &[u8]) -> String {
        line(&self.key(map, key))
    }

    /// A value's fields. Of the values of all CPUs, the sum, where the map counts something.
    pub fn value(&self, map: &MapRef, slots: &[Vec<u8>]) -> Fields {
        let sum = match slots {
            [only] => only.clone(),
            several if map.map == map::METRICS => sum(several),
            several => several.concat(),
        };
        let names = self.names(map);
        let fields = names.and_then(|names| names.value(&map.map, &sum));
        fields
            .map(named)
            .or_else(|| self.typed_slots(map, slots))
            .unwrap_or_else(|| raw(&slots.concat()))
    }

    /// The values of a key by their type, of several CPUs one after another.
    fn typed_slots(&self, map: &MapRef, slots: &[Vec<u8>]) -> Option<Fields> {
        let value = |slot: &Vec<u8>| self.parts(map, |(_, value)| value, slot);
        if let [only] = slots {
            return value(only);
        }
        let mut fields = Fields::new();
        for (number, slot) in slots.iter().enumerate() {
            let parts = value(slot)?.into_iter();
            fields.extend(parts.map(|(name, value)| match name.as_str() {
                "" => (format!("[{number}]"), value),
                name => (format!("[{number}].{name}"), value),
            }));
        }
        Some(fields)
    }

    /// A value in a line.
    pub fn value_line(&self, map: &MapRef, slots: &[Vec<u8>]) -> String {
        line(&self.value(map, slots))
    }

    fn is_own(&self, map: &MapRef) -> bool {
        self.phases(map).is_some()
    }

    fn phases(&self, map: &MapRef) -> Option<&[Names]> {
        let phases = self.datapaths.get(&(map.node.clone(), map.object.clone()));
        phases.map(Vec::as_slice)
    }

    /// What the node says of the object's records at the end, if that is the datapath.
    fn names(&self, map: &MapRef) -> Option<&Names> {
        self.phases(map)?.last()
    }

    /// The same when an event was written.
    fn names_then(&self, event: &Event) -> Option<&Names> {
        self.phases(&event.map)?.get(event.phase)
    }

    fn own(&self, event: &Event) -> Option<event::Event> {
        let own = self.is_own(&event.map) && event.map.map == map::EVENTS;
        own.then(|| event::Event::parse(&event.bytes).ok())
            .flatten()
    }
}

/// Adds up values that are counters of 64 bits.
fn sum(slots: &[Vec<u8>]) -> Vec<u8> {
    let mut sum: Vec<u64> = Vec::new();
    for slot in slots {
        let (words, _) = slot.as_chunks::<8>();
        sum.resize(sum.len().max(words.len()), 0);
        for (total, word) in sum.iter_mut().zip(words) {
            *total = total.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    sum.into_iter().flat_map(u64::to_ne_bytes).collect()
}

fn named(fields: describe::Fields) -> Fields {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn raw(bytes: &[u8]) -> Fields {
    vec![(String::new(), hex(bytes))]
}

/// Fields on a line; a field without a name is only its value.
fn line(fields: &Fields) -> String {
    let parts: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name} {value}").trim_start().to_owned())
        .collect();
    parts.join(", ")
}

/// Two hex digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}
