//! Writing pcapng.

use std::borrow::Cow;
use std::io::Write;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{self, PcapNgWriteError};
use pcap_file::{DataLink, Endianness};

use super::error::{WriteError, check_lengths};
use crate::{Frame, InterfaceId, MAX_FRAME_LEN, Timestamp};

/// Writes a pcapng: an interface per device, and a comment on each packet that has one.
pub struct PcapNgWriter<W: Write> {
    writer: pcapng::PcapNgWriter<W>,
}

impl<W: Write> PcapNgWriter<W> {
    /// Begins a pcapng with its section header.
    pub fn new(sink: W) -> Result<Self, WriteError> {
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication("twinpath".into())],
            ..SectionHeaderBlock::default()
        };
        let writer = pcapng::PcapNgWriter::with_section_header(sink, section).map_err(cannot)?;
        Ok(Self { writer })
    }

    /// Describes the device `name`; its frames may follow from now on.
    pub fn interface(&mut self, name: &str) -> Result<InterfaceId, WriteError> {
        check_text("interface name", name)?;
        let id = self.described();
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: MAX_FRAME_LEN as u32,
            options: vec![
                InterfaceDescriptionOption::IfName(name.into()),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ],
        };
        self.writer.write_pcapng_block(block).map_err(cannot)?;
        Ok(InterfaceId(id))
    }

    /// Appends `frame` on its interface, which this writer must have described.
    pub fn frame(&mut self, frame: &Frame) -> Result<(), WriteError> {
        self.write(
            frame.interface,
            frame.at,
            &frame.bytes,
            frame.original_len,
            frame.comment.as_deref(),
        )
    }

    /// Appends a frame that had `original_len` bytes on the wire.
    pub fn write(
        &mut self,
        interface: InterfaceId,
        at: Timestamp,
        bytes: &[u8],
        original_len: u32,
        comment: Option<&str>,
    ) -> Result<(), WriteError> {
        check_lengths(bytes.len(), original_len)?;
        if interface.0 >= self.described() {
            return Err(WriteError::Interface(interface.0, self.described()));
        }
        let mut options = Vec::new();
        if let Some(comment) = comment {
            check_text("comment", comment)?;
            options.push(EnhancedPacketOption::Common(CommonOption::Comment(
                comment.into(),
            )));
        }
        let block = EnhancedPacketBlock {
            interface_id: interface.0,
            timestamp: at.into(),
            original_len,
            data: Cow::Borrowed(bytes),
            options,
        };
        self.writer.write_pcapng_block(block).map_err(cannot)?;
        Ok(())
    }

    /// Flushes and gives back the sink.
    pub fn finish(self) -> Result<W, WriteError> {
        let mut sink = self.writer.into_inner();
        sink.flush().map_err(WriteError::Write)?;
        Ok(sink)
    }

    fn described(&self) -> u32 {
        self.writer.interfaces().len() as u32
    }
}

fn check_text(what: &'static str, text: &str) -> Result<(), WriteError> {
    match u16::try_from(text.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(WriteError::Text {
            what,
            len: text.len(),
        }),
    }
}

fn cannot(error: PcapNgWriteError) -> WriteError {
    match error {
        PcapNgWriteError::Io(error) => WriteError::Write(error),
        other => WriteError::Encode(other.to_string()),
    }
}
