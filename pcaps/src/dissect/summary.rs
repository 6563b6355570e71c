//! A frame in a line.

use std::fmt::Write;

use super::dissect;
use super::field::{ChecksumState, Field, Protocol};

/// A frame in a line, in tcpdump's manner: `10.0.0.1:1234 > 10.0.0.2:80 tcp SYN ttl 64`.
///
/// A VLAN tag stands before, what a tunnel carries or an ICMP error quotes behind in braces. Wrong
/// checksums and headers that are cut short are named at the end.
pub fn summary(frame: &[u8]) -> String {
    let fields = dissect(frame);
    let mut layers = Layers::new(&fields);
    let mut line = layers.frame();
    let wrong: Vec<String> = fields
        .iter()
        .filter(|field| matches!(field.checksum, Some(ChecksumState::Wrong { .. })))
        .map(Field::path)
        .collect();
    if !wrong.is_empty() {
        let _ = write!(line, " [wrong {}]", wrong.join(", "));
    }
    for field in &fields {
        if field.name.ends_with(".truncated") {
            let _ = write!(line, " [{}]", field.path());
        }
    }
    line
}

/// The headers of a frame, of which some were told already.
struct Layers<'a> {
    layers: Vec<Layer<'a>>,
    at: usize,
}

#[derive(Clone)]
struct Layer<'a> {
    protocol: Protocol,
    fields: Vec<&'a Field>,
}

impl<'a> Layer<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(&field.value)
    }

    /// A value, with a word before it; nothing when the header is too short to have it.
    fn with(&self, word: &str, name: &str) -> String {
        self.get(name)
            .map_or(String::new(), |value| format!("{word}{value}"))
    }

    /// The name in parentheses of a value such as `3 (port)`; the value if it has none.
    fn label(&self, name: &str) -> &'a str {
        let value = self.get(name).unwrap_or_default();
        let named = value.split_once('(').map(|(_, name)| name);
        named.map_or(value, |name| name.trim_end_matches(')'))
    }
}

impl<'a> Layers<'a> {
    fn new(fields: &'a [Field]) -> Self {
        let mut layers: Vec<Layer<'a>> = Vec::new();
        let mut last = None;
        let mut sorted: Vec<&Field> = fields.iter().collect();
        sorted.sort_by_key(|field| field.layer);
        for field in sorted {
            if last != Some(field.layer) {
                last = Some(field.layer);
                layers.push(Layer {
                    protocol: field.protocol,
                    fields: Vec::new(),
                });
            }
            if let Some(layer) = layers.last_mut() {
                layer.fields.push(field);
            }
        }
        Self { layers, at: 0 }
    }

    fn peek(&self) -> Option<Protocol> {
        self.layers.get(self.at).map(|layer| layer.protocol)
    }

    fn next_if(&mut self, wanted: &[Protocol]) -> Option<Layer<'a>> {
        let layer = self.layers.get(self.at)?;
        wanted.contains(&layer.protocol).then(|| {
            self.at += 1;
            layer.clone()
        })
    }

    fn frame(&mut self) -> String {
        let Some(eth) = self.next_if(&[Protocol::Eth]) else {
            return "empty frame".to_owned();
        };
        let mut line = String::new();
        while let Some(tag) = self.next_if(&[Protocol::Vlan]) {
            line += &tag.with("vlan ", "vlan.id");
            line.push(' ');
        }
        match self.peek() {
            Some(Protocol::Ip | Protocol::Ipv6) => line += &self.packet(),
            Some(Protocol::Arp) => line += &self.arp(),
            _ => line += &self.other(&eth),
        }
        line
    }

    fn other(&mut self, eth: &Layer<'_>) -> String {
        let [source, destination] = ["eth.src", "eth.dst"].map(|name| eth.get(name).unwrap_or("?"));
        let kind = eth.with(" ethertype ", "eth.type");
        format!("{source} > {destination}{kind}{}", self.len())
    }

    fn arp(&mut self) -> String {
        let Some(arp) = self.next_if(&[Protocol::Arp]) else {
            return String::new();
        };
        let field = |name| arp.get(name).unwrap_or("?");
        let (sender, target) = (field("arp.src.proto_ipv4"), field("arp.dst.proto_ipv4"));
        match arp.label("arp.opcode") {
            "request" => format!("arp who-has {target} tell {sender}"),
            "reply" => format!("arp {sender} is-at {}", field("arp.src.hw_mac")),
            other => format!("arp opcode {other}"),
        }
    }

    /// An IP packet, and what is in it.
    fn packet(&mut self) -> String {
        let Some(ip) = self.next_if(&[Protocol::Ip, Protocol::Ipv6]) else {
            return String::new();
        };
        let is_v4 = ip.protocol == Protocol::Ip;
        let names = match is_v4 {
            true => ["ip.src", "ip.dst"],
            false => ["ipv6.src", "ipv6.dst"],
        };
        let ends = names.map(|name| ip.get(name).unwrap_or("?"));
        let mut fragment = fragment(&ip, ["ip.frag_offset", "ip.flags", "ip.id"]);
        let mut number = match is_v4 {
            true => ip.label("ip.proto"),
            false => ip.label("ipv6.nxt"),
        };
        while let Some((extension, next)) = self.extension() {
            number = next;
            if extension.protocol == Protocol::Ipv6Fragment {
                let names = ["offset", "more", "ident"].map(|it| format!("ipv6.fraghdr.{it}"));
                fragment += &self::fragment(&extension, names.each_ref().map(String::as_str));
            }
        }
        let ttl = match is_v4 {
            true => ip.with(" ttl ", "ip.ttl"),
            false => ip.with(" ttl ", "ipv6.hlim"),
        };
        let (line, inner) = self.transport(ends, number);
        format!("{line}{ttl}{fragment}{}{inner}", self.len())
    }

    /// An extension header, and the protocol that it tells.
    fn extension(&mut self) -> Option<(Layer<'a>, &'a str)> {
        let names = [
            (Protocol::Ipv6HopByHop, "ipv6.hopopts.nxt"),
            (Protocol::Ipv6Routing, "ipv6.routing.nxt"),
            (Protocol::Ipv6Fragment, "ipv6.fraghdr.nxt"),
            (Protocol::Ipv6Destination, "ipv6.dstopts.nxt"),
            (Protocol::Ah, "ah.next_header"),
        ];
        let (_, name) = names
            .into_iter()
            .find(|(protocol, _)| self.peek() == Some(*protocol))?;
        let layer = self.layers.get(self.at)?.clone();
        self.at += 1;
        let next = layer.label(name);
        Some((layer, next))
    }

    /// The ends and the transport header; and what is inside, in braces.
    fn transport(&mut self, ends: [&str; 2], number: &str) -> (String, String) {
        let [source, destination] = ends;
        let transports = [
            Protocol::Tcp,
            Protocol::Udp,
            Protocol::Icmp,
            Protocol::Icmpv6,
        ];
        let Some(layer) = self.next_if(&transports) else {
            let line = format!("{source} > {destination} {number}");
            let inner = match self.peek() {
                Some(Protocol::Ip | Protocol::Ipv6) => format!(" {{ {} }}", self.packet()),
                _ => String::new(),
            };
            return (line, inner);
        };
        match layer.protocol {
            Protocol::Tcp => {
                let ends = with_ports(ends, &layer, ["tcp.srcport", "tcp.dstport"]);
                (
                    format!("{ends} tcp{}", layer.with(" ", "tcp.flags")),
                    String::new(),
                )
            }
            Protocol::Udp => {
                let ends = with_ports(ends, &layer, ["udp.srcport", "udp.dstport"]);
                match self.next_if(&[Protocol::Vxlan]) {
                    None => (format!("{ends} udp"), String::new()),
                    Some(vxlan) => (
                        format!("{ends} vxlan{}", vxlan.with(" vni ", "vxlan.vni")),
                        format!(" {{ {} }}", self.frame()),
                    ),
                }
            }
            _ => {
                let line = format!("{source} > {destination} {}", icmp(&layer));
                let inner = match self.peek() {
                    Some(Protocol::Ip | Protocol::Ipv6) => format!(" {{ {} }}", self.packet()),
                    _ => String::new(),
                };
                (line, inner)
            }
        }
    }

    /// The length of the payload, if one comes.
    fn len(&mut self) -> String {
        match self.next_if(&[Protocol::Payload]) {
            None => String::new(),
            Some(payload) => {
                let bytes: usize = payload.fields.iter().map(|it| it.bytes().len()).sum();
                format!(" len {bytes}")
            }
        }
    }
}

fn with_ports(ends: [&str; 2], layer: &Layer<'_>, names: [&str; 2]) -> String {
    let [source, destination] = [0, 1].map(|end| match layer.get(names[end]) {
        None => ends[end].to_owned(),
        Some(port) if ends[end].contains(':') => format!("[{}]:{port}", ends[end]),
        Some(port) => format!("{}:{port}", ends[end]),
    });
    format!("{source} > {destination}")
}

/// `frag 1480 more ipid 0x1234`, if it is one.
fn fragment(layer: &Layer<'_>, [offset, more, id]: [&str; 3]) -> String {
    let more = layer
        .get(more)
        .is_some_and(|value| value == "1" || value.contains("MF"));
    match (layer.get(offset), more) {
        (None, _) | (Some("0"), false) => String::new(),
        (Some(offset), more) => {
            let more = if more { " more" } else { "" };
            format!(" frag {offset}{more}{}", layer.with(" ipid ", id))
        }
    }
}

/// Type, code and what matters most of the rest.
fn icmp(layer: &Layer<'_>) -> String {
    let is_v4 = layer.protocol == Protocol::Icmp;
    let (mut line, code) = match is_v4 {
        true => (
            format!("icmp {}", layer.label("icmp.type")),
            layer.get("icmp.code").map(|_| layer.label("icmp.code")),
        ),
        false => (
            format!("icmp6 {}", layer.label("icmpv6.type")),
            layer.get("icmpv6.code").map(|_| layer.label("icmpv6.code")),
        ),
    };
    if let Some(code) = code.filter(|code| *code != "0") {
        let _ = write!(line, " {code}");
    }
    let rest = [
        (" id ", "icmp.ident"),
        (" seq ", "icmp.seq"),
        (" id ", "icmpv6.echo.identifier"),
        (" seq ", "icmpv6.echo.sequence_number"),
        (" mtu ", "icmp.mtu"),
        (" mtu ", "icmpv6.mtu"),
        (" to ", "icmp.redir_gw"),
        (" ", "icmpv6.nd.ns.target_address"),
        (" ", "icmpv6.nd.na.target_address"),
    ];
    for (word, name) in rest {
        line += &layer.with(word, name);
    }
    line
}
