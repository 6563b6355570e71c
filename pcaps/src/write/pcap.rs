//! Writing pcap.

use std::io::Write;

use pcap_file::pcap::{self, PcapHeader, PcapPacket, PcapTsResolution, PcapWriteError};
use pcap_file::{DataLink, Endianness};

use super::error::{WriteError, check_lengths};
use crate::{Frame, MAX_FRAME_LEN, Timestamp};

/// Writes a pcap: one interface, no comments.
pub struct PcapWriter<W: Write> {
    writer: pcap::PcapWriter<W>,
}

impl<W: Write> PcapWriter<W> {
    /// Begins a pcap with its header.
    pub fn new(sink: W) -> Result<Self, WriteError> {
        let header = PcapHeader {
            snaplen: MAX_FRAME_LEN as u32,
            datalink: DataLink::ETHERNET,
            ts_resolution: PcapTsResolution::NanoSecond,
            endianness: Endianness::Little,
            ..PcapHeader::default()
        };
        let writer = pcap::PcapWriter::with_header(sink, header).map_err(cannot)?;
        Ok(Self { writer })
    }

    /// Appends `frame`. A pcap has no place for its interface and its comment.
    pub fn frame(&mut self, frame: &Frame) -> Result<(), WriteError> {
        self.write(frame.at, &frame.bytes, frame.original_len)
    }

    /// Appends a frame that had `original_len` bytes on the wire.
    pub fn write(
        &mut self,
        at: Timestamp,
        bytes: &[u8],
        original_len: u32,
    ) -> Result<(), WriteError> {
        check_lengths(bytes.len(), original_len)?;
        let packet =
            PcapPacket::new(at.into(), original_len, bytes).map_err(|_| WriteError::Time(at))?;
        self.writer.write_packet(&packet).map_err(cannot)?;
        Ok(())
    }

    /// Flushes and gives back the sink.
    pub fn finish(self) -> Result<W, WriteError> {
        let mut sink = self.writer.into_inner();
        sink.flush().map_err(WriteError::Write)?;
        Ok(sink)
    }
}

fn cannot(error: PcapWriteError) -> WriteError {
    match error {
        PcapWriteError::Io(error) | PcapWriteError::FieldWriteFailed(_, error) => {
            WriteError::Write(error)
        }
        other => WriteError::Encode(other.to_string()),
    }
}
