//! Map entries in words, for reports.
//!
//! Each function knows the maps of the datapath by name and returns `None` for another map, or for
//! bytes which are not of its size.

mod connection;
mod policy;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use ipnet::IpNet;
use twinpath_abi::{
    Address, Backend, BackendId, DeviceEndpoint, Direction, DropReason, EndpointFlags,
    EndpointInfo, EndpointKey, Family, Ifindex, MaglevTable, MasqueradeRule, MetricsKey,
    MetricsValue, PREFIX_STATIC_BITS, Port, PrefilterRule, PrefixKey, Protocol, Record,
    RemoteEndpoint, RemoteFlags, RevNatIndex, Seam, ServiceKey, ServiceValue, Verdict, map,
};

/// Named values of a record, in the record's order.
pub type Fields = Vec<(&'static str, String)>;

/// An entry on one line: the key, a colon and the value.
pub fn line(map: &str, key: &[u8], value: &[u8]) -> Option<String> {
    let key = self::key(map, key)?;
    Some(format!(
        "{}: {}",
        join(&key),
        join(&self::value(map, value)?)
    ))
}

/// A key's fields.
pub fn key(map: &str, bytes: &[u8]) -> Option<Fields> {
    Some(match map {
        map::LXC => {
            let key: EndpointKey = read(bytes)?;
            vec![("", address(key.ip, key.family))]
        }
        map::LXC_DEVICE => vec![("ifindex", read::<Ifindex>(bytes)?.to_string())],
        map::PREFILTER | map::IPCACHE | map::IPMASQ => vec![("", prefix(&read(bytes)?))],
        map::POLICY => policy::key(&read(bytes)?),
        map::CT | map::SNAT => vec![("", connection::tuple(&read(bytes)?))],
        map::FRAGMENTS => connection::fragment(&read(bytes)?),
        map::LB_SERVICES => vec![("", frontend(&read(bytes)?))],
        map::LB_BACKENDS => vec![("backend", read::<BackendId>(bytes)?.0.to_string())],
        map::LB_MAGLEV => vec![("service", read::<RevNatIndex>(bytes)?.0.to_string())],
        map::METRICS => metrics(&read(bytes)?),
        map::SEAMS => vec![("", seam(read(bytes)?))],
        _ => return None,
    })
}

/// A value's fields; of a per-CPU map, those of one CPU's value.
pub fn value(map: &str, bytes: &[u8]) -> Option<Fields> {
    Some(match map {
        map::LXC => endpoint(&read(bytes)?),
        map::LXC_DEVICE => sender(&read(bytes)?),
        map::PREFILTER => vec![("rule", read::<PrefilterRule>(bytes)?.rule.to_string())],
        map::IPCACHE => remote(&read(bytes)?),
        map::IPMASQ => vec![("rule", read::<MasqueradeRule>(bytes)?.rule.to_string())],
        map::POLICY => policy::value(&read(bytes)?),
        map::CT => connection::entry(&read(bytes)?),
        map::SNAT => connection::translation(&read(bytes)?),
        map::FRAGMENTS => connection::ports(&read(bytes)?),
        map::LB_SERVICES => service(&read(bytes)?),
        map::LB_BACKENDS => backend(&read(bytes)?),
        map::LB_MAGLEV => maglev(&read(bytes)?),
        map::METRICS => {
            let value: MetricsValue = read(bytes)?;
            vec![
                ("packets", value.count.to_string()),
                ("bytes", value.bytes.to_string()),
            ]
        }
        map::SEAMS => vec![("", read::<u64>(bytes)?.to_string())],
        _ => return None,
    })
}

/// Fields on one line. A field without a name is only its value.
pub fn join(fields: &[(&'static str, String)]) -> String {
    let mut line = String::new();
    for (name, value) in fields {
        let comma = if line.is_empty() { "" } else { ", " };
        let space = if name.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(line, "{comma}{name}{space}{value}");
    }
    line
}

fn read<T: Record>(bytes: &[u8]) -> Option<T> {
    T::read_from_bytes(bytes).ok()
}

fn address(ip: Address, family: Family) -> String {
    match ip.to_ip(family) {
        Some(ip) => ip.to_string(),
        None => format!("family {} {:02x?}", family.0, ip.octets()),
    }
}

/// An address and port, as sockets are written.
fn socket(ip: Address, family: Family, port: Port) -> String {
    match ip.to_ip(family) {
        Some(ip) => SocketAddr::new(ip, port.get()).to_string(),
        None => format!("{} port {port}", address(ip, family)),
    }
}

/// A number's name, or the number.
pub(crate) fn named(name: Option<impl fmt::Display>, number: impl fmt::Display) -> String {
    name.map_or_else(|| number.to_string(), |name| name.to_string())
}

fn prefix(key: &PrefixKey) -> String {
    let data = key.data;
    let net = data
        .ip
        .to_ip(data.family)
        .zip(key.prefix_len.checked_sub(PREFIX_STATIC_BITS))
        .and_then(|(ip, bits)| IpNet::new(ip, u8::try_from(bits).ok()?).ok());
    match net {
        Some(net) => net.to_string(),
        None => format!(
            "{} prefix {}",
            address(data.ip, data.family),
            key.prefix_len
        ),
    }
}

fn frontend(key: &ServiceKey) -> String {
    if key.proto == Protocol::ANY && key.dport.get() == 0 {
        return format!("{} any", address(key.address, key.family));
    }
    format!(
        "{}/{}",
        socket(key.address, key.family, key.dport),
        key.proto
    )
}

fn endpoint(info: &EndpointInfo) -> Fields {
    if info.flags.has(EndpointFlags::HOST) {
        let mut fields = vec![("", "the node itself".to_owned())];
        fields.extend(audit(info.flags.has(EndpointFlags::AUDIT)));
        return fields;
    }
    let mut fields = vec![
        ("endpoint", info.lxc_id.to_string()),
        ("identity", info.sec_id.to_string()),
        ("ifindex", info.ifindex.to_string()),
        ("mac", info.mac.to_string()),
        ("node-mac", info.node_mac.to_string()),
    ];
    fields.extend(audit(info.flags.has(EndpointFlags::AUDIT)));
    fields
}

/// What is said of an endpoint in audit mode.
fn audit(audit: bool) -> Option<(&'static str, String)> {
    audit.then(|| ("", "audit mode".to_owned()))
}

fn sender(sender: &DeviceEndpoint) -> Fields {
    let mut fields = vec![
        ("endpoint", sender.lxc_id.to_string()),
        ("identity", sender.sec_id.to_string()),
    ];
    for (name, family) in [("ipv4", Family::V4), ("ipv6", Family::V6)] {
        fields.extend(sender.address(family).map(|ip| (name, ip.to_string())));
    }
    fields.extend(audit(sender.flags & DeviceEndpoint::AUDIT != 0));
    fields
}

fn remote(remote: &RemoteEndpoint) -> Fields {
    let mut fields = vec![("identity", remote.sec_identity.to_string())];
    fields.extend(remote.node().map(|node| ("tunnel", node.to_string())));
    if remote.flags.has(RemoteFlags::SKIP_TUNNEL) {
        fields.push(("", "skips the tunnel".to_owned()));
    }
    if remote.flags.has(RemoteFlags::REMOTE_CLUSTER) {
        fields.push(("", "in another cluster".to_owned()));
    }
    fields
}

fn service(value: &ServiceValue) -> Fields {
    vec![
        ("service", value.rev_nat_index.0.to_string()),
        ("backends", value.count.to_string()),
    ]
}

fn backend(backend: &Backend) -> Fields {
    let socket = socket(backend.address, backend.family, backend.port);
    vec![
        ("", format!("{socket}/{}", backend.proto)),
        (
            "mac",
            if backend.mac.is_none() {
                "of the sender".to_owned()
            } else {
                backend.mac.to_string()
            },
        ),
    ]
}

/// How many slots each backend has.
fn maglev(table: &MaglevTable) -> Fields {
    let mut shares = BTreeMap::new();
    for id in table.backends {
        *shares.entry(id).or_insert(0) += 1;
    }
    shares
        .into_iter()
        .map(|(id, slots)| ("backend", format!("{} has {slots} slots", id.0)))
        .collect()
}

fn metrics(key: &MetricsKey) -> Fields {
    let verdict = Verdict::from_code(key.verdict).map(Verdict::name);
    let direction = Direction::from_code(key.dir).map(Direction::name);
    let mut fields = vec![
        ("", named(direction, key.dir)),
        ("", named(verdict, key.verdict)),
        ("ifindex", key.ifindex.to_string()),
    ];
    if key.reason != 0 {
        let reason = DropReason::from_code(key.reason);
        fields.push((
            "reason",
            format!("{} ({})", key.reason, named(reason, "unknown")),
        ));
    }
    fields
}

fn seam(index: u32) -> String {
    match index {
        index if index == Seam::Now as u32 => "now".to_owned(),
        index if index == Seam::Random as u32 => "random".to_owned(),
        index => index.to_string(),
    }
}

#[cfg(test)]
mod tests;
