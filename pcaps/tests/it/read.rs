//! What is read: each format in each of its forms.

use std::io::{Cursor, Read};
use std::time::Duration;

use pcap_file::pcap::PcapTsResolution::{MicroSecond, NanoSecond};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::packet::PacketBlock;
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::pcapng::{Block, PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness};
use twinpath_pcaps::{Capture, Format, Frame, Timestamp};

use crate::support::{corpus_files, gzip, pcap, read_all, some_frames};

#[test]
fn pcap_in_every_form() {
    let frames = some_frames();
    for order in [Endianness::Big, Endianness::Little] {
        for resolution in [MicroSecond, NanoSecond] {
            let bytes = pcap(order, resolution, &frames);
            assert_eq!(
                read_all(&bytes).unwrap(),
                frames,
                "{order:?} {resolution:?}"
            );
            assert_eq!(read_all(&gzip(&bytes)).unwrap(), frames);
        }
    }
}

#[test]
fn gzip_in_several_members() {
    let frames = some_frames();
    let bytes = pcap(Endianness::Little, NanoSecond, &frames);
    let (head, tail) = bytes.split_at(100);
    let members = [gzip(head), gzip(tail)].concat();
    assert_eq!(read_all(&members).unwrap(), frames);
}

#[test]
fn nanoseconds_are_kept() {
    let at = Timestamp::from_nanos(1_234_567_890_123_456_789);
    let frames = [Frame::new(at, vec![1, 2, 3])];
    let exact = read_all(&pcap(Endianness::Big, NanoSecond, &frames)).unwrap();
    assert_eq!(exact[0].at, at);
    assert_eq!(exact[0].at.to_string(), "1234567890.123456789");
    let coarse = read_all(&pcap(Endianness::Big, MicroSecond, &frames)).unwrap();
    assert_eq!(coarse[0].at.as_nanos(), 1_234_567_890_123_456_000);
}

fn interface(options: Vec<InterfaceDescriptionOption<'static>>) -> Block<'static> {
    InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options,
    }
    .into_block()
}

fn packet(interface_id: u32, timestamp: Duration, bytes: &'static [u8]) -> Block<'static> {
    EnhancedPacketBlock {
        interface_id,
        timestamp,
        original_len: bytes.len() as u32,
        data: bytes.into(),
        options: vec![],
    }
    .into_block()
}

fn section(order: Endianness) -> SectionHeaderBlock<'static> {
    SectionHeaderBlock {
        endianness: order,
        ..SectionHeaderBlock::default()
    }
}

fn pcapng(order: Endianness, blocks: &[Block<'_>]) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_section_header(Vec::new(), section(order)).unwrap();
    for block in blocks {
        writer.write_block(block).unwrap();
    }
    writer.into_inner()
}

#[test]
fn pcapng_resolutions_and_offsets() {
    use InterfaceDescriptionOption::{IfTsOffset, IfTsResol};
    let resolution =
        |binary, exponent| IfTsResol(InterfaceTsResolution::new(binary, exponent).unwrap());
    let at = Duration::new(1_700_000_000, 500_000_000);
    let cases = [
        (vec![], 0),
        (vec![resolution(false, 9)], 0),
        (vec![resolution(false, 1)], 0),
        (vec![resolution(true, 20)], 0),
        (vec![resolution(false, 6), IfTsOffset(1_699_999_000)], 0),
        (vec![resolution(false, 9), IfTsOffset(-3_600)], 0),
        (vec![resolution(false, 0)], 500_000_000),
    ];
    for order in [Endianness::Big, Endianness::Little] {
        for (options, lost) in &cases {
            let blocks = [interface(options.clone()), packet(0, at, b"x")];
            let frames = read_all(&pcapng(order, &blocks)).unwrap();
            let expected = at.as_nanos() as u64 - lost;
            assert_eq!(frames[0].at.as_nanos(), expected, "{order:?} {options:?}");
        }
    }
}

#[test]
fn pcapng_sections_of_both_byte_orders_and_their_interfaces() {
    use InterfaceDescriptionOption::IfName;
    let at = Duration::from_secs(1);
    let bytes = pcapng(
        Endianness::Little,
        &[
            interface(vec![IfName("eth0".into())]),
            interface(vec![]),
            packet(1, at, b"second"),
            packet(0, at, b"first"),
            section(Endianness::Big).into_block(),
            interface(vec![IfName("lxc0".into())]),
            packet(0, at, b"third"),
        ],
    );
    let mut capture = Capture::from_reader("x", Cursor::new(bytes)).unwrap();
    assert_eq!(capture.format(), Format::PcapNg);
    let mut seen = vec![];
    while let Some(frame) = capture.next().transpose().unwrap() {
        let name = capture.interfaces()[frame.interface.index()].name.clone();
        seen.push((name, frame.bytes));
    }
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            (None, b"second".to_vec()),
            (name("eth0"), b"first".to_vec()),
            (name("lxc0"), b"third".to_vec()),
        ]
    );
}

#[test]
fn pcapng_packets_of_every_kind_among_other_blocks() {
    let at = Duration::from_secs(7);
    let mut commented = EnhancedPacketBlock {
        timestamp: at,
        original_len: 1,
        data: b"c"[..].into(),
        ..EnhancedPacketBlock::default()
    };
    for text in ["dropped", "policy denied"] {
        let comment = CommonOption::Comment(text.into());
        commented.options.push(EnhancedPacketOption::Flags(1));
        commented
            .options
            .push(EnhancedPacketOption::Common(comment));
    }
    let obsolete = PacketBlock {
        interface_id: 0,
        drop_count: 0,
        timestamp: at,
        original_len: 1,
        data: b"o"[..].into(),
        options: vec![],
    };
    let simple = SimplePacketBlock {
        original_len: 1,
        data: b"s"[..].into(),
    };
    // Longer than any block that is held in memory.
    let long = vec![0xff; 5 * 1024 * 1024];
    let frames = read_all(&pcapng(
        Endianness::Big,
        &[
            UnknownBlock::new(0x8000_0001, 0, b"before any interface").into_block(),
            interface(vec![]),
            commented.into_block(),
            UnknownBlock::new(0x0000_0bad, 0, &long).into_block(),
            obsolete.into_block(),
            simple.into_block(),
        ],
    ))
    .unwrap();
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| {
            (
                &frame.bytes[..],
                frame.at.as_nanos(),
                frame.comment.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (&b"c"[..], 7_000_000_000, Some("dropped\npolicy denied")),
            (&b"o"[..], 7_000_000_000, None),
            // A simple packet block has no time: that of the packet before it.
            (&b"s"[..], 7_000_000_000, None),
        ]
    );
}

#[test]
fn a_cut_frame_is_read_when_allowed() {
    let mut cut = some_frames().remove(0);
    cut.original_len = 1514;
    let bytes = pcap(Endianness::Little, NanoSecond, &[cut.clone()]);
    assert!(read_all(&bytes).is_err());
    let capture = Capture::from_reader("x", Cursor::new(bytes)).unwrap();
    let frames: Vec<_> = capture.with_cut_frames().map(Result::unwrap).collect();
    assert_eq!(frames, [cut]);
}

#[test]
fn a_frame_is_reused() {
    let frames = some_frames();
    let bytes = pcap(Endianness::Little, NanoSecond, &frames);
    let mut capture = Capture::from_reader("x", Cursor::new(bytes)).unwrap();
    let mut frame = Frame::new(Timestamp::EPOCH, Vec::with_capacity(100));
    let buffer = frame.bytes.as_ptr();
    for expected in &frames {
        assert!(capture.read_into(&mut frame).unwrap());
        assert_eq!(frame, *expected);
        assert_eq!(frame.bytes.as_ptr(), buffer);
    }
    assert!(!capture.read_into(&mut frame).unwrap());
    assert!(!capture.read_into(&mut frame).unwrap());
}

/// A pcap of a million frames, made while it is read, and the most that was asked for at once.
#[test]
fn a_long_stream_is_never_held() {
    struct Endless {
        header: Cursor<Vec<u8>>,
        record: Cursor<Vec<u8>>,
        left: u32,
    }
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            assert!(out.len() <= 1 << 20, "{} bytes at once", out.len());
            let count = self.header.read(out)?;
            if count > 0 {
                return Ok(count);
            }
            if self.record.position() == self.record.get_ref().len() as u64 {
                if self.left == 0 {
                    return Ok(0);
                }
                self.left -= 1;
                self.record.set_position(0);
            }
            self.record.read(out)
        }
    }
    let one = pcap(Endianness::Little, NanoSecond, &some_frames()[..1]);
    let stream = Endless {
        header: Cursor::new(one[..24].to_vec()),
        record: Cursor::new(one[24..].to_vec()),
        left: 99_999,
    };
    let mut capture = Capture::from_reader("endless", stream).unwrap();
    let mut frame = Frame::default();
    let mut count = 0;
    while capture.read_into(&mut frame).unwrap() {
        count += 1;
    }
    assert_eq!(count, 100_000);
    assert_eq!(capture.progress().read, 24 + count * 76);
}

#[test]
fn progress_ends_at_the_length_of_the_file() {
    for path in corpus_files() {
        let mut capture = Capture::open(&path).unwrap();
        for frame in capture.by_ref() {
            frame.unwrap();
        }
        let progress = capture.progress();
        assert_eq!(Some(progress.read), progress.total, "{}", path.display());
    }
}
