//! Growing and shrinking an skb, and changing its protocol.

use twinpath_machine::memory::Memory;
use twinpath_machine::{Call, Checked, Errno};

use super::{Answer, answer};
use crate::net::Net;
use crate::packet::{Checksum, EtherType, Hash, Skb, gso};

/// The longest that a helper makes an skb (`BPF_SKB_MAX_LEN`: four pages less the shared info).
const MAX_LEN: u32 = (4 << 12) - 320;
/// Bytes of an IPv4 header without options.
const IPV4_HEADER: u32 = 20;
/// Bytes of an IPv6 header.
const IPV6_HEADER: u32 = 40;

/// Flags of `bpf_skb_adjust_room` (`BPF_F_ADJ_ROOM_*`).
mod flag {
    pub(super) const FIXED_GSO: u64 = 1 << 0;
    pub(super) const ENCAP_IPV4: u64 = 1 << 1;
    pub(super) const ENCAP_IPV6: u64 = 1 << 2;
    pub(super) const ENCAP_L3: u64 = ENCAP_IPV4 | ENCAP_IPV6;
    pub(super) const ENCAP_GRE: u64 = 1 << 3;
    pub(super) const ENCAP_UDP: u64 = 1 << 4;
    pub(super) const NO_CSUM_RESET: u64 = 1 << 5;
    pub(super) const ENCAP_ETHERNET: u64 = 1 << 6;
    pub(super) const DECAP_IPV4: u64 = 1 << 7;
    pub(super) const DECAP_IPV6: u64 = 1 << 8;
    pub(super) const DECAP_L3: u64 = DECAP_IPV4 | DECAP_IPV6;
    /// The length of the inner link-layer header is in the highest byte.
    pub(super) const ENCAP_L2_SHIFT: u32 = 56;
    pub(super) const ALL: u64 = FIXED_GSO
        | ENCAP_L3
        | ENCAP_GRE
        | ENCAP_UDP
        | NO_CSUM_RESET
        | ENCAP_ETHERNET
        | DECAP_L3
        | 0xff << ENCAP_L2_SHIFT;
    pub(super) const SHRINK: u64 = FIXED_GSO | DECAP_L3 | NO_CSUM_RESET;
}

/// `skb_mac_header_len`: bytes from the link-layer header to the network header.
fn mac_header_len(skb: &Skb) -> u32 {
    skb.network_header
        .wrapping_sub(skb.mac_header.unwrap_or(skb.network_header))
}

/// `bpf_skb_net_hdr_push`: `len` zeroes behind the first `at` bytes.
fn insert(skb: &mut Skb, memory: &mut Memory, at: u32, len: u32) {
    let follows = skb.transport_header == Some(skb.network_header);
    skb.frame.insert(memory, at, len);
    skb.mac_header = skb.mac_header.map(|mac| mac.wrapping_sub(len));
    skb.network_header -= len;
    if follows {
        skb.transport_header = Some(skb.network_header);
    }
}

/// `bpf_skb_net_hdr_pop`: takes out `len` bytes behind the first `at`.
fn remove(skb: &mut Skb, memory: &mut Memory, at: u32, len: u32) -> Result<(), Errno> {
    let follows = skb.transport_header == Some(skb.network_header);
    if !skb.make_writable(at + len) {
        return Err(Errno::ENOMEM);
    }
    let from = skb.frame.data() + at;
    // The sum is of the bytes before they move, with the data already behind them.
    let data = skb.frame.data();
    skb.frame.pull(len);
    skb.pulled(memory, from, len);
    memory.raw_copy(data, data + len, at);
    skb.mac_header = skb.mac_header.map(|mac| mac.wrapping_add(len));
    skb.network_header += len;
    if follows {
        skb.transport_header = Some(skb.network_header);
    }
    Ok(())
}

pub(super) fn change_protocol(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    if call.arg(3) != 0 {
        return Ok(Errno::EINVAL.into());
    }
    let to = EtherType::from_guest(call.arg(2) as u16);
    let memory = &mut call.machine.memory;
    Ok(answer(match (skb.protocol, to) {
        (EtherType::IPV4, EtherType::IPV6) => ipv4_to_ipv6(skb, memory),
        (EtherType::IPV6, EtherType::IPV4) => ipv6_to_ipv4(skb, memory),
        _ => Err(Errno::ENOTSUPP),
    }))
}

/// `bpf_skb_proto_4_to_6`.
fn ipv4_to_ipv6(skb: &mut Skb, memory: &mut Memory) -> Answer {
    let more = IPV6_HEADER - IPV4_HEADER;
    let at = mac_header_len(skb);
    skb.reserve_head(memory, more)?;
    insert(skb, memory, at, more);
    retype(skb, EtherType::IPV6, gso::TCPV4, gso::TCPV6);
    Ok(0)
}

/// `bpf_skb_proto_6_to_4`.
fn ipv6_to_ipv4(skb: &mut Skb, memory: &mut Memory) -> Answer {
    let at = mac_header_len(skb);
    remove(skb, memory, at, IPV6_HEADER - IPV4_HEADER)?;
    retype(skb, EtherType::IPV4, gso::TCPV6, gso::TCPV4);
    Ok(0)
}

fn retype(skb: &mut Skb, to: EtherType, old: u32, new: u32) {
    if skb.gso.size != 0 {
        if skb.gso.kind & old != 0 {
            skb.gso.kind = skb.gso.kind & !old | new;
        }
        skb.gso.kind |= gso::DODGY;
    }
    set_protocol(skb, to);
    skb.hash = Hash::default();
}

/// `bpf_skb_change_protocol`: a route that was found for the packet is not one any more.
fn set_protocol(skb: &mut Skb, to: EtherType) {
    skb.protocol = to;
}

pub(super) fn adjust(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let (by, mode, flags) = (call.arg(2) as i32, call.arg(3) as u32, call.arg(4));
    let memory = &mut call.machine.memory;
    let result = adjust_room(skb, memory, by, mode, flags);
    if result.is_ok() && flags & flag::NO_CSUM_RESET == 0 {
        skb.reset_checksum();
    }
    Ok(answer(result))
}

fn adjust_room(skb: &mut Skb, memory: &mut Memory, by: i32, mode: u32, flags: u64) -> Answer {
    const MAX: u32 = 0xfff;
    const MODE_NET: u32 = 0;
    const MODE_MAC: u32 = 1;
    let (len, shrink) = (by.unsigned_abs(), by < 0);
    if flags & !flag::ALL != 0 {
        return Err(Errno::EINVAL);
    }
    if len > MAX {
        return Err(Errno::EFAULT);
    }
    let base = match skb.protocol {
        EtherType::IPV4 => IPV4_HEADER,
        EtherType::IPV6 => IPV6_HEADER,
        _ => return Err(Errno::ENOTSUPP),
    };
    let at = match mode {
        MODE_NET => mac_header_len(skb) + base,
        MODE_MAC => mac_header_len(skb),
        _ => return Err(Errno::ENOTSUPP),
    };
    let shortest = match flags & flag::DECAP_L3 {
        0 => base,
        _ if !shrink => return Err(Errno::EINVAL),
        flag::DECAP_IPV4 => IPV4_HEADER,
        flag::DECAP_IPV6 => IPV6_HEADER,
        _ => return Err(Errno::EINVAL),
    };
    let network = skb.frame.len().wrapping_sub(skb.network_offset() as u32);
    let fits = if shrink {
        len < network && network - len >= shortest
    } else {
        skb.frame.len() + len <= MAX_LEN || skb.gso.size != 0
    };
    if !fits {
        return Err(Errno::ENOTSUPP);
    }
    if shrink {
        shrink_room(skb, memory, at, len, flags)
    } else {
        grow_room(skb, memory, at, len, flags)
    }
}

/// Datagrams are told apart by their size, which must not change.
fn check_gso(skb: &Skb, flags: u64) -> Result<(), Errno> {
    let is_gso = skb.gso.size != 0;
    let tcp = skb.gso.kind & (gso::TCPV4 | gso::TCPV6) != 0;
    let fixed_udp = skb.gso.kind & gso::UDP_L4 != 0 && flags & flag::FIXED_GSO != 0;
    if is_gso && !tcp && !fixed_udp {
        return Err(Errno::ENOTSUPP);
    }
    Ok(())
}

/// `bpf_skb_net_grow`.
fn grow_room(skb: &mut Skb, memory: &mut Memory, at: u32, len: u32, flags: u64) -> Answer {
    let encap = flags & flag::ENCAP_L3 != 0;
    check_gso(skb, flags)?;
    skb.reserve_head(memory, len)?;
    if encap {
        check_encap(skb, len, flags)?;
    }
    let mac_len = mac_header_len(skb);
    insert(skb, memory, at, len);
    let mut kind = gso::DODGY;
    if encap {
        kind |= encapsulate(skb, mac_len, flags);
    }
    if skb.gso.size != 0 {
        skb.gso.kind |= kind;
        skb.gso.segments = 0;
        if flags & flag::FIXED_GSO == 0 {
            skb.gso.size = skb.gso.size.wrapping_sub(len as u16);
        }
    }
    Ok(0)
}

fn check_encap(skb: &Skb, len: u32, flags: u64) -> Result<(), Errno> {
    const ETH_HLEN: u64 = 14;
    let both = |mask: u64| flags & mask == mask;
    let inner_mac = flags >> flag::ENCAP_L2_SHIFT;
    if skb.protocol != EtherType::IPV4 && skb.protocol != EtherType::IPV6 {
        return Err(Errno::ENOTSUPP);
    }
    if both(flag::ENCAP_L3) || both(flag::ENCAP_GRE | flag::ENCAP_UDP) {
        return Err(Errno::EINVAL);
    }
    if flags & flag::ENCAP_ETHERNET != 0 && inner_mac < ETH_HLEN {
        return Err(Errno::EINVAL);
    }
    if skb.encapsulation {
        return Err(Errno::EALREADY);
    }
    if inner_mac > u64::from(len) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Marks the packet as encapsulated; the kind of offload that this asks for.
fn encapsulate(skb: &mut Skb, mac_len: u32, flags: u64) -> u32 {
    let ipv6 = flags & flag::ENCAP_IPV6 != 0;
    skb.encapsulation = true;
    skb.network_header = skb.frame.data() + mac_len;
    if flags & (flag::ENCAP_GRE | flag::ENCAP_UDP) != 0 {
        let header = if ipv6 { IPV6_HEADER } else { IPV4_HEADER };
        skb.transport_header = Some(skb.frame.data() + mac_len + header);
    }
    match skb.protocol {
        EtherType::IPV4 if ipv6 => set_protocol(skb, EtherType::IPV6),
        EtherType::IPV6 if !ipv6 => set_protocol(skb, EtherType::IPV4),
        _ => {}
    }
    if flags & flag::ENCAP_UDP != 0 {
        gso::UDP_TUNNEL
    } else if flags & flag::ENCAP_GRE != 0 {
        gso::GRE
    } else if ipv6 {
        gso::IPXIP6
    } else {
        gso::IPXIP4
    }
}

/// `bpf_skb_net_shrink`.
fn shrink_room(skb: &mut Skb, memory: &mut Memory, at: u32, len: u32, flags: u64) -> Answer {
    if flags & !flag::SHRINK != 0 {
        return Err(Errno::EINVAL);
    }
    check_gso(skb, flags)?;
    remove(skb, memory, at, len)?;
    match skb.protocol {
        EtherType::IPV4 if flags & flag::DECAP_IPV6 != 0 => set_protocol(skb, EtherType::IPV6),
        EtherType::IPV6 if flags & flag::DECAP_IPV4 != 0 => set_protocol(skb, EtherType::IPV4),
        _ => {}
    }
    if skb.gso.size != 0 {
        if flags & flag::FIXED_GSO == 0 {
            skb.gso.size = skb.gso.size.wrapping_add(len as u16);
        }
        skb.gso.kind |= gso::DODGY;
        skb.gso.segments = 0;
    }
    Ok(0)
}

/// `__bpf_skb_min_len`: the headers that are known may not be cut off.
fn shortest(skb: &Skb) -> u32 {
    let mut shortest = skb.network_offset().max(0);
    if let Some(offset) = skb.transport_offset().filter(|offset| *offset > 0) {
        shortest = offset;
    }
    if let Checksum::Partial { start, offset } = skb.checksum {
        let start = start.wrapping_sub(skb.frame.data()) as i32;
        let end = start + offset as i32 + 2;
        if end > 0 {
            shortest = end;
        }
    }
    shortest as u32
}

pub(super) fn change_tail(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let (len, flags) = (call.arg(2) as u32, call.arg(3));
    if flags != 0 || len > MAX_LEN || len < shortest(skb) {
        return Ok(Errno::EINVAL.into());
    }
    if skb.encapsulation {
        return Ok(Errno::ENOTSUPP.into());
    }
    skb.make_writable(skb.frame.len());
    if len != skb.frame.len() {
        if skb.checksum == Checksum::Complete {
            skb.checksum = Checksum::None;
        }
        skb.resize(&mut call.machine.memory, len);
    }
    if skb.gso.size != 0 {
        skb.gso = Default::default();
    }
    Ok(0)
}

pub(super) fn change_head(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let (more, flags) = (call.arg(2) as u32, call.arg(3));
    let len = skb.frame.len().checked_add(more);
    let fits = len.is_some_and(|len| len <= MAX_LEN || skb.gso.size != 0);
    if flags != 0 || more > i32::MAX as u32 || !fits {
        return Ok(Errno::EINVAL.into());
    }
    let memory = &mut call.machine.memory;
    if let Err(errno) = skb.reserve_head(memory, more) {
        return Ok(errno.into());
    }
    skb.frame.push(more);
    memory.raw_mut(skb.frame.data(), more).fill(0);
    skb.mac_header = Some(skb.frame.data());
    skb.reset_mac_len();
    Ok(0)
}
