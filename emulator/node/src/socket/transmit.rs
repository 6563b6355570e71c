//! Datagrams as packets (`__ip_make_skb`, `__ip6_make_skb`, `udp_send_skb`, `udp_v6_send_skb`).
//!
//! One that stays on its node is the packet that loopback carries, as cgroup/skb programs see it. What Linux draws at
//! random is 0 there: the identification, the flow label, the hash.

use std::net::{IpAddr, SocketAddr};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::calls::SocketCalls;
use super::filter::Passage;
use super::socket::Socket;
use super::types::SocketError;
use crate::net::{DeviceId, NodeId};
use crate::network::Route;
use crate::packet::{Checksum, EtherType, Skb, Sum};
use crate::stack::{IPV4, IPV6, Ipv4, Ipv6, proto, pseudo_header};
use crate::types::Ifindex;

/// Bytes of a UDP header, and where its checksum is.
const UDP: usize = 8;
const CHECKSUM: usize = 6;

/// What a datagram takes of its socket when the call begins, before programs are asked (`ipcm_init_sk`,
/// `ipcm6_init_sk`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    sender: SocketId,
    mark: u32,
    priority: u32,
    tos: u8,
    class: u8,
}

/// A datagram or a segment that is to be a packet.
pub(super) struct Draft<'a> {
    pub(super) node: NodeId,
    /// `IPPROTO_*`
    pub(super) protocol: u8,
    pub(super) ends: (SocketAddr, SocketAddr),
    pub(super) marks: Marks,
    /// Where it goes; none for loopback.
    pub(super) way: Option<&'a Route>,
    /// The longest packet that goes that way undivided.
    pub(super) mtu: u32,
    /// Bytes behind the IP header.
    pub(super) len: usize,
    pub(super) identification: Identification,
    pub(super) checksum: TransportChecksum,
}

/// The checksum of what is behind the IP header.
#[derive(Debug, Clone, Copy)]
pub(super) struct TransportChecksum {
    /// Where it is, from there.
    pub(super) offset: usize,
    /// Whether the device is to fill it in.
    pub(super) offloaded: bool,
}

/// The identification of an IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identification {
    Zero,
    /// The next of the node's, as Linux draws one.
    Chosen,
}

impl Marks {
    pub(super) fn of(socket: &Socket) -> Self {
        Self {
            sender: socket.id,
            mark: socket.options.mark,
            priority: socket.options.priority,
            tos: socket.options.tos,
            class: socket.options.traffic_class,
        }
    }

    pub(super) fn put_on(self, skb: &mut Skb) {
        (skb.mark, skb.priority) = (self.mark, self.priority);
    }
}

impl SocketCalls<'_> {
    /// Sends a datagram by the network stack of its node.
    pub(super) fn transmit(
        &mut self,
        marks: Marks,
        way: &Route,
        ends: (SocketAddr, SocketAddr),
        payload: &[u8],
    ) -> Result<(), SocketError> {
        let id = marks.sender;
        let mut skb = self.datagram(marks, Some(way), ends, payload)?;
        self.net.show_socket(self.machine, id, &mut skb);
        let (skb, passage) = self.filter_packet(id, AttachType::CgroupInetEgress, skb);
        match passage {
            Ok(Passage::Goes) => {}
            lost => {
                skb.frame.free(&mut self.net.pool);
                return match lost? {
                    Passage::Lost(Some(errno)) => Err(errno.into()),
                    _ => Ok(()),
                };
            }
        }
        self.net.task_sends = true;
        self.output(skb, way, ends.1.ip());
        self.net.task_sends = false;
        self.net.drain(self.machine);
        Ok(())
    }

    /// A packet leaves its socket. What transmitting it returns.
    pub(super) fn output(&mut self, skb: Skb, way: &Route, to: IpAddr) -> i64 {
        match to {
            IpAddr::V4(_) => self.net.ipv4_output(self.machine, skb, way, true),
            IpAddr::V6(to) => self.net.ipv6_output(self.machine, skb, way, to),
        }
    }

    /// The packet of a datagram on its way out of the node, or on the loopback device.
    pub(super) fn datagram(
        &mut self,
        marks: Marks,
        way: Option<&Route>,
        ends: (SocketAddr, SocketAddr),
        payload: &[u8],
    ) -> Result<Skb, SocketError> {
        let socket = self.net.sockets.get(marks.sender).ok_or(Errno::EBADF)?;
        let node = socket.node();
        let loopback = self.net.find(node, Ifindex::LOOPBACK.get());
        let device = way.map(|way| way.device).or(loopback);
        let device = device.ok_or(Errno::ENODEV)?;
        let mtu = match way {
            Some(way) => self.net.path_mtu(way, ends.1.ip()),
            None => self.net.device(device).mtu,
        };
        let too_long = ip_header(ends.1.ip()) + UDP + payload.len() > mtu as usize;
        let draft = Draft {
            node,
            protocol: proto::UDP,
            ends,
            marks,
            way,
            mtu,
            len: UDP + payload.len(),
            identification: match way {
                Some(_) => Identification::Chosen,
                None => Identification::Zero,
            },
            checksum: TransportChecksum {
                offset: CHECKSUM,
                // A device that does it, and one piece (`__ip_append_data`).
                offloaded: !self.net.device(device).plain && !too_long,
            },
        };
        let mut body = Vec::with_capacity(draft.len);
        body.extend(ends.0.port().to_be_bytes());
        body.extend(ends.1.port().to_be_bytes());
        body.extend((draft.len as u16).to_be_bytes());
        body.extend([0, 0]);
        body.extend_from_slice(payload);
        self.packet(&draft, device, &mut body)
    }

    /// The packet of a draft on its way out by a device, with what is behind the IP header.
    pub(super) fn packet(
        &mut self,
        draft: &Draft<'_>,
        device: DeviceId,
        body: &mut [u8],
    ) -> Result<Skb, SocketError> {
        let (mut bytes, protocol) = self.header(draft)?;
        let header = bytes.len();
        let TransportChecksum { offset, offloaded } = draft.checksum;
        let (source, destination) = draft.ends;
        let sum = pseudo_header(source.ip(), destination.ip(), draft.protocol, body.len());
        let check = match offloaded {
            true => sum.to_16(),
            false => match Sum::of(body, sum).fold() {
                0 => u16::MAX,
                sum => sum,
            },
        };
        body[offset..][..2].copy_from_slice(&check.to_le_bytes());
        bytes.extend_from_slice(body);
        let skb = self.net.new_packet(self.machine, device, protocol, &bytes);
        let mut skb = skb.ok_or(Errno::ENOBUFS)?;
        let start = skb.network_header + header as u32;
        skb.transport_header = Some(start);
        if offloaded {
            let offset = offset as u32;
            skb.checksum = Checksum::Partial { start, offset };
        }
        draft.marks.put_on(&mut skb);
        Ok(skb)
    }

    /// The IP header of a packet.
    pub(super) fn header(
        &mut self,
        draft: &Draft<'_>,
    ) -> Result<(Vec<u8>, EtherType), SocketError> {
        const LONGEST: usize = 0xffff;
        let mut bytes = Vec::new();
        match (draft.ends.0.ip(), draft.ends.1.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = IPV4 + draft.len;
                if total > LONGEST {
                    return Err(Errno::EMSGSIZE.into());
                }
                let locked = draft.way.is_some_and(|way| way.mtu_locked);
                let header = Ipv4 {
                    len: IPV4,
                    tos: draft.marks.tos,
                    total,
                    id: match draft.identification {
                        Identification::Chosen => self.net.next_ident(draft.node),
                        Identification::Zero => 0,
                    },
                    // `ip_queue_xmit` would rather have it lost.
                    dont_fragment: (draft.protocol == proto::TCP || total <= draft.mtu as usize)
                        && !locked,
                    more_fragments: false,
                    offset: 0,
                    ttl: self.net.ttl(draft.node),
                    protocol: draft.protocol,
                    source,
                    destination,
                };
                header.write(&mut bytes);
                Ok((bytes, EtherType::IPV4))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) if draft.len <= LONGEST => {
                let header = Ipv6 {
                    class: draft.marks.class,
                    label: 0,
                    payload: draft.len,
                    next: draft.protocol,
                    hop_limit: 64,
                    source,
                    destination,
                };
                bytes.reserve(IPV6 + draft.len);
                header.write(&mut bytes);
                Ok((bytes, EtherType::IPV6))
            }
            (IpAddr::V6(_), IpAddr::V6(_)) => Err(Errno::EMSGSIZE.into()),
            _ => Err(Errno::EINVAL.into()),
        }
    }
}

/// Bytes of an IP header without options.
pub(super) const fn ip_header(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => IPV4,
        IpAddr::V6(_) => IPV6,
    }
}
