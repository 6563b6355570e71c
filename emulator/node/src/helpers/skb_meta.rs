//! What stands beside an skb: hash, type, time stamp, congestion mark.

use twinpath_machine::memory::Memory;
use twinpath_machine::{Call, Checked, Errno};

use crate::net::Net;
use crate::packet::checksum::{Sum, add_16};
use crate::packet::{Checksum, EtherType, Hash, PacketType, Skb, flow};

/// `bpf_get_hash_recalc`. The kernel's hash has a random key; this one has none.
pub(super) fn hash(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    if !skb.hash.known {
        skb.hash = flow::hash(skb, &call.machine.memory);
    }
    Ok(u64::from(skb.hash.value))
}

pub(super) fn invalidate_hash(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    skb.hash = Hash::default();
    Ok(0)
}

pub(super) fn set_hash(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    skb.hash = Hash {
        value: call.arg(2) as u32,
        known: true,
    };
    Ok(0)
}

pub(super) fn change_type(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let Some(to) = PacketType::from_number(call.arg(2) as u32) else {
        return Ok(Errno::EINVAL.into());
    };
    skb.packet_type = to;
    Ok(0)
}

pub(super) fn set_timestamp(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    const REALTIME: u32 = 0;
    const MONOTONIC: u32 = 1;
    const TAI: u32 = 2;
    call.context(1)?;
    let (timestamp, clock) = (call.arg(2), call.arg(3) as u32);
    if skb.protocol != EtherType::IPV4 && skb.protocol != EtherType::IPV6 {
        return Ok(Errno::EOPNOTSUPP.into());
    }
    match clock {
        REALTIME => {}
        MONOTONIC | TAI if timestamp != 0 => {}
        _ => return Ok(Errno::EINVAL.into()),
    }
    skb.timestamp = timestamp;
    skb.timestamp_type = clock as u8;
    Ok(0)
}

/// `bpf_skb_ecn_set_ce`: 1 when the packet says "congestion experienced" afterwards.
pub(super) fn set_ce(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let memory = &mut call.machine.memory;
    let at = skb.network_header;
    let done = match skb.protocol_behind_tags(memory) {
        EtherType::IPV4 if skb.frame.linear() >= 20 => ce_ipv4(skb, memory, at),
        EtherType::IPV6 if skb.frame.linear() >= 40 => ce_ipv6(skb, memory, at),
        _ => false,
    };
    Ok(u64::from(done))
}

const ECN: u8 = 3;

/// `IP_ECN_set_ce`.
fn ce_ipv4(skb: &Skb, memory: &mut Memory, at: u32) -> bool {
    if !skb.has(at, 20) {
        return false;
    }
    let header = memory.raw_mut(at, 20);
    let ecn = header[1] & ECN;
    if ecn == 0 || ecn == ECN {
        return ecn == ECN;
    }
    let check = u16::from_le_bytes([header[10], header[11]]);
    let difference = u16::from(ECN - ecn).to_be();
    header[10..12].copy_from_slice(&add_16(check, !difference).to_le_bytes());
    header[1] |= ECN;
    true
}

/// `IP6_ECN_set_ce`.
fn ce_ipv6(skb: &mut Skb, memory: &mut Memory, at: u32) -> bool {
    if !skb.has(at, 40) {
        return false;
    }
    let header = memory.raw_mut(at, 4);
    let ecn = header[1] >> 4 & ECN;
    if ecn == 0 {
        return false;
    }
    let from = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    header[1] |= ECN << 4;
    let to = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if skb.checksum == Checksum::Complete {
        skb.sum = skb.sum.sub(Sum(from)).add(Sum(to));
    }
    true
}

/// `bpf_get_cgroup_classid`, `bpf_skb_cgroup_classid`, `bpf_get_route_realm`: the numbers that old tc classifiers and routes give
/// to packets; there are none here, and then the kernel says 0.
pub(super) fn no_class(_skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(0)
}
