//! Entries that the programs keep about connections.

use twinpath_abi::{
    CtEntry, CtFlags, CtTuple, CtTupleFlags, FragmentKey, FragmentPorts, SnatEntry,
};

use super::{Fields, address, socket};

/// `tcp out 10.0.1.1:40000 -> 10.0.1.2:80`.
pub(super) fn tuple(tuple: &CtTuple) -> String {
    let flags = tuple.flags;
    let direction = if flags.has(CtTupleFlags::IN) {
        "in"
    } else {
        "out"
    };
    let service = if flags.has(CtTupleFlags::SERVICE) {
        " service"
    } else {
        ""
    };
    format!(
        "{} {direction}{service} {} -> {}",
        tuple.nexthdr,
        socket(tuple.saddr, tuple.family, tuple.sport),
        socket(tuple.daddr, tuple.family, tuple.dport),
    )
}

pub(super) fn entry(entry: &CtEntry) -> Fields {
    let mut fields = vec![
        ("packets", entry.packets.to_string()),
        ("bytes", entry.bytes.to_string()),
        ("lifetime", format!("{}s", entry.lifetime)),
        ("flags", flags(entry.flags)),
        ("sent", format!("{:#04x}", entry.tx_flags_seen)),
        ("got", format!("{:#04x}", entry.rx_flags_seen)),
        ("source-identity", entry.src_sec_id.to_string()),
    ];
    if entry.proxy_port.get() != 0 {
        fields.push(("proxy", entry.proxy_port.to_string()));
    }
    fields
}

fn flags(flags: CtFlags) -> String {
    let names = [
        (CtFlags::RX_CLOSING, "rx-closing"),
        (CtFlags::TX_CLOSING, "tx-closing"),
        (CtFlags::SEEN_NON_SYN, "seen-non-syn"),
        (CtFlags::PROXY_REDIRECT, "proxy-redirect"),
        (CtFlags::FROM_TUNNEL, "from-tunnel"),
    ];
    let set = names.into_iter().filter(|(flag, _)| flags.has(*flag));
    let set: Vec<&str> = set.map(|(_, name)| name).collect();
    if set.is_empty() {
        "none".to_owned()
    } else {
        set.join(" ")
    }
}

pub(super) fn translation(entry: &SnatEntry) -> Fields {
    vec![
        ("to", socket(entry.to_addr, entry.family, entry.to_port)),
        ("created", format!("{}ns", entry.created)),
    ]
}

pub(super) fn fragment(key: &FragmentKey) -> Fields {
    vec![
        ("", address(key.saddr, key.family)),
        ("to", address(key.daddr, key.family)),
        ("", key.proto.to_string()),
        ("id", format!("{:#x}", u32::from_be(key.id))),
    ]
}

pub(super) fn ports(ports: &FragmentPorts) -> Fields {
    vec![
        ("sport", ports.sport.to_string()),
        ("dport", ports.dport.to_string()),
    ]
}
