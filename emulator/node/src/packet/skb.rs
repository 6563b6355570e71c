//! A packet in the network stack (`struct sk_buff`).

use twinpath_machine::memory::{Memory, Object, OutOfMemory};
use twinpath_machine::{Errno, SocketId};

use super::checksum::Sum;
use super::frame::Moved;
use super::skb_checksum::Checksum;
use super::{ETH_HLEN, EtherType, Frame, Pool, Tunnel, VLAN_HLEN, Vlan, header_protocol};
use crate::context;
use crate::net::{DeviceId, Site};
use crate::socket::Host;
use crate::types::Mac;

/// To whom a packet is addressed (`PACKET_*` of `linux/if_packet.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PacketType {
    Host = 0,
    Broadcast = 1,
    Multicast = 2,
    OtherHost = 3,
}

/// Addresses of a device by which it tells whom a frame is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkAddresses {
    pub(crate) own: Mac,
    /// All zero on a loopback device, to which no frame is a broadcast.
    pub(crate) broadcast: Mac,
}

impl PacketType {
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Host,
            1 => Self::Broadcast,
            2 => Self::Multicast,
            3 => Self::OtherHost,
            _ => return None,
        })
    }
}

/// The flow hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hash {
    /// The value; 0 when there is none.
    pub(crate) value: u32,
    /// Whether it was computed or set, even if to 0 (`sw_hash`, `l4_hash`).
    pub(crate) known: bool,
}

/// Kinds of segmentation offload (`SKB_GSO_*` of `linux/skbuff.h`).
pub(crate) mod gso {
    pub(crate) const TCPV4: u32 = 1 << 0;
    pub(crate) const DODGY: u32 = 1 << 1;
    pub(crate) const TCPV6: u32 = 1 << 4;
    pub(crate) const GRE: u32 = 1 << 6;
    pub(crate) const IPXIP4: u32 = 1 << 8;
    pub(crate) const IPXIP6: u32 = 1 << 9;
    pub(crate) const UDP_TUNNEL: u32 = 1 << 10;
    pub(crate) const UDP_L4: u32 = 1 << 17;
    /// Those that are cut.
    pub(crate) const KNOWN: u32 = TCPV4 | TCPV6 | DODGY;
}

/// Segmentation offload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gso {
    /// Payload bytes of a segment; 0 for an ordinary packet.
    pub(crate) size: u16,
    /// Number of segments.
    pub(crate) segments: u16,
    /// `SKB_GSO_*`.
    pub(crate) kind: u32,
}

/// What `struct __sk_buff` shows of the packet's socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Owner {
    /// The socket's own structure in guest memory, to which `sk` points.
    pub(crate) object: Option<Object>,
    /// `AF_*`
    pub(crate) family: u16,
    /// The other end's address.
    pub(crate) remote: Host,
    /// The own end's address.
    pub(crate) local: Host,
    /// The other end's port.
    pub(crate) remote_port: u16,
    /// The own end's port.
    pub(crate) local_port: u16,
}

/// A packet in the network stack. Header positions are guest addresses.
#[derive(Debug)]
pub(crate) struct Skb {
    pub(crate) frame: Frame,
    /// Whether it is no skb yet, but a frame that an XDP program sent (`struct xdp_frame`).
    pub(crate) is_frame: bool,
    /// Bytes of metadata before the MAC header that an XDP program left.
    pub(crate) metadata: u32,
    pub(crate) mac_header: Option<u32>,
    /// Bytes from the MAC header to the network header.
    pub(crate) mac_len: u32,
    pub(crate) network_header: u32,
    pub(crate) transport_header: Option<u32>,
    pub(crate) protocol: EtherType,
    pub(crate) packet_type: PacketType,
    pub(crate) vlan: Option<Vlan>,
    pub(crate) checksum: Checksum,
    /// The complete sum; when the state is another, the last one.
    pub(crate) sum: Sum,
    pub(crate) hash: Hash,
    pub(crate) gso: Gso,
    pub(crate) encapsulation: bool,
    pub(crate) mark: u32,
    pub(crate) priority: u32,
    pub(crate) queue_mapping: u16,
    pub(crate) tc_index: u16,
    pub(crate) tc_classid: u16,
    pub(crate) cb: [u8; 20],
    /// Bytes on the wire, of all segments together.
    pub(crate) wire_len: u32,
    /// The device that it is on.
    pub(crate) device: DeviceId,
    /// Its interface index.
    pub(crate) ifindex: u32,
    /// Interface index of the device that received it, 0 for none.
    pub(crate) ingress: u32,
    /// When it was received, or is to be sent, in nanoseconds.
    pub(crate) timestamp: u64,
    /// Which clock `timestamp` is of.
    pub(crate) timestamp_type: u8,
    pub(crate) hardware_timestamp: u64,
    /// Whether it is on its way in (`tc_at_ingress`).
    pub(crate) at_ingress: bool,
    /// The socket that it belongs to.
    pub(crate) socket: Option<SocketId>,
    /// Whether a program has said so of a packet that arrives (`skb_sk_is_prefetched`).
    pub(crate) assigned: bool,
    /// What its context shows of the socket.
    pub(crate) owner: Owner,
    /// How it is to be sent through a tunnel, or came through one.
    pub(crate) tunnel: Option<Tunnel>,
    /// Whether a redirect had a device send it (`skb->redirected`): generic XDP leaves it alone from then on.
    pub(crate) redirected: bool,
    /// The last hook that it met, for the report of where it ended.
    pub(crate) met: Option<Site>,
    /// Whether its way has been looked for and found (`skb_dst`).
    pub(crate) routed: bool,
}

/// What the pieces of a packet have of the whole one, and the whole one of its first piece (`ip_copy_metadata`,
/// `inet_frag_reasm_prepare`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    mark: u32,
    priority: u32,
    tc_index: u16,
    hash: Hash,
}

impl Skb {
    pub(crate) fn labels(&self) -> Labels {
        Labels {
            mark: self.mark,
            priority: self.priority,
            tc_index: self.tc_index,
            hash: self.hash,
        }
    }

    /// An IP layer puts what it needs where programs have the class and the first words of `cb` (`struct inet_skb_parm`,
    /// `struct inet6_skb_parm`). Nothing that anybody could mean is left there; here it is zero.
    pub(crate) fn clear_control_block(&mut self) {
        const PARAMETERS: usize = 16;
        self.tc_classid = 0;
        self.cb[..PARAMETERS].fill(0);
    }

    /// A bridge has a pointer there (`struct br_input_skb_cb`), the upper bytes of which are where the class was, and
    /// zeroes behind it.
    pub(crate) fn enter_bridge(&mut self) {
        const UPPER_BYTES: u16 = 0xffff;
        self.tc_classid = UPPER_BYTES;
        self.cb = [0; 20];
    }

    /// It arrives where it is to be found out whose it is, unless a program has said so (`skb_orphan`).
    pub(crate) fn orphan(&mut self) {
        if !self.assigned {
            (self.socket, self.owner) = (None, Owner::default());
        }
    }

    pub(crate) fn label(&mut self, labels: Labels) {
        (self.mark, self.priority) = (labels.mark, labels.priority);
        (self.tc_index, self.hash) = (labels.tc_index, labels.hash);
    }

    /// A packet whose bytes begin with an Ethernet header, as a driver has it before `eth_type_trans`.
    pub(crate) fn new(frame: Frame, device: DeviceId) -> Self {
        let data = frame.data();
        Self {
            is_frame: false,
            metadata: 0,
            mac_header: None,
            mac_len: 0,
            network_header: data,
            transport_header: None,
            protocol: EtherType::default(),
            packet_type: PacketType::Host,
            vlan: None,
            checksum: Checksum::None,
            sum: Sum::default(),
            hash: Hash::default(),
            gso: Gso::default(),
            encapsulation: false,
            mark: 0,
            priority: 0,
            queue_mapping: 0,
            tc_index: 0,
            tc_classid: 0,
            cb: [0; 20],
            wire_len: 0,
            device,
            ifindex: 0,
            ingress: 0,
            timestamp: 0,
            timestamp_type: 0,
            hardware_timestamp: 0,
            at_ingress: true,
            socket: None,
            assigned: false,
            owner: Owner::default(),
            tunnel: None,
            redirected: false,
            met: None,
            routed: false,
            frame,
        }
    }

    /// `eth_type_trans`: takes the Ethernet header off the front and reads it. A packet type other
    /// than "to this host" stays when the header says nothing else. False, with the data where it was,
    /// when there is no whole header.
    pub(crate) fn take_ethernet(&mut self, memory: &Memory, link: LinkAddresses) -> bool {
        self.mac_header = Some(self.frame.data());
        let header = self.frame.slice(memory, 0, ETH_HLEN).unwrap_or(&[0; 14]);
        let payload = self.frame.bytes(memory).get(14..).unwrap_or_default();
        self.protocol = header_protocol([header[12], header[13]], payload);
        let to = [
            header[0], header[1], header[2], header[3], header[4], header[5],
        ];
        if to != link.own.0 {
            self.packet_type = if to[0] & 1 == 0 {
                PacketType::OtherHost
            } else if to == link.broadcast.0 {
                PacketType::Broadcast
            } else {
                PacketType::Multicast
            };
        }
        let whole = self.frame.linear() >= ETH_HLEN;
        if whole {
            self.frame.pull(ETH_HLEN);
        }
        whole
    }

    /// A copy with a buffer of its own (`skb_clone`, as far as programs can tell).
    pub(crate) fn copy(&self, pool: &mut Pool, memory: &mut Memory) -> Result<Self, OutOfMemory> {
        let frame = self.frame.copy(pool, memory)?;
        let moved = frame.data().wrapping_sub(self.frame.data());
        let mut copy = Self {
            frame,
            tunnel: self.tunnel.clone(),
            // A copy's way is its own.
            met: None,
            socket: None,
            assigned: false,
            owner: Owner::default(),
            ..*self
        };
        copy.moved(Moved(moved));
        Ok(copy)
    }

    /// Distance of the network header from the data; negative when it lies before.
    pub(crate) fn network_offset(&self) -> i32 {
        self.network_header.wrapping_sub(self.frame.data()) as i32
    }

    /// Distance of the transport header from the data, when it is set.
    pub(crate) fn transport_offset(&self) -> Option<i32> {
        let at = self.transport_header?;
        Some(at.wrapping_sub(self.frame.data()) as i32)
    }

    /// Whether `len` bytes from a guest address are all in the linear part.
    pub(crate) fn has(&self, at: u32, len: u32) -> bool {
        at >= self.frame.head() && at + len <= self.frame.linear_end()
    }

    /// Sets the length of a linear packet: what is added is zero.
    pub(crate) fn resize(&mut self, memory: &mut Memory, len: u32) {
        if len > self.frame.len() + self.frame.tailroom() {
            self.metadata = 0;
        }
        self.frame.resize(memory, len);
    }

    /// `vlan_get_protocol`: what follows the VLAN tags in the packet; nothing when they are cut off.
    pub(crate) fn protocol_behind_tags(&self, memory: &Memory) -> EtherType {
        const MAX_DEPTH: usize = 32;
        let mut protocol = self.protocol;
        let mut at = match self.mac_len {
            0 => ETH_HLEN,
            len => len.saturating_sub(VLAN_HLEN),
        };
        for _ in 1..MAX_DEPTH {
            if !protocol.is_vlan() {
                return protocol;
            }
            match self.frame.slice(memory, at, VLAN_HLEN) {
                Some(tag) => protocol = EtherType::from_wire([tag[2], tag[3]]),
                None => return EtherType::default(),
            }
            at += VLAN_HLEN;
        }
        EtherType::default()
    }

    /// `skb_reset_mac_len`.
    pub(crate) fn reset_mac_len(&mut self) {
        let mac = self.mac_header.unwrap_or(self.network_header);
        self.mac_len = self.network_header.wrapping_sub(mac);
    }

    /// `skb_cow_head`: room for `len` more bytes in front.
    pub(crate) fn reserve_head(&mut self, memory: &mut Memory, len: u32) -> Result<(), Errno> {
        let before = self.frame.head();
        if let Some(moved) = self.frame.reserve_head(memory, len)? {
            self.moved(moved);
            // skb_headers_offset_update adds to the offset even when it is the one that stands for
            // none, 0xffff, which then points to the byte before the old head.
            let one_before = before.wrapping_add(moved.0) - 1;
            self.transport_header.get_or_insert(one_before);
            // pskb_expand_head: metadata does not survive another buffer.
            self.metadata = 0;
        }
        Ok(())
    }

    /// The packet's bytes have moved.
    pub(crate) fn moved(&mut self, Moved(by): Moved) {
        let shift = |address: &mut u32| *address = address.wrapping_add(by);
        shift(&mut self.network_header);
        self.mac_header.iter_mut().for_each(shift);
        self.transport_header.iter_mut().for_each(shift);
        if let Checksum::Partial { start, .. } = &mut self.checksum {
            shift(start);
        }
    }

    /// `skb_ensure_writable`: makes `len` bytes linear; false when there are fewer.
    pub(crate) fn make_writable(&mut self, len: u32) -> bool {
        let (enough, replaced) = self.frame.pull_linear(len);
        if replaced {
            self.metadata = 0;
        }
        enough
    }

    /// Takes over what the program wrote into its context.
    pub(crate) fn absorb(&mut self, memory: &Memory, context: u32) {
        context::read_skb(memory, context, self);
    }

    /// Writes the context that the program sees.
    pub(crate) fn publish(&self, memory: &mut Memory, context: u32) {
        context::write_skb(memory, context, self);
    }

    /// The addresses that packet pointers may reach.
    pub(crate) fn reach(&self) -> (u32, u32) {
        (self.frame.data() - self.metadata, self.frame.linear_end())
    }

    /// `skb_vlan_untag`: moves a VLAN tag at the front of the data beside the packet. False when the
    /// tag is cut off.
    pub(crate) fn take_vlan(&mut self, memory: &mut Memory) -> bool {
        if self.vlan.is_some() {
            return true;
        }
        if !self.make_writable(VLAN_HLEN + 2) {
            return false;
        }
        let data = self.frame.data();
        let tag = memory.raw(data, VLAN_HLEN);
        let tci = u16::from_be_bytes([tag[0], tag[1]]);
        let inner = [tag[2], tag[3]];
        self.vlan = Some(Vlan {
            protocol: self.protocol,
            tci,
        });
        self.pulled(memory, data, VLAN_HLEN);
        self.frame.pull(VLAN_HLEN);
        self.protocol = header_protocol(inner, self.frame.bytes(memory));
        if let Some(mac) = self.mac_header {
            // The addresses, and metadata before them, close the gap.
            let from = mac - self.metadata;
            let len = self.metadata + 12;
            memory.raw_copy(from, from + VLAN_HLEN, len);
            self.mac_header = Some(mac + VLAN_HLEN);
        }
        self.network_header = self.frame.data();
        self.transport_header.get_or_insert(self.network_header);
        self.reset_mac_len();
        true
    }

    /// The frame from its link-layer header on, with the VLAN tag in its place, as a wire or a
    /// packet socket has it.
    pub(crate) fn write_frame(&self, memory: &Memory, from: u32, into: &mut Vec<u8>) {
        let end = self.frame.data() + self.frame.len();
        let bytes = memory.raw(from, end - from);
        match self.vlan {
            Some(vlan) if bytes.len() >= 12 => {
                into.extend_from_slice(&bytes[..12]);
                into.extend_from_slice(&vlan.protocol.to_wire());
                into.extend_from_slice(&vlan.tci.to_be_bytes());
                into.extend_from_slice(&bytes[12..]);
            }
            _ => into.extend_from_slice(bytes),
        }
    }

    /// Guest address of the link-layer header, or of the data when there is none before it.
    pub(crate) fn link_header(&self) -> u32 {
        let data = self.frame.data();
        self.mac_header.map_or(data, |mac| mac.min(data))
    }

    /// `skb_clear_tstamp`
    pub(crate) fn clear_timestamp(&mut self) {
        (self.timestamp, self.timestamp_type) = (0, 0);
    }

    /// `skb_scrub_packet`, within a namespace.
    pub(crate) fn scrub(&mut self) {
        self.packet_type = PacketType::Host;
        self.ingress = 0;
        self.tunnel = None;
        self.routed = false;
    }

    /// The packet loads of classic BPF: `SKF_NET_OFF` and `SKF_LL_OFF` count from the headers
    /// (`bpf_internal_load_pointer_neg_helper`).
    pub(crate) fn load(&self, memory: &Memory, offset: i32, into: &mut [u8]) -> Option<()> {
        const SKF_NET_OFF: i32 = -0x0010_0000;
        const SKF_LL_OFF: i32 = -0x0020_0000;
        let len = into.len() as u32;
        let bytes = if offset >= 0 {
            self.frame.slice(memory, offset as u32, len)?
        } else {
            let start = if offset >= SKF_NET_OFF {
                self.network_header
                    .checked_add_signed(offset - SKF_NET_OFF)?
            } else if offset >= SKF_LL_OFF {
                self.mac_header?.checked_add_signed(offset - SKF_LL_OFF)?
            } else {
                return None;
            };
            let end = start.checked_add(len)?;
            if start < self.frame.head() || end > self.frame.linear_end() {
                return None;
            }
            memory.raw(start, len)
        };
        into.copy_from_slice(bytes);
        Some(())
    }
}
