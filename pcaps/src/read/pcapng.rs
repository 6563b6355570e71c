//! Packets of a pcapng file, after
//! <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcapng>.

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::packet::PacketOption;
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};
use pcap_file::pcapng::{
    Block, BlockContentParseError, BlockConversionError, ContentValidationError, PcapNgParser,
    RawBlock,
};
use pcap_file::{DataLink, Endianness};
use std::error::Error;
use std::io::Read;

use super::error::{LinkType, Problem};
use super::{Input, check_lengths};
use crate::frame::Packet;
use crate::{Interface, InterfaceId, Timestamp};

/// The longest block that is held in memory: a frame of [`MAX_FRAME_LEN`](crate::MAX_FRAME_LEN)
/// and many options. Others, which hold no packet, are skipped at any length.
const MAX_BLOCK_LEN: u32 = 4 * 1024 * 1024;
const SMALLEST_BLOCK: u32 = 12;

pub(super) struct PcapNgReader {
    parser: PcapNgParser,
    /// The interfaces of all sections so far, of which `section_start..` are those of this one.
    interfaces: Vec<Interface>,
    section_start: u32,
    last_time: Timestamp,
}

impl PcapNgReader {
    /// Reads the first section header.
    pub fn new<R: Read>(input: &mut Input<R>) -> Result<Self, Problem> {
        let header = BlockHeader::peek(input, Endianness::Little)?;
        let bytes = header.peek_block(input)?;
        let (_, parser) = PcapNgParser::new(bytes).map_err(malformed)?;
        let len = bytes.len();
        input.consume(len);
        let reader = Self {
            parser,
            interfaces: Vec::new(),
            section_start: 0,
            last_time: Timestamp::EPOCH,
        };
        reader.check_version()?;
        Ok(reader)
    }

    /// The interfaces that were described so far.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Goes over one block. A packet's is handed to `take`.
    pub fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        cut_frames: bool,
        take: impl FnOnce(Packet<'_>),
    ) -> Result<Step, Problem> {
        if input.begin()? {
            return Ok(Step::End);
        }
        let header = BlockHeader::peek(input, self.parser.section().endianness)?;
        let is_packet = match header.kind {
            ENHANCED_PACKET_BLOCK | SIMPLE_PACKET_BLOCK | PACKET_BLOCK => {
                input.enter_packet();
                true
            }
            SECTION_HEADER_BLOCK | INTERFACE_DESCRIPTION_BLOCK => false,
            _ => return header.skip(input).map(|()| Step::Other),
        };
        let bytes = header.peek_block(input)?;
        let len = bytes.len();
        let (_, block) = self.parser.next_raw_block(bytes).map_err(malformed)?;
        let step = if is_packet {
            self.packet(block, cut_frames, take)?;
            Step::Packet
        } else {
            self.note_state(header.kind)?;
            Step::Other
        };
        input.consume(len);
        Ok(step)
    }

    /// Follows what the parser learned from a section header or an interface description.
    fn note_state(&mut self, kind: u32) -> Result<(), Problem> {
        if kind == SECTION_HEADER_BLOCK {
            self.section_start = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
            return self.check_version();
        }
        let name = self.parser.interfaces().last().and_then(if_name);
        self.interfaces.push(Interface { name });
        Ok(())
    }

    fn check_version(&self) -> Result<(), Problem> {
        let section = self.parser.section();
        // The specification: 1.2 is to be read as 1.0.
        if section.major_version == 1 && matches!(section.minor_version, 0 | 2) {
            return Ok(());
        }
        Err(Problem::Version {
            format: "pcapng",
            major: section.major_version,
            minor: section.minor_version,
            expected: "1.0",
        })
    }

    /// Checks a packet block and hands its packet to `take`.
    fn packet(
        &mut self,
        block: RawBlock<'_>,
        cut_frames: bool,
        take: impl FnOnce(Packet<'_>),
    ) -> Result<(), Problem> {
        let state = self.parser.state();
        let block = block.try_into_block(state).map_err(|error| {
            unknown_interface(&error, state.interfaces().len()).unwrap_or_else(|| malformed(error))
        })?;
        let (interface, time, original_len, data, comment) = match &block {
            Block::EnhancedPacket(packet) => (
                packet.interface_id,
                Some(packet.timestamp),
                packet.original_len,
                &packet.data,
                comments(packet.options.iter().map(|option| match option {
                    EnhancedPacketOption::Common(common) => Some(common),
                    _ => None,
                })),
            ),
            Block::Packet(packet) => (
                packet.interface_id.into(),
                Some(packet.timestamp),
                packet.original_len,
                &packet.data,
                comments(packet.options.iter().map(|option| match option {
                    PacketOption::Common(common) => Some(common),
                    _ => None,
                })),
            ),
            Block::SimplePacket(packet) => (0, None, packet.original_len, &packet.data, None),
            _ => return Ok(()),
        };
        check_interface(&state.interfaces()[interface as usize])?;
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        check_lengths(captured, original_len, cut_frames)?;
        if let Some(time) = time {
            self.last_time = Timestamp::try_from(time).map_err(|_| {
                Problem::Time(format!("{time:?} after 1970; expected 1970 to 2554"))
            })?;
        }
        take(Packet {
            at: self.last_time,
            bytes: data,
            original_len,
            interface: InterfaceId(self.section_start + interface),
            comment,
        });
        Ok(())
    }
}

/// What a step went over.
pub(super) enum Step {
    Packet,
    Other,
    End,
}

/// Type and length of a block, of which the length is known to be possible.
#[derive(Clone, Copy)]
struct BlockHeader {
    kind: u32,
    len: u32,
    order: Endianness,
}

impl BlockHeader {
    /// Looks at the next block, in a section of the byte order `section`.
    fn peek<R: Read>(input: &mut Input<R>, section: Endianness) -> Result<Self, Problem> {
        let bytes = input.peek_exact(SMALLEST_BLOCK as usize, "block")?;
        let kind = read_u32(section, &bytes[0..4]);
        // The type of a section header reads the same both ways; its length does not.
        let order = match kind {
            SECTION_HEADER_BLOCK => byte_order(&bytes[8..12])?,
            _ => section,
        };
        let header = Self {
            kind,
            len: read_u32(order, &bytes[4..8]),
            order,
        };
        if header.len < SMALLEST_BLOCK || !header.len.is_multiple_of(4) {
            return Err(header.wrong_len("a multiple of 4, at least 12"));
        }
        Ok(header)
    }

    /// The whole block.
    fn peek_block<'a, R: Read>(&self, input: &'a mut Input<R>) -> Result<&'a [u8], Problem> {
        if self.len > MAX_BLOCK_LEN {
            return Err(self.wrong_len(format!("at most {MAX_BLOCK_LEN} bytes")));
        }
        let bytes = input.peek_exact(self.len as usize, "block")?;
        self.check_trailer(&bytes[bytes.len() - 4..])?;
        Ok(bytes)
    }

    /// Goes past the block without holding it.
    fn skip<R: Read>(&self, input: &mut Input<R>) -> Result<(), Problem> {
        input.skip_exact(u64::from(self.len) - 4, "block")?;
        let trailer = input.peek_exact(4, "block's trailing length")?;
        self.check_trailer(trailer)?;
        input.consume(4);
        Ok(())
    }

    fn check_trailer(&self, trailer: &[u8]) -> Result<(), Problem> {
        match read_u32(self.order, trailer) {
            trailing if trailing == self.len => Ok(()),
            trailing => Err(self.wrong_len(format!("its trailing length, {trailing}"))),
        }
    }

    fn wrong_len(&self, expected: impl Into<String>) -> Problem {
        Problem::BlockLen {
            kind: self.kind,
            len: self.len,
            expected: expected.into(),
        }
    }
}

fn read_u32(order: Endianness, bytes: &[u8]) -> u32 {
    let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
    match order {
        Endianness::Big => u32::from_be_bytes(bytes),
        Endianness::Little => u32::from_le_bytes(bytes),
    }
}

/// The byte order that a section header's magic number tells.
fn byte_order(magic: &[u8]) -> Result<Endianness, Problem> {
    match magic {
        [0x1a, 0x2b, 0x3c, 0x4d] => Ok(Endianness::Big),
        [0x4d, 0x3c, 0x2b, 0x1a] => Ok(Endianness::Little),
        _ => Err(Problem::Malformed(format!(
            "section header with byte-order magic {magic:02x?}; expected 1a 2b 3c 4d, either way around"
        ))),
    }
}

fn if_name(interface: &InterfaceDescriptionBlock<'_>) -> Option<String> {
    interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
        _ => None,
    })
}

/// Other link types are refused when a packet of theirs comes: an interface without any is no harm.
fn check_interface(interface: &InterfaceDescriptionBlock<'_>) -> Result<(), Problem> {
    if interface.linktype != DataLink::ETHERNET {
        return Err(Problem::LinkType(LinkType(interface.linktype)));
    }
    let has_check_sequence = |option: &InterfaceDescriptionOption<'_>| matches!(option, InterfaceDescriptionOption::IfFcsLen(len) if *len > 0);
    if interface.options.iter().any(has_check_sequence) {
        return Err(Problem::FrameCheckSequence);
    }
    Ok(())
}

/// All comments among a block's options, a line each.
fn comments<'a>(options: impl Iterator<Item = Option<&'a CommonOption<'a>>>) -> Option<String> {
    let comments: Vec<&str> = options
        .filter_map(|option| match option {
            Some(CommonOption::Comment(text)) => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    (!comments.is_empty()).then(|| comments.join("\n"))
}

fn unknown_interface(error: &BlockConversionError, described: usize) -> Option<Problem> {
    match &*error.source {
        BlockContentParseError::Validation(ContentValidationError::InvalidInterfaceId(found)) => {
            Some(Problem::Interface {
                found: *found,
                described,
            })
        }
        BlockContentParseError::Validation(ContentValidationError::NoInterface) => {
            Some(Problem::Interface {
                found: 0,
                described,
            })
        }
        _ => None,
    }
}

/// The whole chain of causes: the outermost says little.
fn malformed(error: impl Error) -> Problem {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if message != last {
            text = format!("{text}: {message}");
        }
        last = message;
        cause = error.source();
    }
    Problem::Malformed(text)
}
