//! Segments of TCP as sockets send them (`__tcp_transmit_skb`, `tcp_v4_send_synack`): without timestamps, selective
//! acknowledgements and window scaling, as with `net.ipv4.tcp_timestamps=0`, `tcp_sack=0` and `tcp_window_scaling=0`, and
//! with windows as by `tcp_workaround_signed_windows=1`.

use std::net::IpAddr;

use twinpath_machine::{AttachType, Errno, SocketId};

use super::calls::SocketCalls;
use super::connection::Sequence;
use super::filter::Passage;
use super::socket::Socket;
use super::transmit::{Draft, Identification, Marks, TransportChecksum, ip_header};
use super::types::{SocketError, State};
use crate::net::xmit;
use crate::network::Route;
use crate::stack::proto;

/// Bytes of a header without options, and of the one option that there is.
const HEADER: usize = 20;
const SEGMENT_SIZE: usize = 4;
/// Where the checksum is.
const CHECKSUM: usize = 16;
/// The widest window (`MAX_TCP_WINDOW`). A socket has room for more, whatever it has not read yet.
pub(super) const WIDEST: u32 = 32_767;

/// The flags of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u8);

impl Flags {
    pub(crate) const SYN: Self = Self(2);
    pub(crate) const RST: Self = Self(4);
    pub(crate) const ACK: Self = Self(16);
    pub(crate) const SYN_ACK: Self = Self(2 | 16);
    pub(crate) const RST_ACK: Self = Self(4 | 16);
    pub(crate) const FIN: Self = Self(1);
    pub(crate) const FIN_ACK: Self = Self(1 | 16);
    pub(crate) const PSH_ACK: Self = Self(8 | 16);
    /// `PSH` and `URG` ask for nothing in a handshake.
    const PLAIN: u8 = 1 | 2 | 4 | 16;

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that decide.
    pub(crate) const fn plain(self) -> Self {
        Self(self.0 & Self::PLAIN)
    }
}

/// What of a segment its connection does not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) flags: Flags,
    /// The number of its first byte.
    pub(super) sequence: u32,
    pub(super) data: &'a [u8],
}

impl Content<'static> {
    pub(super) const fn bare(flags: Flags, sequence: u32) -> Self {
        Self {
            flags,
            sequence,
            data: &[],
        }
    }
}

impl SocketCalls<'_> {
    /// Sends a segment of a connection, by a route or the one that leads to its other end, if the programs of the
    /// socket's cgroup let it pass.
    ///
    /// # Errors
    /// When there is no way, or a program faults.
    pub(super) fn send_segment(
        &mut self,
        id: SocketId,
        way: Option<&Route>,
        content: Content<'_>,
    ) -> Result<Passage, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let flow = socket.flow();
        let to = flow.remote.ip();
        let route = match way {
            Some(way) => *way,
            None => self.way_of(socket)?,
        };
        let state = socket.state;
        // What is said for the rest of a connection is not a socket's; a request is its listener's.
        let speaker = match state {
            State::TimeWait => None,
            State::Request => socket.listener,
            _ => Some(id),
        };
        let mtu = self.net.path_mtu(&route, to);
        let size = segment_size(socket, to, mtu);
        let with_size = content.flags.has(Flags::SYN);
        let header = HEADER + if with_size { SEGMENT_SIZE } else { 0 };
        let expected = match (content.flags.has(Flags::ACK), socket.sequence) {
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
            len: header + content.data.len(),
            // ip_build_and_send_pkt, ip_send_unicast_reply
            identification: match content.flags == Flags::SYN_ACK || speaker.is_none() {
                true => Identification::Zero,
                false => Identification::Chosen,
            },
            checksum: TransportChecksum {
                offset: CHECKSUM,
                offloaded: speaker.is_some() || to.is_ipv6(),
            },
        };
        let window = window(socket, size);
        // Another socket may have heard of a shorter way meanwhile (`__sk_dst_check`).
        let too_long = ip_header(to) + draft.len > mtu as usize;
        if let Some(socket) = self.net.sockets.get_mut(id)
            && let Some(sequence) = &mut socket.sequence
        {
            sequence.path_mtu = Some(mtu);
        }
        // ip6_xmit
        if too_long && to.is_ipv6() {
            return Err(Errno::EMSGSIZE.into());
        }
        let mut body = Vec::with_capacity(draft.len);
        body.extend(flow.local.port().to_be_bytes());
        body.extend(flow.remote.port().to_be_bytes());
        body.extend(content.sequence.to_be_bytes());
        body.extend(expected.to_be_bytes());
        body.extend([(header as u8 / 4) << 4, content.flags.0]);
        body.extend(window.to_be_bytes());
        body.extend([0, 0, 0, 0]);
        if with_size {
            body.extend([2, SEGMENT_SIZE as u8]);
            body.extend(size.to_be_bytes());
        }
        body.extend_from_slice(content.data);
        let mut skb = self.packet(&draft, route.device, &mut body)?;
        if let Some(speaker) = speaker {
            self.net.show_socket(self.machine, id, &mut skb);
            let (filtered, passage) =
                self.filter_packet(speaker, AttachType::CgroupInetEgress, skb);
            skb = filtered;
            if !matches!(passage, Ok(Passage::Goes)) {
                skb.frame.free(&mut self.net.pool);
                return passage;
            }
        }
        match self.output(skb, &route, to) {
            xmit::SUCCESS => return Ok(Passage::Goes),
            // tcp_enter_cwr
            1.. => {
                if let Some(sequence) = self.sequence_mut(id) {
                    sequence.is_slow = true;
                }
            }
            _ => {}
        }
        Ok(Passage::Lost(None))
    }

    /// The longest segment that a connection sends now (`tcp_current_mss`).
    pub(super) fn size_to_send(
        &self,
        socket: &Socket,
        sequence: &Sequence,
    ) -> Result<usize, SocketError> {
        /// `net.ipv4.tcp_min_snd_mss`, `TCP_MSS_DEFAULT`, and what half of a window has at least.
        const LEAST: usize = 48;
        const DEFAULT: u16 = 536;
        const LEAST_HALF: usize = 48;
        let to = socket.flow().remote.ip();
        let mtu = match sequence.path_mtu {
            Some(mtu) => mtu,
            None => self.net.path_mtu(&self.way_of(socket)?, to),
        };
        let widest = sequence.widest;
        let size = size_within(to, mtu)
            .min(usize::from(sequence.size))
            .max(LEAST);
        // tcp_bound_to_half_wnd
        let half = usize::from(if widest > DEFAULT { widest / 2 } else { widest });
        Ok(match half {
            0 => size,
            half if size > half => half.max(LEAST_HALF),
            _ => size,
        })
    }

    /// The way to the other end of a connection.
    fn way_of(&self, socket: &Socket) -> Result<Route, SocketError> {
        let flow = socket.flow();
        let route = self.route(socket, flow.remote.ip(), flow.local.ip())?;
        Ok(route.way.ok_or(Errno::ENETUNREACH)?)
    }
}

/// The longest segment to an address in packets of `mtu` bytes (`tcp_mtu_to_mss`).
pub(super) fn size_within(to: IpAddr, mtu: u32) -> usize {
    (mtu as usize).saturating_sub(ip_header(to) + HEADER)
}

/// The longest segment that a socket wants to get (`dst_metric_advmss`, `tcp_mss_clamp`).
fn segment_size(socket: &Socket, to: IpAddr, mtu: u32) -> u16 {
    /// `net.ipv4.route.min_adv_mss`, `net.ipv6.route.min_adv_mss`
    const LEAST: (u32, u32) = (256, 1220);
    let headers = (ip_header(to) + HEADER) as u32;
    let least = if to.is_ipv4() { LEAST.0 } else { LEAST.1 };
    let most = mtu.saturating_sub(headers).max(least);
    let wanted = u32::try_from(socket.options.max_segment).unwrap_or(0);
    let size = if wanted != 0 { most.min(wanted) } else { most };
    size.min(u32::from(u16::MAX)) as u16
}

/// How much a socket receives at once (`tcp_select_initial_window`): with a clamp below the widest window, in whole
/// segments.
fn window(socket: &Socket, size: u16) -> u16 {
    let clamp = u32::try_from(socket.options.window_clamp).unwrap_or(0);
    let size = u32::from(size);
    let whole = match clamp {
        0 => WIDEST,
        clamp if clamp > size => clamp - clamp % size,
        clamp => clamp,
    };
    whole.min(WIDEST) as u16
}
