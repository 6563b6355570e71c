//! Packets of a pcap file, after
//! <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcap>.

use std::io::Read;

use pcap_file::pcap::{PcapHeader, PcapParseError, PcapParser, PcapTsResolution, RawPcapPacket};
use pcap_file::{DataLink, Endianness};

use super::error::{LinkType, Problem};
use super::{Input, check_lengths};
use crate::frame::Packet;
use crate::{InterfaceId, Timestamp};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// Says that bits 28 to 31 of the link type hold the length of the frame check sequence.
const FCS_PRESENT: u32 = 1 << 26;

pub(super) struct PcapReader {
    parser: PcapParser,
}

impl PcapReader {
    /// Reads the file header.
    pub fn new<R: Read>(input: &mut Input<R>) -> Result<Self, Problem> {
        let bytes = input.peek_exact(FILE_HEADER, "file header")?;
        let (_, parser) = PcapParser::new(bytes).map_err(malformed)?;
        let header = parser.header();
        if (header.version_major, header.version_minor) != (2, 4) {
            return Err(Problem::Version {
                format: "pcap",
                major: header.version_major,
                minor: header.version_minor,
                expected: "2.4",
            });
        }
        check_link_type(&header)?;
        input.consume(FILE_HEADER);
        Ok(Self { parser })
    }

    /// Parses the next packet and hands it to `take`; false at the end of the file.
    pub fn next<R: Read>(
        &self,
        input: &mut Input<R>,
        cut_frames: bool,
        take: impl FnOnce(Packet<'_>),
    ) -> Result<bool, Problem> {
        if input.begin()? {
            return Ok(false);
        }
        input.enter_packet();
        let header = input.peek_exact(RECORD_HEADER, "packet header")?;
        let captured = self.captured_len(header);
        check_lengths(captured, u32::MAX, true)?;
        let len = RECORD_HEADER + captured as usize;
        let record = input.peek_exact(len, "packet")?;
        let (_, raw) = self.parser.next_raw_packet(record).map_err(malformed)?;
        check_lengths(captured, raw.orig_len, cut_frames)?;
        take(Packet {
            at: self.time(&raw)?,
            bytes: &raw.data,
            original_len: raw.orig_len,
            interface: InterfaceId(0),
            comment: None,
        });
        input.consume(len);
        Ok(true)
    }

    fn captured_len(&self, header: &[u8]) -> u32 {
        let field = [header[8], header[9], header[10], header[11]];
        match self.parser.header().endianness {
            Endianness::Big => u32::from_be_bytes(field),
            Endianness::Little => u32::from_le_bytes(field),
        }
    }

    fn time(&self, raw: &RawPcapPacket<'_>) -> Result<Timestamp, Problem> {
        let (unit, per_second, nanos) = match self.parser.header().ts_resolution {
            PcapTsResolution::MicroSecond => ("microseconds", 1_000_000, 1_000),
            PcapTsResolution::NanoSecond => ("nanoseconds", 1_000_000_000, 1),
        };
        if raw.ts_frac >= per_second {
            return Err(Problem::Time(format!(
                "with {} {unit}; expected less than a second",
                raw.ts_frac
            )));
        }
        Ok(Timestamp::from_nanos(
            u64::from(raw.ts_sec) * 1_000_000_000 + u64::from(raw.ts_frac) * nanos,
        ))
    }
}

/// The link type is the lower 16 bits of its field; the upper ones tell of a check sequence.
fn check_link_type(header: &PcapHeader) -> Result<(), Problem> {
    let field = u32::from(header.datalink);
    match DataLink::from(field & 0xffff) {
        DataLink::ETHERNET if field & FCS_PRESENT == 0 => Ok(()),
        DataLink::ETHERNET => Err(Problem::FrameCheckSequence),
        other => Err(Problem::LinkType(LinkType(other))),
    }
}

fn malformed(error: PcapParseError) -> Problem {
    Problem::Malformed(error.to_string())
}
