//! What is refused, in which words; and that nothing panics.

use std::io::Cursor;

use pcap_file::Endianness;
use pcap_file::pcap::PcapTsResolution::NanoSecond;
use proptest::prelude::*;
use twinpath_pcaps::{Capture, Frame, PcapNgWriter, Timestamp};

use crate::support::{corpus_files, gzip, pcap, read_all, read_error, some_frames};

fn valid_pcap() -> Vec<u8> {
    pcap(Endianness::Little, NanoSecond, &some_frames())
}

fn valid_pcapng() -> Vec<u8> {
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    let eth0 = writer.interface("eth0").unwrap();
    for frame in some_frames() {
        writer
            .write(eth0, frame.at, &frame.bytes, frame.original_len, Some("ok"))
            .unwrap();
    }
    writer.finish().unwrap()
}

/// `bytes` with `patch` at `offset`.
fn patched(mut bytes: Vec<u8>, offset: usize, patch: &[u8]) -> Vec<u8> {
    bytes[offset..offset + patch.len()].copy_from_slice(patch);
    bytes
}

/// Offset of the second packet of [`valid_pcap`]: its header, one record of 60 bytes.
const SECOND: usize = 24 + 16 + 60;
/// Offsets in [`valid_pcapng`]: the interface block, its first packet.
const INTERFACE: usize = 44;
const PACKET: usize = INTERFACE + 40;

#[test]
fn pcap_refusals() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("empty", vec![]),
        ("text", b"hello world, this is no capture".to_vec()),
        ("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0]),
        ("elf", b"\x7fELF\x02\x01\x01\0".to_vec()),
        ("binary", vec![0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("gzip in gzip", gzip(&gzip(&valid_pcap()))),
        ("gzip of text", gzip(b"hello")),
        ("gzip truncated", gzip(&valid_pcap())[..60].to_vec()),
        ("gzip header only", vec![0x1f, 0x8b]),
        ("short header", valid_pcap()[..20].to_vec()),
        ("version", patched(valid_pcap(), 4, &[3, 0])),
        (
            "link type",
            patched(valid_pcap(), 20, &276u32.to_le_bytes()),
        ),
        (
            "link type unnamed",
            patched(valid_pcap(), 20, &9999u32.to_le_bytes()),
        ),
        (
            "check sequence",
            patched(valid_pcap(), 20, &[1, 0, 0, 0x24]),
        ),
        ("short packet header", valid_pcap()[..SECOND + 7].to_vec()),
        ("short packet", valid_pcap()[..SECOND + 30].to_vec()),
        (
            "lying length",
            patched(valid_pcap(), SECOND + 8, &[0xff; 4]),
        ),
        (
            "oversize",
            patched(valid_pcap(), SECOND + 8, &262_145u32.to_le_bytes()),
        ),
        (
            "more than on the wire",
            patched(valid_pcap(), SECOND + 12, &[9, 0, 0, 0]),
        ),
        (
            "cut",
            patched(valid_pcap(), SECOND + 12, &1514u32.to_le_bytes()),
        ),
        ("time", patched(valid_pcap(), SECOND + 4, &[0xff; 4])),
    ];
    insta::assert_snapshot!(messages(cases));
}

/// In microseconds, the latest time is beyond what nanoseconds can tell.
fn late_pcapng() -> Vec<u8> {
    let micro = patched(valid_pcapng(), INTERFACE + 28, &[6]);
    patched(micro, PACKET + 12, &[0xff; 4])
}

#[test]
fn pcapng_refusals() {
    let cases: &[(&str, Vec<u8>)] = &[
        ("magic", patched(valid_pcapng(), 8, &[1, 2, 3, 4])),
        ("version", patched(valid_pcapng(), 12, &[2, 0])),
        ("short section", valid_pcapng()[..30].to_vec()),
        (
            "tiny block",
            patched(valid_pcapng(), INTERFACE + 4, &[8, 0, 0, 0]),
        ),
        (
            "odd block",
            patched(valid_pcapng(), INTERFACE + 4, &[41, 0, 0, 0]),
        ),
        (
            "trailing length",
            patched(valid_pcapng(), INTERFACE + 36, &[44, 0, 0, 0]),
        ),
        (
            "huge block",
            patched(valid_pcapng(), PACKET + 4, &[0xfc, 0xff, 0xff, 0xff]),
        ),
        (
            "huge unknown block",
            patched(
                valid_pcapng(),
                PACKET,
                &[9, 9, 0, 0, 0xfc, 0xff, 0xff, 0xff],
            ),
        ),
        (
            "link type",
            patched(valid_pcapng(), INTERFACE + 8, &276u16.to_le_bytes()),
        ),
        ("reserved", patched(valid_pcapng(), INTERFACE + 10, &[1, 0])),
        // if_tsresol of 10^-12.
        ("resolution", patched(valid_pcapng(), INTERFACE + 28, &[12])),
        (
            "interface",
            patched(valid_pcapng(), PACKET + 8, &[3, 0, 0, 0]),
        ),
        ("time", late_pcapng()),
        (
            "captured",
            patched(valid_pcapng(), PACKET + 20, &[200, 0, 0, 0, 200, 0, 0, 0]),
        ),
        (
            "original",
            patched(valid_pcapng(), PACKET + 24, &[1, 0, 0, 0]),
        ),
        ("cut", patched(valid_pcapng(), PACKET + 24, &[100, 0, 0, 0])),
        (
            "comment",
            patched(valid_pcapng(), PACKET + 28 + 60 + 4, &[0xff, 0xfe]),
        ),
        ("short packet", valid_pcapng()[..PACKET + 40].to_vec()),
        ("short block header", valid_pcapng()[..PACKET + 5].to_vec()),
    ];
    insta::assert_snapshot!(messages(cases));
}

fn messages(cases: &[(&str, Vec<u8>)]) -> String {
    cases
        .iter()
        .map(|(name, bytes)| format!("{name}\n    {}\n", read_error(bytes)))
        .collect()
}

#[test]
fn a_file_that_is_not_there() {
    let error = Capture::open("/nonexistent/x.pcap").err().unwrap();
    assert_eq!(
        error.to_string(),
        "/nonexistent/x.pcap: cannot open: No such file or directory (os error 2)"
    );
    let error = Capture::open("/").err().unwrap();
    assert_eq!(
        error.to_string(),
        "/: cannot read: Is a directory (os error 21)"
    );
}

#[test]
fn nothing_follows_an_error() {
    let bytes = patched(valid_pcap(), SECOND + 8, &[0xff; 4]);
    let mut capture = Capture::from_reader("x", Cursor::new(bytes)).unwrap();
    assert!(capture.next().unwrap().is_ok());
    let mut frame = Frame::new(Timestamp::EPOCH, vec![7]);
    let before = frame.clone();
    assert!(capture.read_into(&mut frame).is_err());
    assert_eq!(frame, before);
    assert!(capture.next().is_none());
}

/// Every capture of the corpus and of this file, decompressed.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        valid_pcap(),
        pcap(Endianness::Big, NanoSecond, &some_frames()),
        valid_pcapng(),
        gzip(&valid_pcap()),
    ];
    seeds.extend(
        corpus_files()
            .iter()
            .map(|path| std::fs::read(path).unwrap()),
    );
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), magic in 0..7usize) {
        let magics: [&[u8]; 7] = [
            b"", b"\xa1\xb2\xc3\xd4\0\x02\0\x04", b"\x4d\x3c\xb2\xa1\x02\0\x04\0",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
            b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c\0\0\0\x01\0\0\0\x14\0\x01\0\0\0\0\0\0\0\0\0\x14",
            b"\x1f\x8b", b"\x0a\x0d\x0d\x0a",
        ];
        let _ = read_all(&[magics[magic], &bytes].concat());
    }

    #[test]
    fn mutated_captures_never_panic(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        near_head in any::<bool>(),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        thread_local! { static SEEDS: Vec<Vec<u8>> = seeds(); }
        let mut bytes = SEEDS.with(|seeds| seeds[seed.index(seeds.len())].clone());
        for (at, byte) in changes {
            let range = if near_head { bytes.len().min(200) } else { bytes.len() };
            bytes[at.index(range)] = byte;
        }
        if let Some(len) = len {
            bytes.truncate(len.index(bytes.len()));
        }
        let _ = read_all(&bytes);
    }
}
