//! TCP segments that are joined, and how they are cut (`net/ipv4/tcp_offload.c`, `net/core/gso.c`).

use twinpath_machine::memory::{Memory, OutOfMemory};

use super::{Checksum, ETH_HLEN, EtherType, Frame, Pool, Skb, Sum, gso};

/// TCP segments of one connection in a row as one packet in an Ethernet frame: as a sender has them that leaves it to its
/// device to cut them (TSO), or a receiver whose device has joined them (GRO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Where the TCP header begins, in bytes.
    pub transport: usize,
    /// Where the data begins.
    pub headers: usize,
    /// Bytes of data in each segment but the last (`gso_size`).
    pub size: u16,
}

/// Where the checksum is in a TCP header.
const CHECK: u32 = 16;
const TCP: u8 = 6;
const TCP_HEADER: usize = 20;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

impl Joined {
    /// How long a frame may be to be recorded, as a record of the kernel's has a length of 16 bits.
    pub const LONGEST: usize = 0xfe00;

    /// The segments in a frame, with so many bytes of data each; none where it has no more data than one has, or is not
    /// plain TCP: behind a tag or extension headers, a piece, or of another length than its header says.
    pub fn read(frame: &[u8], size: u16) -> Option<Self> {
        let headers = Self::headers(frame)?;
        let joined = Self { size, ..headers };
        (size > 0 && frame.len() > headers.headers + usize::from(size)).then_some(joined)
    }

    /// The same with as much data in each as a device with an MTU takes.
    pub fn for_mtu(frame: &[u8], mtu: u32) -> Option<Self> {
        let headers = Self::headers(frame)?.headers - ETH_HLEN as usize;
        let size = (mtu as usize).checked_sub(headers)?;
        Self::read(frame, u16::try_from(size).ok()?)
    }

    fn headers(frame: &[u8]) -> Option<Self> {
        const NETWORK: usize = ETH_HLEN as usize;
        let network = frame.get(NETWORK..)?;
        let pair = |at: usize| {
            Some(usize::from(u16::from_be_bytes(
                *network.get(at..)?.first_chunk()?,
            )))
        };
        let (ipv6, transport) = match [frame[12], frame[13]] {
            [0x08, 0x00] => {
                let header = usize::from(network.first()? & 0xf) * 4;
                let whole = pair(6)? & 0x3fff == 0 && pair(2)? == network.len();
                let tcp = *network.get(9)? == TCP;
                (
                    false,
                    Some(header).filter(|header| whole && tcp && *header >= IPV4_HEADER)?,
                )
            }
            [0x86, 0xdd] => {
                let whole = pair(4)? + IPV6_HEADER == network.len();
                let tcp = *network.get(6)? == TCP;
                (true, Some(IPV6_HEADER).filter(|_| whole && tcp)?)
            }
            _ => return None,
        };
        let header = usize::from(network.get(transport + 12)? >> 4) * 4;
        let transport = NETWORK + transport;
        let headers = transport + header;
        (header >= TCP_HEADER && frame.len() > headers).then_some(Self {
            ipv6,
            transport,
            headers,
            size: 0,
        })
    }

    /// Leaves the checksum to the device: the sum of the pseudo-header stands in its place, as it does wherever segments are
    /// joined.
    pub fn leave_checksum(&self, frame: &mut [u8]) {
        let sum = pseudo_header(frame, self.transport, self.ipv6);
        let check = self.transport + CHECK as usize;
        frame[check..check + 2].copy_from_slice(&sum.to_16().to_le_bytes());
    }
}

/// The sum of the pseudo-header of a TCP packet in a frame whose TCP header begins there.
fn pseudo_header(frame: &[u8], transport: usize, ipv6: bool) -> Sum {
    let len = (frame.len() - transport) as u32;
    let addresses = match ipv6 {
        true => &frame[transport - 32..transport],
        false => &frame[ETH_HLEN as usize + 12..ETH_HLEN as usize + 20],
    };
    let seed = Sum::of(&[0, 0, 0, TCP], Sum::of(&len.to_be_bytes(), Sum(0)));
    Sum::of(addresses, seed)
}

impl Skb {
    /// Bytes of a segment from the network header on (`skb_gso_network_seglen`).
    pub(crate) fn segment_len(&self, memory: &Memory) -> Option<u32> {
        let transport = self.transport_header?;
        let header = if self.gso.kind & (gso::TCPV4 | gso::TCPV6) != 0 {
            let offset = memory.raw(transport + 12, 1)[0] >> 4;
            u32::from(offset) * 4
        } else if self.gso.kind & gso::UDP_L4 != 0 {
            8
        } else {
            0
        };
        let network = transport.wrapping_sub(self.network_header);
        Some(network + header + u32::from(self.gso.size))
    }

    /// Whether a way with an MTU is too short for it, or for its segments (`ip_exceeds_mtu`, `ip6_pkt_too_big`). The data
    /// begins with the network header.
    pub(crate) fn exceeds(&self, memory: &Memory, mtu: u32) -> bool {
        let segments = (self.gso.size != 0)
            .then(|| self.segment_len(memory))
            .flatten();
        self.frame.len() > mtu && segments.is_none_or(|len| len > mtu)
    }

    /// `qdisc_pkt_len_init`: bytes on the wire, of all segments together. The data begins with the link-layer header.
    pub(crate) fn len_on_wire(&self, memory: &Memory) -> u32 {
        let len = self.frame.len();
        let size = u32::from(self.gso.size);
        let (Some(segment), Some(transport)) = (self.segment_len(memory), self.transport_offset())
        else {
            return len;
        };
        if size == 0 || transport < 0 {
            return len;
        }
        let network = self
            .transport_header
            .map_or(0, |at| at - self.network_header);
        let headers = transport as u32 + (segment - network - size);
        let segments = match self.gso.kind & gso::DODGY {
            0 => u32::from(self.gso.segments),
            _ => len.saturating_sub(headers).div_ceil(size),
        };
        len + segments.saturating_sub(1) * headers
    }

    /// `skb_gso_segment`: cuts segments that are joined, whose data begins with the link-layer header or, without one, with
    /// that of the network. Their checksums are filled in, or left to the device. None, for the packet is dropped, where it is
    /// not of the kind that it should be, or only one segment.
    pub(crate) fn segments(
        &self,
        pool: &mut Pool,
        memory: &mut Memory,
        filled: bool,
    ) -> Result<Option<Vec<Self>>, OutOfMemory> {
        const ROOM: u32 = 192;
        let Some(cut) = self.cut(memory, filled) else {
            return Ok(None);
        };
        let network = self.network_offset() as u32;
        let mut segments = Vec::with_capacity(cut.pieces.len());
        for (number, bytes) in cut.pieces.iter().enumerate() {
            let frame = Frame::new(pool, memory, bytes, ROOM, 0)?;
            let data = frame.data();
            segments.push(Self {
                frame,
                tunnel: self.tunnel.clone(),
                // What becomes of the first is what becomes of the packet: the others have met no hook, as copies have not.
                met: self.met.filter(|_| number == 0),
                metadata: 0,
                gso: super::Gso::default(),
                checksum: match filled {
                    true => Checksum::None,
                    false => Checksum::Partial {
                        start: data + cut.transport,
                        offset: CHECK,
                    },
                },
                mac_header: self.mac_header.map(|_| data),
                network_header: data + network,
                transport_header: Some(data + cut.transport),
                wire_len: bytes.len() as u32,
                ..*self
            });
        }
        Ok(Some(segments))
    }

    fn cut(&self, memory: &Memory, filled: bool) -> Option<Cut> {
        let whole = self.frame.bytes(memory);
        let network = usize::try_from(self.network_offset()).ok()?;
        let header = whole.get(network..)?;
        let wanted = match self.protocol {
            EtherType::IPV4 => gso::TCPV4,
            EtherType::IPV6 => gso::TCPV6,
            _ => return None,
        };
        let ipv6 = wanted == gso::TCPV6;
        let (ip, protocol) = match ipv6 {
            false => (usize::from(header.first()? & 0xf) * 4, *header.get(9)?),
            true => (IPV6_HEADER, *header.get(6)?),
        };
        let transport = network + ip;
        let headers = transport + usize::from(whole.get(transport + 12)? >> 4) * 4;
        let payload = whole.get(headers..)?;
        let size = usize::from(self.gso.size);
        let fits = self.gso.kind & !gso::DODGY == wanted && protocol == TCP;
        if !fits || headers < transport + TCP_HEADER || payload.len() <= size {
            return None;
        }
        let check = transport + CHECK as usize;
        let left = matches!(self.checksum, Checksum::Partial { .. });
        // What stands there already, less the length of the whole.
        let sum = match left {
            true => Sum::unfold(u16::from_le_bytes([whole[check], whole[check + 1]])),
            false => {
                let addresses = match ipv6 {
                    true => &header[8..40],
                    false => &header[12..20],
                };
                let len = (whole.len() - transport) as u16;
                let seed = Sum::of(&[0, TCP], Sum::of(&len.to_be_bytes(), Sum(0)));
                Sum::of(addresses, seed)
            }
        };
        let old = !((whole.len() - transport) as u16);
        let sum = Sum::of(&old.to_be_bytes(), sum);
        let last = payload.len().div_ceil(size) - 1;
        let pieces = payload.chunks(size).enumerate().map(|(number, data)| {
            let mut piece = [&whole[..headers], data].concat();
            let len = piece.len();
            head(&mut piece[network..], ipv6, number, len - network);
            let tcp = &mut piece[transport..];
            let first = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            let sequence = first.wrapping_add((number * size) as u32);
            tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
            tcp[13] &= flags_left(number == 0, number == last);
            let sum = Sum::of(&((len - transport) as u16).to_be_bytes(), sum);
            tcp[CHECK as usize..][..2].copy_from_slice(&sum.to_16().to_le_bytes());
            if filled {
                let sum = Sum::of(tcp, Sum(0)).fold();
                tcp[CHECK as usize..][..2].copy_from_slice(&sum.to_le_bytes());
            }
            piece
        });
        Some(Cut {
            pieces: pieces.collect(),
            transport: transport as u32,
        })
    }
}

struct Cut {
    /// With the headers of each.
    pieces: Vec<Vec<u8>>,
    /// Where the TCP header begins.
    transport: u32,
}

/// The IP header of a segment, which is counted from 0, in a packet of a length.
fn head(packet: &mut [u8], ipv6: bool, number: usize, len: usize) {
    if ipv6 {
        packet[4..6].copy_from_slice(&((len - IPV6_HEADER) as u16).to_be_bytes());
        return;
    }
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    let id = u16::from_be_bytes([packet[4], packet[5]]).wrapping_add(number as u16);
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    let header = usize::from(packet[0] & 0xf) * 4;
    packet[10..12].fill(0);
    let sum = Sum::of(&packet[..header], Sum(0)).fold();
    packet[10..12].copy_from_slice(&sum.to_le_bytes());
}

/// Which of TCP's flags a segment keeps: the end is at the last, and the first alone tells of a smaller window.
const fn flags_left(first: bool, last: bool) -> u8 {
    const FIN: u8 = 0x01;
    const PSH: u8 = 0x08;
    const CWR: u8 = 0x80;
    let end = if last { 0 } else { FIN | PSH };
    let reduced = if first { 0 } else { CWR };
    !(end | reduced)
}
