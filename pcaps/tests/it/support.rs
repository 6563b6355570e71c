//! Captures in memory, and bytes of captures that this crate does not write itself.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapTsResolution, PcapWriter};
use pcap_file::{DataLink, Endianness};
use proptest::prelude::*;
use twinpath_pcaps::{Capture, CaptureError, Frame, Timestamp};

/// All frames of a capture in memory, or the first error.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Frame>, CaptureError> {
    Capture::from_reader("test.pcap", Cursor::new(bytes.to_vec()))?.collect()
}

/// The message of the error that reading ends in.
pub fn read_error(bytes: &[u8]) -> String {
    match read_all(bytes) {
        Ok(frames) => panic!("{} frames were read", frames.len()),
        Err(error) => error.to_string(),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A pcap in any byte order and resolution.
pub fn pcap(order: Endianness, resolution: PcapTsResolution, frames: &[Frame]) -> Vec<u8> {
    let header = PcapHeader {
        endianness: order,
        ts_resolution: resolution,
        datalink: DataLink::ETHERNET,
        snaplen: 262_144,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for frame in frames {
        let packet =
            PcapPacket::new(frame.at.into(), frame.original_len, &frame.bytes[..]).unwrap();
        writer.write_packet(&packet).unwrap();
    }
    writer.into_inner()
}

/// Frames that differ in length, at times that are whole microseconds.
pub fn some_frames() -> Vec<Frame> {
    (0..5)
        .map(|index| {
            let at = Timestamp::from_nanos(1_700_000_000_123_456_000 + index * 1_000_000);
            Frame::new(at, vec![index as u8; 60 + index as usize])
        })
        .collect()
}

pub fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The captures of the corpus, by name.
pub fn corpus_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.contains(".pcap")
        })
        .collect();
    files.sort();
    assert!(files.len() >= 8, "the corpus is incomplete: {files:?}");
    files
}

/// Any frames that both formats hold: times below 2^32 seconds.
pub fn any_frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (
        0..(u64::from(u32::MAX) + 1) * 1_000_000_000,
        prop::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(at, bytes)| Frame::new(Timestamp::from_nanos(at), bytes));
    prop::collection::vec(frame, 0..20)
}
