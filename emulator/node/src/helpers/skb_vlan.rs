//! VLAN tags: beside the packet, or in it (`skb_vlan_push`, `skb_vlan_pop` in `net/core/skbuff.c`).

use twinpath_machine::memory::Memory;
use twinpath_machine::{Call, Checked, Errno};

use super::{Answer, answer};
use crate::net::Net;
use crate::packet::{ETH_HLEN, EtherType, Skb, VLAN_HLEN, Vlan, header_protocol};

/// Bytes of both addresses.
const ADDRESSES: u32 = 12;

/// Runs `change` with the link-layer header in a complete checksum (`bpf_push_mac_rcsum`).
fn with_link_header(
    skb: &mut Skb,
    call: &mut Call<'_>,
    change: impl FnOnce(&mut Skb, &mut Memory) -> Answer,
) -> Checked<u64> {
    let memory = &mut call.machine.memory;
    if let (true, Some(mac)) = (skb.at_ingress, skb.mac_header) {
        skb.pushed(memory, mac, skb.mac_len);
    }
    let result = change(skb, memory);
    if let (true, Some(mac)) = (skb.at_ingress, skb.mac_header) {
        skb.pulled(memory, mac, skb.mac_len);
    }
    Ok(answer(result))
}

pub(super) fn push(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let protocol = EtherType::from_guest(call.arg(2) as u16);
    let vlan = Vlan {
        protocol: if protocol.is_vlan() {
            protocol
        } else {
            EtherType::VLAN
        },
        tci: call.arg(3) as u16,
    };
    let result = with_link_header(skb, call, |skb, memory| {
        if let Some(outer) = skb.vlan {
            insert_tag(skb, memory, outer)?;
        }
        skb.vlan = Some(vlan);
        Ok(0)
    });
    skb.reset_mac_len();
    result
}

/// A tag from beside the packet goes into it.
fn insert_tag(skb: &mut Skb, memory: &mut Memory, vlan: Vlan) -> Answer {
    if skb.mac_header.is_some_and(|mac| mac != skb.frame.data()) {
        return Err(Errno::EINVAL);
    }
    skb.reserve_head(memory, VLAN_HLEN)
        .map_err(|_| Errno::ENOMEM)?;
    skb.frame.insert(memory, ADDRESSES, VLAN_HLEN);
    let data = skb.frame.data();
    skb.mac_header = skb.mac_header.map(|mac| mac - VLAN_HLEN);
    let tag = memory.raw_mut(data + ADDRESSES, VLAN_HLEN);
    tag[..2].copy_from_slice(&vlan.protocol.to_wire());
    tag[2..].copy_from_slice(&vlan.tci.to_be_bytes());
    skb.protocol = vlan.protocol;
    skb.network_header -= VLAN_HLEN;
    skb.pushed(memory, data + ADDRESSES, VLAN_HLEN);
    Ok(0)
}

pub(super) fn pop(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    with_link_header(skb, call, |skb, memory| {
        if skb.vlan.take().is_none() {
            if !skb.protocol.is_vlan() {
                return Ok(0);
            }
            remove_tag(skb, memory)?;
        }
        if skb.protocol.is_vlan() {
            let protocol = skb.protocol;
            let tci = remove_tag(skb, memory)?;
            skb.vlan = Some(Vlan { protocol, tci });
        }
        Ok(0)
    })
}

/// `__skb_vlan_pop`: takes a tag out of the packet.
fn remove_tag(skb: &mut Skb, memory: &mut Memory) -> Result<u16, Errno> {
    if skb.mac_header.is_some_and(|mac| mac != skb.frame.data()) {
        return Err(Errno::EINVAL);
    }
    if !skb.make_writable(ETH_HLEN + VLAN_HLEN) {
        return Err(Errno::ENOMEM);
    }
    let data = skb.frame.data();
    skb.pulled(memory, data + ADDRESSES, VLAN_HLEN);
    let tag = memory.raw(data + ETH_HLEN, VLAN_HLEN);
    let tci = u16::from_be_bytes([tag[0], tag[1]]);
    let inner = [tag[2], tag[3]];
    memory.raw_copy(data, data + VLAN_HLEN, ADDRESSES);
    skb.frame.pull(VLAN_HLEN);
    let payload = skb.frame.bytes(memory).get(ETH_HLEN as usize..);
    skb.protocol = header_protocol(inner, payload.unwrap_or_default());
    skb.mac_header = skb.mac_header.map(|mac| mac + VLAN_HLEN);
    if skb.network_offset() < ETH_HLEN as i32 {
        skb.network_header = skb.frame.data() + ETH_HLEN;
    }
    skb.reset_mac_len();
    Ok(tci)
}
