//! The iterator over a capture's frames.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::error::{CaptureError, Place, Problem};
use super::input::Input;
use super::pcap::PcapReader;
use super::pcapng::{PcapNgReader, Step};
use super::sniff::{self, Format};
use super::window::Window;
use crate::{Frame, Interface};

type Source = Box<dyn Read + Send>;

/// A capture that is being read, frame by frame: never more than a block of it is in memory.
///
/// Iterating yields owned [`Frame`]s; [`Capture::read_into`] reuses one. After the first error
/// there is nothing more.
///
/// Only Ethernet is read. In a pcapng, an interface of another link type is refused when a packet
/// of it comes. Frames that the snapshot length cut are refused too, unless
/// [`Capture::with_cut_frames`] allows them.
pub struct Capture {
    file: PathBuf,
    input: Input<Source>,
    reader: Reader,
    cut_frames: bool,
    ended: bool,
    total: Option<u64>,
    read: Arc<AtomicU64>,
}

enum Reader {
    Pcap(PcapReader, [Interface; 1]),
    PcapNg(PcapNgReader),
}

/// How far a capture was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were read from the file or stream, before decompression.
    pub read: u64,
    /// Length of the file; unknown for a stream.
    pub total: Option<u64>,
}

impl Capture {
    /// Opens the capture at `path` and reads its header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let (file, len) = File::open(path)
            .and_then(|file| {
                let meta = file.metadata()?;
                Ok((file, meta.is_file().then_some(meta.len())))
            })
            .map_err(|error| CaptureError {
                file: path.to_owned(),
                place: Place::File,
                problem: Problem::Open(error),
            })?;
        Self::start(path.to_owned(), Box::new(file), len)
    }

    /// Reads a capture from a stream; `name` stands for the path in errors.
    ///
    /// The stream needs no buffer of its own.
    pub fn from_reader(
        name: impl Into<PathBuf>,
        stream: impl Read + Send + 'static,
    ) -> Result<Self, CaptureError> {
        Self::start(name.into(), Box::new(stream), None)
    }

    /// Yields frames that the snapshot length cut as well: shorter than their `original_len`.
    #[must_use]
    pub fn with_cut_frames(mut self) -> Self {
        self.cut_frames = true;
        self
    }

    /// The capture's format.
    pub fn format(&self) -> Format {
        match self.reader {
            Reader::Pcap(..) => Format::Pcap,
            Reader::PcapNg(_) => Format::PcapNg,
        }
    }

    /// The interfaces that were described so far; all of those that a yielded frame names.
    pub fn interfaces(&self) -> &[Interface] {
        match &self.reader {
            Reader::Pcap(_, interfaces) => interfaces,
            Reader::PcapNg(reader) => reader.interfaces(),
        }
    }

    /// How far the capture was read, for a progress bar.
    pub fn progress(&self) -> Progress {
        Progress {
            read: self.read.load(Ordering::Relaxed),
            total: self.total,
        }
    }

    /// Reads the next frame into `frame`, whose buffers are reused; false when there is none left.
    ///
    /// After an error `frame` is as it was before.
    pub fn read_into(&mut self, frame: &mut Frame) -> Result<bool, CaptureError> {
        if self.ended {
            return Ok(false);
        }
        let found = self.step_to_packet(frame);
        self.ended = !matches!(found, Ok(true));
        found.map_err(|problem| CaptureError {
            file: self.file.clone(),
            place: self.input.place(),
            problem,
        })
    }

    fn step_to_packet(&mut self, frame: &mut Frame) -> Result<bool, Problem> {
        let found = match &mut self.reader {
            Reader::Pcap(reader, _) => {
                reader.next(&mut self.input, self.cut_frames, |it| frame.assign(it))?
            }
            Reader::PcapNg(reader) => loop {
                match reader.step(&mut self.input, self.cut_frames, |it| frame.assign(it))? {
                    Step::Packet => break true,
                    Step::End => break false,
                    Step::Other => {}
                }
            },
        };
        if found {
            self.input.leave_packet();
        }
        Ok(found)
    }

    fn start(file: PathBuf, source: Source, total: Option<u64>) -> Result<Self, CaptureError> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            source,
            count: Arc::clone(&read),
        };
        let fail = |place, problem| CaptureError {
            file: file.clone(),
            place,
            problem,
        };
        let mut input = decompressed(Box::new(counted))
            .map_err(|error| fail(Place::File, Problem::Read(error)))?;
        let reader = read_header(&mut input).map_err(|problem| {
            let place = match problem {
                Problem::Truncated { .. } | Problem::Malformed(_) => input.place(),
                _ => Place::File,
            };
            fail(place, problem)
        })?;
        Ok(Self {
            file,
            input,
            reader,
            cut_frames: false,
            ended: false,
            total,
            read,
        })
    }
}

impl Iterator for Capture {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut frame = Frame::default();
        match self.read_into(&mut frame) {
            Ok(true) => Some(Ok(frame)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// The content of `source`, whether it is in gzip or not.
fn decompressed(source: Source) -> io::Result<Input<Source>> {
    let mut window = Window::new(source);
    let gzip = sniff::is_gzip(window.peek(sniff::MAGIC_LEN)?);
    if gzip {
        window = Window::new(Box::new(MultiGzDecoder::new(window)));
    }
    Ok(Input::new(window, gzip))
}

fn read_header(input: &mut Input<Source>) -> Result<Reader, Problem> {
    match sniff::format(input.peek(sniff::MAGIC_LEN)?)? {
        Format::Pcap => {
            PcapReader::new(input).map(|reader| Reader::Pcap(reader, [Interface::default()]))
        }
        Format::PcapNg => PcapNgReader::new(input).map(Reader::PcapNg),
    }
}

struct Counted {
    source: Source,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
