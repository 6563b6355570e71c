//! The maps of a node as its programs see them: longest prefixes, and which of two policy entries decides.

use std::net::IpAddr;

use twinpath_control::abi::{
    Direction, EndpointId, FromBytes as _, Identity, IntoBytes as _, POLICY_FULL_BITS, PolicyData,
    PolicyEntry, PolicyFlags, PolicyKey, Port, PrefixKey, Protocol, RemoteEndpoint, map,
};
use twinpath_control::population::Population;
use twinpath_control::{Cluster, Device, Here, NodeState};

/// A node on which every pod with an address stands behind a device of its own.
pub fn node(population: &Population, here: &Here<'_>) -> NodeState {
    let pods = population
        .pods
        .iter()
        .filter(|pod| !pod.addresses.is_empty());
    let endpoints = pods.enumerate().map(|(number, pod)| {
        format!("[[endpoint]]\nname = \"{pod}\"\ndevice = \"lxc{number}\"\nmac = \"02:00:00:00:01:01\"\n")
    });
    let cluster: Cluster = toml::from_str(&endpoints.collect::<String>()).expect("a cluster");
    NodeState::new(&cluster, population, here).expect("a node")
}

/// A device for each name.
pub fn devices(name: &str) -> Option<Device> {
    let number: u32 = name.strip_prefix("lxc")?.parse().ok()?;
    Some(Device {
        ifindex: twinpath_control::abi::Ifindex(10 + number),
        mac: "02:00:00:00:00:01".parse().ok()?,
    })
}

/// A trie: what it compares as bytes, how many bits of that count, the value.
pub struct Trie<V>(Vec<(Vec<u8>, u32, V)>);

impl<V: Copy> Trie<V> {
    /// The entry with the most bits of those that agree with `data` in all of theirs.
    fn lookup(&self, data: &[u8], bits: u32) -> Option<V> {
        let agree = |key: &[u8], bits: u32| {
            (0..bits).all(|bit| {
                let (byte, mask) = (bit as usize / 8, 0x80 >> (bit % 8));
                key[byte] & mask == data[byte] & mask
            })
        };
        let fitting = self
            .0
            .iter()
            .filter(|(key, len, _)| *len <= bits && agree(key, *len));
        fitting
            .max_by_key(|(_, len, _)| *len)
            .map(|(.., value)| *value)
    }
}

pub fn policy(state: &NodeState) -> Trie<PolicyEntry> {
    let entries = state
        .entries()
        .iter()
        .filter(|entry| entry.map == map::POLICY);
    Trie(
        entries
            .map(|entry| {
                let key = PolicyKey::read_from_bytes(&entry.key).expect("a key");
                let value = PolicyEntry::read_from_bytes(&entry.value).expect("a value");
                (key.data.as_bytes().to_vec(), key.prefix_len, value)
            })
            .collect(),
    )
}

pub fn ipcache(state: &NodeState) -> Trie<RemoteEndpoint> {
    let entries = state
        .entries()
        .iter()
        .filter(|entry| entry.map == map::IPCACHE);
    Trie(
        entries
            .map(|entry| {
                let key = PrefixKey::read_from_bytes(&entry.key).expect("a key");
                let value = RemoteEndpoint::read_from_bytes(&entry.value).expect("a value");
                (key.data.as_bytes().to_vec(), key.prefix_len, value)
            })
            .collect(),
    )
}

impl Trie<PolicyEntry> {
    /// The entry that decides, as the programs find it (`datapath/ebpf/src/policy.rs`).
    pub fn decides(
        &self,
        endpoint: EndpointId,
        direction: Direction,
        identity: Identity,
        protocol: Protocol,
        port: u16,
    ) -> Option<PolicyEntry> {
        let find = |identity| {
            let data = PolicyData::new(endpoint, direction, identity, protocol, Port::new(port));
            self.lookup(data.as_bytes(), POLICY_FULL_BITS)
        };
        match (find(identity), find(Identity::UNKNOWN)) {
            (Some(own), _) if own.flags.has(PolicyFlags::DENY) => Some(own),
            (_, Some(any)) if any.flags.has(PolicyFlags::DENY) => Some(any),
            (Some(own), Some(any)) if any.lpm_prefix_length > own.lpm_prefix_length => Some(any),
            (own, any) => own.or(any),
        }
    }
}

impl Trie<RemoteEndpoint> {
    pub fn identity(&self, ip: IpAddr) -> Option<RemoteEndpoint> {
        let key = PrefixKey::new(ip, if ip.is_ipv4() { 32 } else { 128 });
        self.lookup(key.data.as_bytes(), key.prefix_len)
    }
}

pub fn allows(entry: Option<PolicyEntry>) -> bool {
    entry.is_some_and(|entry| !entry.flags.has(PolicyFlags::DENY))
}
