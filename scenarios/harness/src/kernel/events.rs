//! What the plan's programs write for user space.
//!
//! Records are taken as tokio tells that they are there, and once more when the node is quiet: some come without a
//! word (`BPF_RB_NO_WAKEUP`).

use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::task::{Context, Poll};

use aya::util::online_cpus;
use tokio::io::unix::AsyncFd;
use twinpath_bpf::{Map, PerfReader, PerfRecord, RingReader};
use twinpath_machine::MapType;

use super::error::Error;
use super::object::LoadedObject;
use super::sys::awaitable::{Owner, awaitable};
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
pub struct EventSource {
    map: MapRef,
    stream: Stream,
    taken: Taken,
}

enum Stream {
    Ring {
        reader: AsyncFd<RingReader>,
        /// Bytes of the largest record so far, with its header.
        largest: usize,
    },
    Perf(AsyncFd<PerfReader>),
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
            let streams = Stream::of(data).map_err(Error::system(format!("read map `{map}`")))?;
            sources.extend(streams.into_iter().map(|stream| Self {
                map: MapRef {
                    node: node.clone(),
                    object: name.clone(),
                    map: map.clone(),
                },
                stream,
                taken: Taken::default(),
            }));
        }
        Ok(sources)
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
        };
        match stream {
            Stream::Ring { reader, largest } => {
                let records = reader.get_ref().take();
                let used = records.iter().map(|record| record.room()).sum();
                let new = records.iter().map(|record| record.room()).max();
                *largest = new.unwrap_or(0).max(*largest);
                if !has_room(used, *largest, reader.get_ref().size()) {
                    taken.room = Room::Full;
                }
                let submitted = records.into_iter().filter_map(|record| record.submitted());
                taken.events.extend(submitted.map(event));
            }
            Stream::Perf(reader) => {
                for record in reader.get_ref().take() {
                    match record {
                        PerfRecord::Sample(bytes) => taken.events.push(event(bytes)),
                        PerfRecord::Lost(count) => taken.lost += count,
                    }
                }
            }
        }
    }

    /// Takes what there is, and has the task woken up when there is more.
    fn poll_take(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.stream.poll_ready(context)? {
            self.take();
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
    /// None for a map that is no stream of records.
    fn of(map: &Map) -> io::Result<Vec<Self>> {
        let is = |kind: MapType| map.shape().kind == kind as u32;
        if is(MapType::RingBuf) {
            let reader = awaitable(RingReader::new(map)?)?;
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
                Ok(Self::Perf(awaitable(reader)?))
            })
            .collect()
    }

    /// Whether records may be there; if not, the task is woken up when they are.
    fn poll_ready(&self, context: &mut Context<'_>) -> io::Result<bool> {
        match self {
            Self::Ring { reader, .. } => poll_ready(reader, context),
            Self::Perf(reader) => poll_ready(reader, context),
        }
    }
}

fn poll_ready<T: Owner>(reader: &AsyncFd<T>, context: &mut Context<'_>) -> io::Result<bool> {
    match reader.poll_read_ready(context) {
        Poll::Ready(ready) => {
            ready?.clear_ready();
            Ok(true)
        }
        Poll::Pending => Ok(false),
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
            let stream = Stream::of(&ring).expect("a reader").pop();
            let mut source = EventSource {
                map: MapRef {
                    node: NodeName::new("n"),
                    object: ObjectName::new("o"),
                    map: "ring".to_owned(),
                },
                stream: stream.expect("a stream"),
                taken: Taken::default(),
            };
            let written = take_while([&mut source].into_iter(), write()).await;
            let as_they_came = source.taken.events.len();
            let all = source.finish().events.len();
            assert_eq!(written.expect("it waits"), all);
            as_they_came
        });
        assert!(taken > 900, "{taken} of 1000");
    }
}
