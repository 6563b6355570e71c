//! Segments of TCP as sockets send them (`__tcp_transmit_skb`, `tcp_v4_send_synack`): without timestamps, selective
//! acknowledgements and window scaling, as with `net.ipv4.tcp_timestamps=0`, `tcp_sack=0` and `tcp_window_scaling=0`.

use std::net::IpAddr;

use twinpath_machine::{Errno, SocketId};

use super::calls::SocketCalls;
use super::socket::Socket;
use super::transmit::{Draft, Identification, Marks};
use super::types::SocketError;
use crate::network::Route;
use crate::packet::Checksum;
use crate::stack::{IPV4, IPV6, proto, pseudo_header};

/// Bytes of a header without options, and of the one option that there is.
const HEADER: usize = 20;
const SEGMENT_SIZE: usize = 4;
/// Where the checksum is.
const CHECKSUM: usize = 16;
/// What a socket without a clamp receives at once: half of the second number of `net.ipv4.tcp_rmem`.
const SPACE: u32 = 65_536;

/// The flags of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const SYN: Self = Self(2);
    pub(crate) const RST: Self = Self(4);
    pub(crate) const ACK: Self = Self(16);
    pub(crate) const SYN_ACK: Self = Self(2 | 16);
    /// `FIN`, `PSH` and `URG` ask for nothing in a handshake.
    const PLAIN: u8 = 1 | 2 | 4 | 16;

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that decide.
    pub(crate) const fn plain(self) -> Self {
        Self(self.0 & Self::PLAIN)
    }
}

impl SocketCalls<'_> {
    /// Sends a segment of a connection without data, by a route or the one that leads to its other end. Nothing is
    /// sent where none does.
    pub(super) fn send_segment(
        &mut self,
        id: SocketId,
        way: Option<&Route>,
        flags: Flags,
        sequence: u32,
    ) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let flow = socket.flow();
        let route = match way {
            Some(way) => *way,
            None => {
                let route = self.route(socket, flow.remote.ip(), flow.local.ip())?;
                route.way.ok_or(Errno::ENETUNREACH)?
            }
        };
        let mtu = self.net.path_mtu(&route, flow.remote.ip());
        let size = segment_size(socket, flow.remote.ip(), mtu);
        let with_size = flags.has(Flags::SYN);
        let len = HEADER + if with_size { SEGMENT_SIZE } else { 0 };
        let expected = match (flags.has(Flags::ACK), socket.sequence) {
            (true, Some(known)) => known.expected,
            _ => 0,
        };
        let draft = Draft {
            node: socket.node(),
            protocol: proto::TCP,
            ends: (flow.local, flow.remote),
            marks: Marks::of(socket),
            way: Some(&route),
            mtu,
            len,
            // ip_build_and_send_pkt
            identification: match flags == Flags::SYN_ACK {
                true => Identification::Zero,
                false => Identification::Chosen,
            },
        };
        let window = window(socket, size);
        let (mut packet, protocol) = self.header(&draft)?;
        let header = packet.len();
        packet.extend(flow.local.port().to_be_bytes());
        packet.extend(flow.remote.port().to_be_bytes());
        packet.extend(sequence.to_be_bytes());
        packet.extend(expected.to_be_bytes());
        packet.extend([(len as u8 / 4) << 4, flags.0]);
        packet.extend(window.to_be_bytes());
        let sum = pseudo_header(flow.local.ip(), flow.remote.ip(), proto::TCP, len);
        packet.extend(sum.to_16().to_le_bytes());
        packet.extend([0, 0]);
        if with_size {
            packet.extend([2, SEGMENT_SIZE as u8]);
            packet.extend(size.to_be_bytes());
        }
        let marks = draft.marks;
        let skb = self
            .net
            .new_packet(self.machine, route.device, protocol, &packet);
        let mut skb = skb.ok_or(Errno::ENOBUFS)?;
        let start = skb.network_header + header as u32;
        skb.transport_header = Some(start);
        let offset = CHECKSUM as u32;
        skb.checksum = Checksum::Partial { start, offset };
        marks.put_on(&mut skb);
        self.net.show_socket(self.machine, id, &mut skb);
        self.output(skb, &route, flow.remote.ip());
        Ok(())
    }
}

/// The longest segment that a socket wants to get (`dst_metric_advmss`, `tcp_mss_clamp`).
fn segment_size(socket: &Socket, to: IpAddr, mtu: u32) -> u16 {
    /// `net.ipv4.route.min_adv_mss`, `net.ipv6.route.min_adv_mss`
    const LEAST: (u32, u32) = (256, 1220);
    let headers = |ip: usize| (ip + HEADER) as u32;
    let most = match to {
        IpAddr::V4(_) => mtu.saturating_sub(headers(IPV4)).max(LEAST.0),
        IpAddr::V6(_) => mtu.saturating_sub(headers(IPV6)).max(LEAST.1),
    };
    let wanted = u32::try_from(socket.options.max_segment).unwrap_or(0);
    let size = if wanted != 0 { most.min(wanted) } else { most };
    size.min(u32::from(u16::MAX)) as u16
}

/// How much a socket receives at once, in whole segments (`tcp_select_initial_window`).
fn window(socket: &Socket, size: u16) -> u16 {
    let clamp = u32::try_from(socket.options.window_clamp).unwrap_or(0);
    let space = if clamp == 0 { SPACE } else { SPACE.min(clamp) };
    let size = u32::from(size);
    let whole = if space > size {
        space - space % size
    } else {
        space
    };
    whole.min(u32::from(u16::MAX)) as u16
}
