//! The buffer that all taps of a run write into, and the taps themselves.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::util::online_cpus;
use aya_obj::generated::{BPF_F_XDP_HAS_FRAGS, XDP_FLAGS_DRV_MODE};
use twinpath_bpf::{Map, MapShape, PerfReader, PerfRecord, Program, ProgramSource, Refusal, link};
use twinpath_machine::{AttachType, MapType, ProgramType};

use super::program::{COUNTS, Output, Watched, around, far_end, received};
use super::record::Record;
use crate::kernel::code::Function;
use crate::kernel::sys::packet::PacketSocket;

/// Collects the records of a run's taps.
pub struct Observer {
    records: Map,
    counts: Map,
    /// The same of programs at sockets, which packets may interrupt.
    counts_of_calls: Map,
    /// The run's CPU first.
    buffers: Vec<PerfReader>,
    far_end: Program,
}

/// Why there is no tap.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// A system call failed.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// The program is of a kind without packets.
    #[error("the program is of a kind without packets")]
    NoPackets,
    /// The verifier refused the tap.
    #[error("the verifier refused the tap: {error}: {reason}")]
    Refused {
        /// The system call's error.
        error: io::Error,
        /// The end of what the verifier said.
        reason: String,
    },
}

/// Pages of the perf buffer of the run's CPU. What happens between two looks at it must fit.
const PAGES: usize = 512;
/// Pages of the other CPUs' buffers, where only what the kernel does of its own accord is recorded.
const OTHER_PAGES: usize = 32;

impl Observer {
    /// Sets up an observer for a run that happens on one CPU.
    ///
    /// # Errors
    /// When the kernel refuses one of the parts.
    pub fn new(cpu: usize) -> Result<Self, TapError> {
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| TapError::System(what, error))?;
        let array = |kind: MapType, value_size, max_entries| MapShape {
            kind: kind as u32,
            key_size: 4,
            value_size,
            max_entries,
            flags: 0,
        };
        let make = |name, shape| {
            Map::create(name, shape)
                .map_err(|error| TapError::System("create the taps' maps", error))
        };
        let records = make(
            "twinpath_taps",
            array(MapType::PerfEventArray, 4, cpus as u32),
        )?;
        let counts = || make("twinpath_counts", array(MapType::Array, COUNTS as u32, 1));
        let (counts, counts_of_calls) = (counts()?, counts()?);
        let buffers = open_buffers(&records, cpu)?;
        let output = Output {
            records: records.as_fd(),
            counts: counts.as_fd(),
        };
        let far_end = Program::load(&ProgramSource {
            flags: BPF_F_XDP_HAS_FRAGS,
            ..xdp("twinpath_far", &far_end(output))
        })
        .map_err(refused)?;
        Ok(Self {
            records,
            counts,
            counts_of_calls,
            buffers,
            far_end,
        })
    }

    /// Puts the far end's program on a device of this thread's namespace, until the result is dropped.
    ///
    /// # Errors
    /// The kernel's, for a device without native XDP.
    pub fn watch_device(&self, ifindex: u32) -> io::Result<OwnedFd> {
        let hook = AttachType::Xdp as u32;
        link(self.far_end.as_fd(), ifindex, hook, XDP_FLAGS_DRV_MODE)
    }

    /// A packet socket of this thread's namespace that records what devices receive, between XDP and tc, until it is
    /// dropped: all, or all but what one device does. Its records carry the number.
    ///
    /// # Errors
    /// When the kernel refuses one of the parts.
    pub fn watch_received(&self, number: u32, but: Option<u32>) -> Result<PacketSocket, TapError> {
        let output = Output {
            records: self.records.as_fd(),
            counts: self.counts.as_fd(),
        };
        let filter = Program::load(&ProgramSource::new(
            "twinpath_recv",
            ProgramType::SocketFilter as u32,
            &received(number, but, output),
        ))
        .map_err(refused)?;
        PacketSocket::filtered(filter.as_fd())
            .map_err(|error| TapError::System("open a packet socket", error))
    }

    /// Loads a program together with a tap, to be attached in its place. The tap's records carry the number.
    ///
    /// # Errors
    /// When the verifier refuses the two together.
    pub fn watch(
        &self,
        number: u32,
        watched: Watched,
        function: &Function,
    ) -> Result<Program, TapError> {
        let output = Output {
            records: self.records.as_fd(),
            counts: match watched {
                Watched::Socket(_) => self.counts_of_calls.as_fd(),
                Watched::Xdp { .. } | Watched::Skb => self.counts.as_fd(),
            },
        };
        let whole = function.behind(&around(number, watched, output));
        let (name, instructions) = (&function.name, &whole.instructions);
        let mut source = match watched {
            Watched::Xdp { hook, .. } => xdp(name, instructions).for_hook(hook as u32),
            Watched::Skb => ProgramSource::new(name, ProgramType::SchedCls as u32, instructions),
            Watched::Socket(hook) => {
                ProgramSource::new(name, function.kind as u32, instructions).for_hook(hook as u32)
            }
        };
        source.license = &function.license;
        source.debug = whole.debug.as_ref().map(|debug| debug.borrow());
        if let Watched::Xdp { fragments, .. } = watched {
            source.flags = if fragments { BPF_F_XDP_HAS_FRAGS } else { 0 };
        }
        Program::load(&source).map_err(refused)
    }

    /// Takes the records that have come since the last time, in order. Behind those of the run's CPU come those of
    /// the others, if any.
    ///
    /// # Errors
    /// With the number of records lost, when any were.
    pub fn drain(&mut self, mut take: impl FnMut(Record)) -> Result<(), u64> {
        let mut lost = 0;
        for record in self.buffers.iter().flat_map(PerfReader::take) {
            match record {
                PerfRecord::Sample(sample) => match Record::parse(&sample) {
                    Some(record) => take(record),
                    None => lost += 1,
                },
                PerfRecord::Lost(count) => lost += count,
            }
        }
        lost += uncounted(&self.counts) + uncounted(&self.counts_of_calls);
        if lost == 0 { Ok(()) } else { Err(lost) }
    }
}

/// Records that never reached the buffer.
fn uncounted(counts: &Map) -> u64 {
    let count = counts.lookup(&0u32.to_ne_bytes()).ok().flatten();
    let count = count.and_then(|value| Some(u64::from_ne_bytes(*value.first_chunk()?)));
    // Where it cannot be read, some may be missing.
    count.unwrap_or(u64::from(u32::MAX))
}

fn xdp<'a>(name: &'a str, instructions: &'a [u8]) -> ProgramSource<'a> {
    ProgramSource::new(name, ProgramType::Xdp as u32, instructions).for_hook(AttachType::Xdp as u32)
}

fn open_buffers(records: &Map, cpu: usize) -> Result<Vec<PerfReader>, TapError> {
    let open = |cpu: u32, pages| {
        let reader = PerfReader::new(cpu, pages)?;
        let value = reader.as_raw_fd().to_ne_bytes();
        records.update(&cpu.to_ne_bytes(), &value, 0)?;
        Ok(reader)
    };
    let open = |cpu, pages| {
        open(cpu, pages).map_err(|error| TapError::System("set up the perf buffer", error))
    };
    let mut buffers = vec![open(cpu as u32, PAGES)?];
    let online = online_cpus().map_err(|(what, error)| TapError::System(what, error))?;
    for other in online.into_iter().filter(|other| *other != cpu as u32) {
        buffers.push(open(other, OTHER_PAGES)?);
    }
    Ok(buffers)
}

fn refused(refusal: Refusal) -> TapError {
    // The last lines are statistics; the one before them is the reason.
    let reason = refusal
        .log
        .lines()
        .rev()
        .find(|line| !line.starts_with("processed ") && !line.trim().is_empty())
        .unwrap_or("it gave no reason");
    TapError::Refused {
        error: refusal.error,
        reason: reason.to_owned(),
    }
}
