//! What the plan's programs write for user space.
//!
//! Records are taken as tokio tells that they are there, and once more when the node is quiet: some come without a
//! word (`BPF_RB_NO_WAKEUP`).

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::task::{Context, Poll};

use aya::util::online_cpus;
use tokio::io::unix::AsyncFd;
use twinpath_bpf::{Map, PerfReader, PerfRecord, RingReader};
use twinpath_machine::MapType;

use super::error::Error;
use super::object::LoadedObject;
use super::sys::awaitable::awaitable;
use crate::plan::{NodeName, ObjectName};
use crate::recording::{Event, MapRef};

/// Pages of each CPU's buffer of a perf event array.
const PAGES: usize = 64;

/// Whether there was room for more records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Room {
    /// There was: all records are here.
    #[default]
    Left,
    /// There was not: some may be missing.
    Full,
}

/// What was taken from a source.
#[derive(Debug, Default)]
pub struct Taken {
    /// The records, in order.
    pub events: Vec<Event>,
    /// Whether a ring buffer had room for one more record like its largest. It does not count those that it had no
    /// room for.
    pub room: Room,
    /// Records that a perf event array had no room for.
    pub lost: u64,
}

/// A ring buffer, or the part of a perf event array that is one CPU's. A record of a perf event array ends with the
/// padding that the kernel adds, up to seven bytes.
pub struct EventReader {
    map: MapRef,
    stream: Stream,
    taken: Taken,
}

enum Stream {
    Ring {
        reader: RingReader,
        /// Bytes of the largest record so far, with its header.
        largest: usize,
    },
    Perf(PerfReader),
}

/// A reader that takes records as they come.
pub struct EventSource(AsyncFd<EventReader>);

impl EventReader {
    /// The readers of a map; none for a map that is no stream of records.
    ///
    /// # Errors
    /// When the kernel does not hand out their memory.
    pub fn of(map: &Map, name: &MapRef) -> io::Result<Vec<Self>> {
        let streams = Stream::of(map)?.into_iter();
        let readers = streams.map(|stream| Self {
            map: name.clone(),
            stream,
            taken: Taken::default(),
        });
        Ok(readers.collect())
    }

    /// The map that the records come from.
    pub fn map(&self) -> &MapRef {
        &self.map
    }

    /// All records since the last time, when no program runs any more.
    pub fn finish(&mut self) -> Taken {
        self.take();
        std::mem::take(&mut self.taken)
    }

    fn take(&mut self) {
        let Self { map, stream, taken } = self;
        let event = |bytes| Event {
            map: map.clone(),
            bytes,
            phase: 0,
        };
        match stream {
            Stream::Ring { reader, largest } => {
                let records = reader.take();
                let used = records.iter().map(|record| record.room()).sum();
                let new = records.iter().map(|record| record.room()).max();
                *largest = new.unwrap_or(0).max(*largest);
                if !has_room(used, *largest, reader.size()) {
                    taken.room = Room::Full;
                }
                let submitted = records.into_iter().filter_map(|record| record.submitted());
                taken.events.extend(submitted.map(event));
            }
            Stream::Perf(reader) => {
                for record in reader.take() {
                    match record {
                        PerfRecord::Sample(bytes) => taken.events.push(event(bytes)),
                        PerfRecord::Lost(count) => taken.lost += count,
                    }
                }
            }
        }
    }
}

impl EventSource {
    /// The ring buffers and perf event arrays of an object, by name.
    ///
    /// # Errors
    /// When the kernel does not hand out their memory.
    pub fn all_of(
        object: &LoadedObject,
        node: &NodeName,
        name: &ObjectName,
    ) -> Result<Vec<Self>, Error> {
        let mut sources = Vec::new();
        for (map, data) in object.maps() {
            let name = MapRef {
                node: node.clone(),
                object: name.clone(),
                map: map.clone(),
            };
            let readers = EventReader::of(data, &name)
                .and_then(|readers| readers.into_iter().map(Self::new).collect());
            let readers: Vec<Self> = readers.map_err(Error::system(format!("read map `{map}`")))?;
            sources.extend(readers);
        }
        Ok(sources)
    }

    fn new(reader: EventReader) -> io::Result<Self> {
        awaitable(reader).map(Self)
    }

    /// The reader, when no program runs any more.
    pub fn reader(&mut self) -> &mut EventReader {
        self.0.get_mut()
    }

    /// Takes what there is, and has the task woken up when there is more.
    fn poll_take(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while let Poll::Ready(ready) = self.0.poll_read_ready_mut(context) {
            let mut ready = ready?;
            ready.clear_ready();
            ready.get_inner_mut().take();
        }
        Ok(())
    }
}

/// Waits for something, and takes records as they come meanwhile.
///
/// # Errors
/// When it cannot be waited for records.
pub async fn take_while<'s, T>(
    sources: impl Iterator<Item = &'s mut EventSource>,
    waiting: impl Future<Output = T>,
) -> io::Result<T> {
    let mut sources: Vec<&mut EventSource> = sources.collect();
    let mut waiting = pin!(waiting);
    poll_fn(|context| {
        for source in &mut sources {
            source.poll_take(context)?;
        }
        waiting.as_mut().poll(context).map(Ok)
    })
    .await
}

/// Whether there is room for one more record like the largest in a ring of so many bytes, of which the kernel never
/// fills the last.
fn has_room(used: usize, largest: usize, size: usize) -> bool {
    used + largest < size
}

impl Stream {
    fn of(map: &Map) -> io::Result<Vec<Self>> {
        let is = |kind: MapType| map.shape().kind == kind as u32;
        if is(MapType::RingBuf) {
            let reader = RingReader::new(map)?;
            return Ok(vec![Self::Ring { reader, largest: 0 }]);
        }
        if !is(MapType::PerfEventArray) {
            return Ok(Vec::new());
        }
        let cpus = online_cpus().map_err(|(_, error)| error)?.into_iter();
        cpus.filter(|cpu| *cpu < map.shape().max_entries)
            .map(|cpu| {
                let reader = PerfReader::new(cpu, PAGES)?;
                let value = reader.as_raw_fd().to_ne_bytes();
                map.update(&cpu.to_ne_bytes(), &value, 0)?;
                Ok(Self::Perf(reader))
            })
            .collect()
    }
}

impl AsRawFd for EventReader {
    fn as_raw_fd(&self) -> RawFd {
        match &self.stream {
            Stream::Ring { reader, .. } => reader.as_raw_fd(),
            Stream::Perf(reader) => reader.as_raw_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::probe::{missing, runtime};
    use crate::kernel::tap::asm::{Assembler, FP, R1, R2, R3, R4, Width};
    use std::os::fd::AsFd;
    use twinpath_bpf::{MapShape, Program, ProgramSource, TestInput};
    use twinpath_machine::ProgramType;

    const RINGBUF_OUTPUT: i32 = 130;
    const RECORD: i32 = 120;

    #[test]
    fn a_ring_is_full_when_one_more_does_not_fit() {
        let cases = [
            ((0, 0, 4096), true),
            ((4048, 24, 4096), true),
            ((4064, 24, 4096), true),
            ((4072, 24, 4096), false),
            ((2048, 2048, 4096), false),
        ];
        for ((used, largest, size), room) in cases {
            assert_eq!(has_room(used, largest, size), room, "{used} and {largest}");
        }
    }

    /// Writes a record into the ring and returns whether there was no room.
    fn writer(ring: &Map) -> Program {
        let mut code = Assembler::default();
        for at in (0..RECORD as i16).step_by(8) {
            code.store_value(Width::D, FP, at - RECORD as i16, 0);
        }
        code.map(R1, ring.as_fd());
        code.copy(R2, FP);
        code.add(R2, -RECORD);
        code.set(R3, RECORD);
        code.set(R4, 0);
        code.call(RINGBUF_OUTPUT);
        code.exit();
        let code = code.finish();
        let kind = ProgramType::SocketFilter as u32;
        Program::load(&ProgramSource::new("writer", kind, &code)).expect("it loads")
    }

    /// A ring of 32 records takes many more, because they are read while something else is waited for.
    #[test]
    fn records_are_taken_as_they_come() {
        if !missing().is_empty() {
            return;
        }
        let shape = MapShape {
            kind: MapType::RingBuf as u32,
            key_size: 0,
            value_size: 0,
            max_entries: 4096,
            flags: 0,
        };
        let ring = Map::create("ring", shape).expect("a ring");
        let program = writer(&ring);
        let write = async || {
            let mut written = 0;
            for _ in 0..1000 {
                let output = program
                    .test_run(TestInput::packet(&[0; 14]))
                    .expect("a run");
                written += usize::from(output.code == 0);
                tokio::task::yield_now().await;
            }
            written
        };
        let taken = runtime().expect("a runtime").block_on(async {
            let name = MapRef {
                node: NodeName::new("n"),
                object: ObjectName::new("o"),
                map: "ring".to_owned(),
            };
            let reader = EventReader::of(&ring, &name).expect("readers").pop();
            let mut source = EventSource::new(reader.expect("one")).expect("it waits");
            let written = take_while([&mut source].into_iter(), write()).await;
            let as_they_came = source.reader().taken.events.len();
            let all = source.reader().finish().events.len();
            assert_eq!(written.expect("it waits"), all);
            as_they_came
        });
        assert!(taken > 900, "{taken} of 1000");
    }
}
