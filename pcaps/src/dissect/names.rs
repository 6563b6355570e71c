//! The names that fields can have.

/// All names of fields, in alphabetical order.
#[rustfmt::skip]
pub const NAMES: &[&str] = &[
    "ah.icv",
    "ah.length",
    "ah.next_header",
    "ah.reserved",
    "ah.sequence",
    "ah.spi",
    "ah.truncated",
    "arp.dst.hw",
    "arp.dst.hw_mac",
    "arp.dst.proto",
    "arp.dst.proto_ipv4",
    "arp.hw.size",
    "arp.hw.type",
    "arp.opcode",
    "arp.proto.size",
    "arp.proto.type",
    "arp.src.hw",
    "arp.src.hw_mac",
    "arp.src.proto",
    "arp.src.proto_ipv4",
    "arp.truncated",
    "eth.dst",
    "eth.len",
    "eth.src",
    "eth.trailer",
    "eth.truncated",
    "eth.type",
    "icmp.checksum",
    "icmp.code",
    "icmp.ident",
    "icmp.mtu",
    "icmp.pointer",
    "icmp.redir_gw",
    "icmp.seq",
    "icmp.trailer",
    "icmp.truncated",
    "icmp.type",
    "icmp.unused",
    "icmpv6.checksum",
    "icmpv6.code",
    "icmpv6.echo.identifier",
    "icmpv6.echo.sequence_number",
    "icmpv6.mldr.nb_mcast_records",
    "icmpv6.mtu",
    "icmpv6.nd.na.flag",
    "icmpv6.nd.na.target_address",
    "icmpv6.nd.ns.target_address",
    "icmpv6.nd.ra.cur_hop_limit",
    "icmpv6.nd.ra.flag",
    "icmpv6.nd.ra.reachable_time",
    "icmpv6.nd.ra.retrans_timer",
    "icmpv6.nd.ra.router_lifetime",
    "icmpv6.opt.data",
    "icmpv6.opt.length",
    "icmpv6.opt.linkaddr",
    "icmpv6.opt.type",
    "icmpv6.pointer",
    "icmpv6.rd.na.destination_address",
    "icmpv6.rd.na.target_address",
    "icmpv6.reserved",
    "icmpv6.trailer",
    "icmpv6.truncated",
    "icmpv6.type",
    "ip.checksum",
    "ip.dsfield.dscp",
    "ip.dsfield.ecn",
    "ip.dst",
    "ip.flags",
    "ip.frag_offset",
    "ip.hdr_len",
    "ip.id",
    "ip.len",
    "ip.options",
    "ip.proto",
    "ip.src",
    "ip.trailer",
    "ip.truncated",
    "ip.ttl",
    "ip.version",
    "ipv6.dst",
    "ipv6.dstopts.len",
    "ipv6.dstopts.nxt",
    "ipv6.dstopts.options",
    "ipv6.dstopts.truncated",
    "ipv6.flow",
    "ipv6.fraghdr.ident",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.reserved_bits",
    "ipv6.fraghdr.reserved_octet",
    "ipv6.fraghdr.truncated",
    "ipv6.hlim",
    "ipv6.hopopts.len",
    "ipv6.hopopts.nxt",
    "ipv6.hopopts.options",
    "ipv6.hopopts.truncated",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.routing.data",
    "ipv6.routing.len",
    "ipv6.routing.nxt",
    "ipv6.routing.segleft",
    "ipv6.routing.truncated",
    "ipv6.routing.type",
    "ipv6.src",
    "ipv6.tclass",
    "ipv6.trailer",
    "ipv6.truncated",
    "ipv6.version",
    "payload",
    "tcp.ack_raw",
    "tcp.checksum",
    "tcp.dstport",
    "tcp.flags",
    "tcp.hdr_len",
    "tcp.options",
    "tcp.seq_raw",
    "tcp.srcport",
    "tcp.truncated",
    "tcp.urgent_pointer",
    "tcp.window_size_value",
    "udp.checksum",
    "udp.dstport",
    "udp.length",
    "udp.srcport",
    "udp.truncated",
    "vlan.dei",
    "vlan.etype",
    "vlan.id",
    "vlan.priority",
    "vlan.truncated",
    "vxlan.flags",
    "vxlan.gbp",
    "vxlan.reserved8",
    "vxlan.truncated",
    "vxlan.vni",
];

/// Whether a field can have this [path](super::Field::path): a name, and from the second header of its
/// protocol on, which one it is: `ip.ttl#2`.
pub fn is_path(path: &str) -> bool {
    let name = match path.split_once('#') {
        Some((name, nth)) if nth.parse().is_ok_and(|nth: usize| nth > 1) => name,
        Some(_) => return false,
        None => path,
    };
    NAMES.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The texts of the sources that look like names of fields.
    fn in_the_sources() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dissect");
        let files = [
            "arp", "ethernet", "field", "icmp", "icmpv6", "ipv4", "ipv6", "tcp", "udp",
        ];
        let texts = files.iter().flat_map(|file| {
            let text = fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
            let quoted = text.split('"').skip(1).step_by(2);
            quoted.map(str::to_owned).collect::<Vec<_>>()
        });
        let is_name = |text: &String| {
            let allowed = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '.');
            text.contains('.') && text.chars().all(allowed)
        };
        // The protocols whose own names have a dot.
        let protocols =
            ["hopopts", "routing", "fraghdr", "dstopts"].map(|name| format!("ipv6.{name}"));
        texts
            .filter(is_name)
            .filter(|name| !protocols.contains(name))
            .chain(["payload".to_owned()])
            .collect()
    }

    #[test]
    fn the_list_has_all_names_in_order_and_no_others() {
        let listed: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed, Vec::from_iter(in_the_sources()));
    }

    #[test]
    fn paths_are_names_with_the_number_of_their_header() {
        for (path, known) in [
            ("ip.ttl", true),
            ("ip.ttl#2", true),
            ("ip.ttl#1", false),
            ("ip.ttl#0", false),
            ("ip.ttl#", false),
            ("ip.ttl#x", false),
            ("ip.tll", false),
            ("ip", false),
            ("", false),
            ("payload", true),
        ] {
            assert_eq!(is_path(path), known, "{path}");
        }
    }
}
