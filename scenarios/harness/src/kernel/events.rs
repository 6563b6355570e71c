//! What the plan's programs write for user space.

use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{MapData, PerfEventArray, RingBuf};
use aya::util::online_cpus;
use twinpath_bpf::Map;
use twinpath_machine::MapType;

use super::error::Error;
use super::object::{LoadedObject, for_aya};
use crate::plan::{NodeName, ObjectName};
use crate::recording::{Event, MapRef};

/// Pages of each CPU's buffer of a perf event array.
const PAGES: usize = 64;

/// Bytes before each record of a ring buffer, and what records are aligned to (`kernel/bpf/ringbuf.c`).
const RING_HEADER: usize = 8;

/// Whether there was room for more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There was: all records are here.
    Left,
    /// There was not: some may be missing.
    Full,
}

impl Room {
    /// The room for one more like the largest in a ring that holds so many bytes, of which the kernel never fills
    /// the last.
    fn after(used: usize, largest: usize, size: usize) -> Self {
        if used + largest < size {
            Self::Left
        } else {
            Self::Full
        }
    }
}

/// A map from which records are read as they come.
pub struct EventSource {
    map: MapRef,
    stream: Stream,
}

enum Stream {
    Ring {
        ring: RingBuf<MapData>,
        /// Bytes of the ring.
        size: usize,
    },
    Perf(Vec<PerfEventArrayBuffer<MapData>>),
}

impl EventSource {
    /// Reads the ring buffers and perf event arrays of an object, by name.
    ///
    /// # Errors
    /// When the kernel does not hand out their memory.
    pub fn all_of(
        object: &LoadedObject,
        node: &NodeName,
        name: &ObjectName,
    ) -> Result<Vec<Self>, Error> {
        let is_stream = |map: &Map| {
            [MapType::RingBuf, MapType::PerfEventArray]
                .iter()
                .any(|kind| *kind as u32 == map.shape().kind)
        };
        let streams = object.maps().iter().filter(|(_, map)| is_stream(map));
        streams
            .map(|(map, data)| {
                let what = format!("read map `{map}`");
                let size = data.shape().max_entries;
                let stream = for_aya(data).and_then(|data| Stream::open(data, size));
                let stream = stream.map_err(Error::system(what))?;
                let map = MapRef {
                    node: node.clone(),
                    object: name.clone(),
                    map: map.clone(),
                };
                Ok(Self { map, stream })
            })
            .collect()
    }

    /// Takes the records that have come since the last time. A record of a perf event array ends with the
    /// padding that the kernel adds, up to seven bytes. Says whether there was room for one more like the largest
    /// of them: a ring buffer does not count those that it had no room for.
    ///
    /// # Errors
    /// With the number of records lost, when any were.
    pub fn drain(&mut self, events: &mut Vec<Event>) -> Result<Room, u64> {
        let map = &self.map;
        let mut take = |bytes: Vec<u8>| {
            events.push(Event {
                map: map.clone(),
                bytes,
            });
        };
        match &mut self.stream {
            Stream::Ring { ring, size } => {
                let (mut used, mut largest) = (0, 0);
                while let Some(record) = ring.next() {
                    let length = (record.len() + RING_HEADER).next_multiple_of(RING_HEADER);
                    used += length;
                    largest = largest.max(length);
                    take(record.to_vec());
                }
                Ok(Room::after(used, largest, *size))
            }
            Stream::Perf(buffers) => {
                let mut lost = 0;
                for buffer in buffers {
                    buffer.for_each(|event| match event {
                        PerfEvent::Sample { head, tail } => take([head, tail].concat()),
                        PerfEvent::Lost { count } => lost += count,
                    });
                }
                if lost == 0 { Ok(Room::Left) } else { Err(lost) }
            }
        }
    }

    /// The map that the records come from.
    pub fn map(&self) -> &MapRef {
        &self.map
    }
}

impl Stream {
    fn open(map: aya::maps::Map, size: u32) -> std::io::Result<Self> {
        let other = |error: &dyn std::error::Error| std::io::Error::other(error.to_string());
        if matches!(map, aya::maps::Map::RingBuf(_)) {
            return RingBuf::try_from(map)
                .map(|ring| Self::Ring {
                    ring,
                    size: size as usize,
                })
                .map_err(|error| other(&error));
        }
        let mut array = PerfEventArray::try_from(map).map_err(|error| other(&error))?;
        online_cpus()
            .map_err(|(_, error)| error)?
            .into_iter()
            .filter(|cpu| *cpu < size)
            .map(|cpu| array.open(cpu, Some(PAGES)).map_err(|error| other(&error)))
            .collect::<Result<_, _>>()
            .map(Self::Perf)
    }
}

#[cfg(test)]
mod tests {
    use super::Room::{self, Full, Left};

    #[test]
    fn a_ring_is_full_when_one_more_does_not_fit() {
        let cases = [
            ((0, 0, 4096), Left),
            ((4048, 24, 4096), Left),
            ((4064, 24, 4096), Left),
            ((4072, 24, 4096), Full),
            ((2048, 2048, 4096), Full),
        ];
        for ((used, largest, size), room) in cases {
            assert_eq!(
                Room::after(used, largest, size),
                room,
                "{used} and {largest}"
            );
        }
    }
}
