//! Fragmentation of packets that are too long for their way (`ip_do_fragment`, `ip6_fragment`).

use std::net::IpAddr;

use twinpath_machine::Machine;

use super::wire::{self, Ipv4, Ipv6, proto};
use crate::net::{DeviceId, DropReason, Net, xmit};
use crate::network::Route;
use crate::packet::{EtherType, Skb};

impl Net {
    /// Sends a packet in pieces. The packet itself is gone.
    pub(super) fn ipv4_fragment(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        header: &Ipv4,
        route: &Route,
        next: IpAddr,
        mtu: u32,
    ) {
        // The pieces have no room for what a device would fill in.
        skb.fill_checksum(&mut machine.memory);
        let bytes = skb.frame.bytes(&machine.memory).to_vec();
        let step = (mtu as usize).saturating_sub(header.len) & !7;
        if step == 0 {
            self.refuse(machine, skb, DropReason::TooLong);
            return;
        }
        let (head, payload) = bytes.split_at(header.len);
        let mut head = head.to_vec();
        let pieces = payload.len().div_ceil(step);
        for (number, piece) in payload.chunks(step).enumerate() {
            let last = number + 1 == pieces;
            let offset = (header.offset + number * step) / 8;
            let flags = u16::from(!last || header.more_fragments) << 13;
            let total = (head.len() + piece.len()) as u16;
            head[2..4].copy_from_slice(&total.to_be_bytes());
            head[6..8].copy_from_slice(&(flags | offset as u16).to_be_bytes());
            wire::fill_header_checksum(&mut head);
            let fragment = [&head[..], piece].concat();
            let sent = self.send_piece(machine, &skb, &fragment, route.device, next);
            if sent != xmit::SUCCESS {
                break;
            }
            if number == 0 {
                blank_options(&mut head);
            }
        }
        skb.frame.free(&mut self.pool);
    }

    /// Sends a packet of the node's own in pieces.
    pub(super) fn ipv6_fragment(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        route: &Route,
        next: IpAddr,
        mtu: u32,
    ) {
        const HEADER: usize = 8;
        let bytes = skb.frame.bytes(&machine.memory).to_vec();
        let step = (mtu as usize).saturating_sub(wire::IPV6 + HEADER) & !7;
        let Some(mut header) = Ipv6::parse(&bytes).filter(|_| step != 0) else {
            self.refuse(machine, skb, DropReason::TooLong);
            return;
        };
        let payload = &bytes[wire::IPV6..];
        let node = self.node_of(skb.device);
        let id = u32::from(self.next_ident(node)).to_be_bytes();
        let next_header = std::mem::replace(&mut header.next, proto::FRAGMENT);
        let pieces = payload.len().div_ceil(step);
        for (number, piece) in payload.chunks(step).enumerate() {
            let more = u16::from(number + 1 != pieces);
            let offset = (number * step) as u16 | more;
            header.payload = HEADER + piece.len();
            let mut fragment = Vec::with_capacity(wire::IPV6 + header.payload);
            header.write(&mut fragment);
            fragment.extend_from_slice(&[next_header, 0]);
            fragment.extend_from_slice(&offset.to_be_bytes());
            fragment.extend_from_slice(&id);
            fragment.extend_from_slice(piece);
            if self.send_piece(machine, &skb, &fragment, route.device, next) != xmit::SUCCESS {
                break;
            }
        }
        skb.frame.free(&mut self.pool);
    }

    fn send_piece(
        &mut self,
        machine: &mut Machine,
        whole: &Skb,
        bytes: &[u8],
        out: DeviceId,
        next: IpAddr,
    ) -> i64 {
        let protocol = match next {
            _ if bytes[0] >> 4 == 6 => EtherType::IPV6,
            _ => EtherType::IPV4,
        };
        let from = whole.device;
        let Some(mut piece) = self.new_packet(machine, from, protocol, bytes) else {
            return xmit::DROP;
        };
        piece.label(whole.labels());
        let sent = self.neighbour_output(machine, piece, out, next, from);
        if std::mem::take(&mut self.task_sends) {
            self.drain(machine);
            self.task_sends = true;
        }
        sent
    }
}

/// `ip_options_fragment`: options that are not for each piece become nothing.
fn blank_options(header: &mut [u8]) {
    const COPIED: u8 = 0x80;
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    let mut at = wire::IPV4;
    while at < header.len() {
        match header[at] {
            END => return,
            NOTHING => at += 1,
            kind => {
                let len = header.get(at + 1).map_or(2, |len| usize::from(*len).max(2));
                let end = (at + len).min(header.len());
                if kind & COPIED == 0 {
                    header[at..end].fill(NOTHING);
                }
                at = end;
            }
        }
    }
}
