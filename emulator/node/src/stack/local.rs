//! Delivery to this host: which protocol and which socket a packet is for, and what the sender is
//! told when there is none (`ip_local_deliver_finish`, `net/ipv4/udp.c`, `net/ipv4/tcp_ipv4.c`).

use std::net::{IpAddr, SocketAddr};

use twinpath_machine::{Machine, SocketId};

use super::icmp::{self, Error, Receipt};
use super::ipv4::{Outgoing, trim};
use super::route::Cast;
use super::wire::{self, Ipv4, proto};
use crate::net::{DropReason, Net};
use crate::packet::{PacketType, Skb};
use crate::socket::{Arrival, Flow, Protocol, SocketCalls};

/// A TCP segment, as far as an answer to it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    source: u16,
    destination: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// Bytes of its header, and of data behind it.
    pub(crate) header: usize,
    pub(crate) data: u32,
    /// The longest segment that the sender wants to get.
    pub(crate) size: Option<u16>,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;
/// Bytes of a UDP header.
pub(super) const UDP_HEADER: usize = 8;

impl Segment {
    /// Reads a segment; none when its header is cut off.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; TCP_HEADER] = bytes.first_chunk()?;
        let len = usize::from(header[12] >> 4) * 4;
        if len < TCP_HEADER {
            return None;
        }
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        Some(Self {
            source: u16::from_be_bytes([header[0], header[1]]),
            destination: u16::from_be_bytes([header[2], header[3]]),
            sequence: word(4),
            acknowledgement: word(8),
            flags: header[13],
            window: u16::from_be_bytes([header[14], header[15]]),
            header: len,
            data: bytes.len().checked_sub(len)? as u32,
            size: segment_size(bytes.get(TCP_HEADER..len)?),
        })
    }

    pub(super) fn ports(&self) -> (u16, u16) {
        (self.source, self.destination)
    }

    /// The answer to a segment that is for nobody (`tcp_v4_send_reset`), without its checksum; none
    /// to one that is itself a reset.
    pub(super) fn reset(&self) -> Option<[u8; TCP_HEADER]> {
        if self.flags & RST != 0 {
            return None;
        }
        let mut reset = [0; TCP_HEADER];
        reset[0..2].copy_from_slice(&self.destination.to_be_bytes());
        reset[2..4].copy_from_slice(&self.source.to_be_bytes());
        reset[12] = 5 << 4;
        reset[13] = RST;
        if self.flags & ACK != 0 {
            reset[4..8].copy_from_slice(&self.acknowledgement.to_be_bytes());
        } else {
            let count = |flag: u8| u32::from(self.flags & flag != 0);
            let end = self
                .sequence
                .wrapping_add(count(SYN) + count(FIN) + self.data);
            reset[8..12].copy_from_slice(&end.to_be_bytes());
            reset[13] |= ACK;
        }
        Some(reset)
    }
}

/// What the options of a segment say of its sender's longest one (`tcp_parse_options`).
fn segment_size(mut options: &[u8]) -> Option<u16> {
    const END: u8 = 0;
    const PADDING: u8 = 1;
    const SEGMENT_SIZE: u8 = 2;
    loop {
        options = match *options {
            [] | [END, ..] => return None,
            [PADDING, ref rest @ ..] => rest,
            [SEGMENT_SIZE, 4, high, low, ..] => {
                let size = u16::from_be_bytes([high, low]);
                return Some(size).filter(|size| *size != 0);
            }
            [_, len, ..] if len >= 2 => options.get(usize::from(len)..)?,
            _ => return None,
        };
    }
}

impl Net {
    /// `ip_protocol_deliver_rcu`: a whole packet, for this host.
    pub(super) fn ipv4_transport(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        header: &Ipv4,
        cast: Cast,
    ) {
        match header.protocol {
            proto::ICMP => self.icmp_input(machine, skb, header, cast),
            proto::UDP => self.udp_input(machine, skb, header, cast),
            proto::TCP => self.tcp_input(machine, skb, header),
            proto::IPIP if self.has_ipip(skb.device) => self.ipip_input(machine, skb, header, cast),
            proto::IGMP | proto::PIM => self.accept(machine, skb),
            proto::UDP_LITE => self.refuse(machine, skb, DropReason::Unsupported),
            _ => {
                let error = Error::new(icmp::UNREACHABLE, icmp::PROTOCOL_UNREACHABLE);
                self.icmp_error(machine, &skb, error, Receipt::Local(cast));
                self.refuse(machine, skb, DropReason::UnknownProtocol);
            }
        }
    }

    /// `__udp4_lib_rcv`.
    fn udp_input(&mut self, machine: &mut Machine, mut skb: Skb, header: &Ipv4, cast: Cast) {
        let ends = (header.source.into(), header.destination.into());
        let datagram = match check_udp(&mut skb, machine, header.len, ends) {
            Ok(datagram) => datagram,
            Err(reason) => {
                self.refuse(machine, skb, reason);
                return;
            }
        };
        let flow = datagram.flow(ends);
        if cast != Cast::Unicast {
            self.datagram_to_all(machine, skb, flow, (header.len, datagram.sums_up));
            return;
        }
        let Some(skb) = self.vxlan_input(machine, skb, header.len, flow, &datagram) else {
            return;
        };
        let Some(skb) = self.datagram_to_socket(machine, skb, flow, (header.len, &datagram)) else {
            return;
        };
        if !datagram.sums_up {
            self.refuse(machine, skb, DropReason::Checksum);
            return;
        }
        let error = Error::new(icmp::UNREACHABLE, icmp::PORT_UNREACHABLE);
        self.icmp_error(machine, &skb, error, Receipt::Local(cast));
        self.refuse(machine, skb, DropReason::NoSocket);
    }

    /// `tcp_v4_rcv`, as far as it goes without a connection.
    fn tcp_input(&mut self, machine: &mut Machine, skb: Skb, header: &Ipv4) {
        let ends = (header.source.into(), header.destination.into());
        let (flow, segment) = match self.check_tcp(machine, &skb, header.len, ends) {
            Ok(found) => found,
            Err(reason) => {
                self.refuse(machine, skb, reason);
                return;
            }
        };
        let found = self.segment_to_socket(machine, skb, flow, (header.len, &segment));
        let Some((skb, refuser)) = found else {
            return;
        };
        if let Some(mut reset) = segment.reset() {
            fill_transport_checksum(&mut reset, (ends.1, ends.0), proto::TCP, 16);
            let out = Outgoing {
                source: Some(header.destination),
                destination: header.source,
                protocol: proto::TCP,
                tos: header.tos & !3,
                dont_fragment: true,
                ttl: None,
            };
            let node = self.node_of(skb.device);
            let mark = self.mark_of(refuser);
            if let Some((reset, route)) = self.ipv4_packet(machine, node, (out, mark), &reset) {
                let reset = SocketCalls::new(self, machine).show_reset(refuser, reset);
                if let Some(reset) = reset {
                    self.ipv4_output(machine, reset, &route, true);
                }
            }
        }
        self.refuse(machine, skb, DropReason::NoSocket);
    }

    /// The checks of `tcp_v4_rcv` and `tcp_v6_rcv`. `at` is where the segment begins.
    pub(super) fn check_tcp(
        &self,
        machine: &Machine,
        skb: &Skb,
        at: usize,
        ends: (IpAddr, IpAddr),
    ) -> Result<(Flow, Segment), DropReason> {
        if skb.packet_type != PacketType::Host {
            return Err(DropReason::OtherHost);
        }
        let bytes = &skb.frame.bytes(&machine.memory)[at..];
        let segment = Segment::parse(bytes).ok_or(DropReason::Malformed)?;
        let seed = wire::pseudo_header(ends.0, ends.1, proto::TCP, bytes.len());
        if skb.needs_check() && !wire::sums_up(bytes, seed) {
            return Err(DropReason::Checksum);
        }
        let (source, destination) = segment.ports();
        let flow = Flow {
            protocol: Protocol::Tcp,
            local: SocketAddr::new(ends.1, destination),
            remote: SocketAddr::new(ends.0, source),
        };
        Ok((flow, segment))
    }

    /// Gives a datagram that begins at `at` to the socket that it is for; if there is none, it comes back.
    pub(super) fn datagram_to_socket(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        flow: Flow,
        (at, datagram): (usize, &Datagram),
    ) -> Option<Skb> {
        let mut sockets = SocketCalls::new(self, machine);
        let Some(receiver) = sockets.receiver(&skb, flow) else {
            return Some(skb);
        };
        if flow.local.is_ipv6() && !datagram.has_checksum {
            self.refuse(machine, skb, DropReason::Checksum);
            return None;
        }
        let payload = (at + UDP_HEADER, datagram.sums_up);
        let (skb, taken) = sockets.take_datagram(skb, receiver, flow.remote, payload);
        match taken {
            Ok(()) => self.accept(machine, skb),
            Err(reason) => self.refuse(machine, skb, reason),
        }
        None
    }

    /// `__udp4_lib_mcast_deliver`, `__udp6_lib_mcast_deliver`: to each socket that wants it. Nobody is told when none
    /// does.
    pub(super) fn datagram_to_all(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        flow: Flow,
        (at, sums_up): (usize, bool),
    ) {
        let mut sockets = SocketCalls::new(self, machine);
        for receiver in sockets.receivers(&skb, flow) {
            let payload = (at + UDP_HEADER, sums_up);
            (skb, _) = sockets.take_datagram(skb, receiver, flow.remote, payload);
        }
        self.accept(machine, skb);
    }

    /// Gives a segment that begins at `at` to the socket that it is for; if there is none, or it belongs to nothing that
    /// the socket knows of, it comes back, with that socket.
    pub(super) fn segment_to_socket(
        &mut self,
        machine: &mut Machine,
        skb: Skb,
        flow: Flow,
        (at, segment): (usize, &Segment),
    ) -> Option<(Skb, Option<SocketId>)> {
        let mut sockets = SocketCalls::new(self, machine);
        let Some(receiver) = sockets.receiver(&skb, flow) else {
            return Some((skb, None));
        };
        let (skb, arrival) = sockets.take_segment(skb, receiver, &flow, (at, segment));
        match arrival {
            Arrival::Refused => return Some((skb, Some(receiver))),
            Arrival::Taken => self.accept(machine, skb),
            Arrival::Lost(reason) => self.refuse(machine, skb, reason),
            Arrival::Unsupported(what) => {
                self.sockets.unsupported = Some(what);
                self.refuse(machine, skb, DropReason::Unsupported);
            }
        }
        None
    }
}

/// A UDP header, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram {
    source: u16,
    destination: u16,
    /// Whether the checksum is right, or there is none.
    pub(super) sums_up: bool,
    /// Whether there is one.
    pub(super) has_checksum: bool,
}

impl Datagram {
    pub(super) fn flow(&self, ends: (IpAddr, IpAddr)) -> Flow {
        Flow {
            protocol: Protocol::Udp,
            local: SocketAddr::new(ends.1, self.destination),
            remote: SocketAddr::new(ends.0, self.source),
        }
    }
}

/// Reads a UDP header at a place in the packet, and trims the packet to what it says.
pub(super) fn check_udp(
    skb: &mut Skb,
    machine: &mut Machine,
    at: usize,
    ends: (IpAddr, IpAddr),
) -> Result<Datagram, DropReason> {
    let bytes = &skb.frame.bytes(&machine.memory)[at..];
    let header: &[u8; UDP_HEADER] = bytes.first_chunk().ok_or(DropReason::Malformed)?;
    let pair = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let len = match (usize::from(pair(4)), ends.0) {
        // A jumbogram's.
        (0, IpAddr::V6(_)) => bytes.len(),
        (len, _) => len,
    };
    if len > bytes.len() || len < UDP_HEADER {
        return Err(DropReason::Malformed);
    }
    let bytes = &bytes[..len];
    let has_checksum = pair(6) != 0;
    let seed = wire::pseudo_header(ends.0, ends.1, proto::UDP, len);
    let datagram = Datagram {
        source: pair(0),
        destination: pair(2),
        sums_up: !has_checksum || !skb.needs_check() || wire::sums_up(bytes, seed),
        has_checksum,
    };
    trim(skb, &mut machine.memory, (at + len) as u32);
    Ok(datagram)
}

/// Writes the checksum of a TCP segment or UDP datagram; `at` is the field.
pub(super) fn fill_transport_checksum(
    bytes: &mut [u8],
    ends: (IpAddr, IpAddr),
    protocol: u8,
    at: usize,
) {
    bytes[at..at + 2].fill(0);
    let seed = wire::pseudo_header(ends.0, ends.1, protocol, bytes.len());
    let sum = match crate::packet::Sum::of(bytes, seed).fold() {
        0 if protocol == proto::UDP => 0xffff,
        sum => sum,
    };
    bytes[at..at + 2].copy_from_slice(&sum.to_le_bytes());
}
