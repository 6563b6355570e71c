//! TCP headers.

use std::ops::Range;

use etherparse::{TcpOptionElement, TcpOptionsIterator};

use super::field::Protocol;
use super::render;
use super::walk::{Next, Over, Walk};
use crate::TcpFlags;

const LEN: usize = 20;
const NUMBER: u8 = 6;
const CHECKSUM: usize = 16;

pub(super) fn segment(walk: &mut Walk<'_>, range: Range<usize>, over: Over) -> Next {
    let mut header = walk.header(Protocol::Tcp, range);
    if !header.has(LEN) {
        return header.truncated();
    }
    let state = over.covered.verify(NUMBER, header.all(), CHECKSUM);
    header.number("tcp.srcport", 16);
    header.number("tcp.dstport", 16);
    header.number("tcp.seq_raw", 32);
    header.number("tcp.ack_raw", 32);
    let len = 4 * header.number_as("tcp.hdr_len", 4, |words| (words * 4).to_string());
    let len = len as usize;
    header.number_as("tcp.flags", 12, |bits| {
        TcpFlags::from_bits(bits as u16).to_string()
    });
    header.number("tcp.window_size_value", 16);
    header.checksum("tcp.checksum", state);
    header.number("tcp.urgent_pointer", 16);
    if !(LEN..=header.range().len()).contains(&len) {
        return header.truncated();
    }
    header.bytes_as("tcp.options", len - LEN, options);
    Next::Payload(header.rest())
}

/// Options in tcpdump's manner: `mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7`.
fn options(bytes: &[u8]) -> String {
    let mut iterator = TcpOptionsIterator::from_slice(bytes);
    let mut shown = Vec::new();
    while let Some(option) = iterator.next() {
        match option {
            Ok(option) => shown.push(option_text(&option)),
            Err(_) => {
                shown.push(render::hex(iterator.rest()));
                break;
            }
        }
    }
    match shown.is_empty() {
        true => render::hex(bytes),
        false => shown.join(","),
    }
}

fn option_text(option: &TcpOptionElement) -> String {
    match option {
        TcpOptionElement::Noop => "nop".to_owned(),
        TcpOptionElement::MaximumSegmentSize(size) => format!("mss {size}"),
        TcpOptionElement::WindowScale(shift) => format!("wscale {shift}"),
        TcpOptionElement::SelectiveAcknowledgementPermitted => "sackOK".to_owned(),
        TcpOptionElement::SelectiveAcknowledgement(first, more) => {
            let blocks = [Some(*first)].into_iter().chain(*more).flatten();
            let blocks: Vec<_> = blocks.map(|(from, to)| format!("{from}:{to}")).collect();
            format!("sack {}", blocks.join(" "))
        }
        TcpOptionElement::Timestamp(value, echo) => format!("TS val {value} ecr {echo}"),
    }
}
