//! The scenario file: what may be written in it.
//!
//! Names stay names here; [`super::build`] resolves them.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use twinpath_control::{Endpoint, Known, PolicyRule, Service, Settings};

use crate::responder::Responder;

use super::bytes::Bytes;
use super::expect::{FinalExpect, OneOrMore, PacketExpect};
use super::kernel::KernelVersion;
use super::literal;
use super::network::{DeviceEntry, NodeEntry, Topology, Wire};
use super::numbers::Numbers;
use super::source::Located;
use super::time::Delay;

/// A scenario: devices with programs on them, map contents, packets, and what is expected of each packet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScenarioFile {
    /// What the scenario shows, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// The first Linux that has what the scenario is about, `6.6`; on an older one the kernel is left out. Any, if left
    /// out.
    pub kernel: Option<KernelVersion>,
    /// Seed of everything random that a program can see.
    #[serde(default)]
    pub seed: u64,
    /// The object files. Without any, the built-in datapath is used.
    #[serde(default, rename = "object")]
    pub objects: Vec<ObjectEntry>,
    /// Kubernetes manifests, relative to the scenario file: pods, nodes, policies. Each pod stands behind a device of its
    /// own on its node, unless `[[device]]`s are said; an `[[endpoint]]` that has the name of a pod is that pod.
    #[serde(default)]
    pub manifests: Vec<Located<PathBuf>>,
    /// Clusters of a mesh, in place of one that is in none: each has manifests, and a node is in the cluster whose manifests
    /// have it, or its pods.
    #[serde(default, rename = "cluster")]
    pub clusters: Vec<Located<ClusterEntry>>,
    /// The common case: alike nodes with pods.
    pub topology: Option<Located<Topology>>,
    /// Wires between devices of nodes: `[["a/eth0", "b/eth0"]]`; a switch joins more than two. Where there is none, the far end of a device is the
    /// scenario's: there frames arrive from, and there they leave to.
    #[serde(default)]
    pub wires: Vec<Located<Wire>>,
    /// What answers at the far ends of devices, by pod or by device: `{ b1 = "echo" }`. Each answer happens before the next
    /// step.
    #[serde(default)]
    pub responders: BTreeMap<Located<String>, Responder>,
    /// Nodes.
    #[serde(default, rename = "node")]
    pub nodes: Vec<NodeEntry>,
    /// The devices of the one node of a scenario that says nothing of nodes, in the order of their interface indexes.
    #[serde(default, rename = "device")]
    pub devices: Vec<DeviceEntry>,
    /// Endpoints of the built-in datapath.
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<Located<Endpoint>>,
    /// Services of the built-in datapath.
    #[serde(default, rename = "service")]
    pub services: Vec<Located<Service>>,
    /// How the built-in datapath is loaded.
    pub datapath: Option<Located<Settings>>,
    /// Who may speak with endpoints of the built-in datapath, entry by entry. With the first rule of a
    /// direction, what no rule allows that way is denied.
    #[serde(default, rename = "policy")]
    pub policies: Vec<Located<PolicyRule>>,
    /// Who addresses are that are no endpoint's of the node.
    #[serde(default)]
    pub ipcache: Vec<Located<Known>>,
    /// Source networks that the built-in datapath drops: `["198.51.100.0/24"]`.
    #[serde(default)]
    pub deny: Vec<Located<Network>>,
    /// Map contents, by the object's types or as bytes, for objects other than the built-in datapath.
    #[serde(default, rename = "map")]
    pub maps: Vec<MapEntry>,
    /// What happens, in this order.
    #[serde(rename = "step")]
    pub steps: Vec<Located<Step>>,
    /// What is expected at the end.
    #[serde(default)]
    pub expect: FinalExpect,
}

impl ScenarioFile {
    /// The manifests of all clusters.
    pub fn all_manifests(&self) -> impl Iterator<Item = &Located<PathBuf>> {
        let of_clusters = self.clusters.iter();
        let of_clusters = of_clusters.flat_map(|cluster| &cluster.value().manifests);
        self.manifests.iter().chain(of_clusters)
    }
}

/// A cluster of a mesh, as its nodes are told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClusterEntry {
    /// Its name: the label `io.cilium.k8s.policy.cluster` of its pods.
    pub name: String,
    /// Its number, which is in bits 16 to 23 of its pods' identities.
    pub id: NonZeroU8,
    /// Its Kubernetes manifests, relative to the scenario file. Its policies are for its own pods and nodes, and select their
    /// peers in all clusters.
    pub manifests: Vec<Located<PathBuf>>,
}

/// An object file and the values of its global variables.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ObjectEntry {
    /// How the rest of the scenario refers to the object; the file's name without its ending if left out.
    pub name: Option<Located<String>>,
    /// The object file, relative to the scenario file.
    pub path: Located<PathBuf>,
    /// Values of global variables, set before the object is loaded.
    #[serde(default)]
    pub globals: BTreeMap<String, Located<Bytes>>,
    /// Values of global variables that a node has for itself, by the node's name.
    #[serde(default)]
    pub node_globals: BTreeMap<Located<String>, BTreeMap<String, Located<Bytes>>>,
}

/// One entry of a map. Of an array, the key is the index: `{ u32 = 0 }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MapEntry {
    /// The map's name in the object; `object:map` when several objects have one of this name.
    pub map: Located<String>,
    /// The key.
    pub key: Located<Bytes>,
    /// The value; a per-CPU map gets it on the CPU of the run, and zeroes on the others.
    pub value: Option<Located<Bytes>>,
    /// In an array of programs, in place of a value: the program. In a map of devices, beside the value: the program that what is
    /// redirected to the device meets.
    pub program: Option<Located<String>>,
    /// The node whose map it is; each has one. If left out, all of them.
    pub node: Option<Located<String>>,
}

/// Something that happens: a frame arrives (`send` or `send-hex`), a capture is replayed (`replay`), or a task of a node
/// makes a call on a socket (`call`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// One frame as text: `tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN`, or with names: `tcp frontend:1234 > backend:80 SYN`.
    pub send: Option<Located<String>>,
    /// One frame as hex digits, from the destination MAC address on.
    #[serde(default)]
    pub send_hex: Option<Located<Hex>>,
    /// A capture, relative to the scenario file: pcap or pcapng, gzip too.
    pub replay: Option<Located<PathBuf>>,
    /// Only these packets of the capture.
    pub packets: Option<Located<Numbers>>,
    /// Bytes of data in a TCP segment: what has more of them arrives as several segments that are joined, as a sender has them
    /// that leaves it to its device to cut them (TSO), or a receiver whose device has joined them (GRO). If left out, this is so
    /// for what is longer than the device takes, with as much data in each segment as fits. Their checksum is left to the device.
    #[schemars(range(min = 1))]
    pub segment_size: Option<Located<u16>>,
    /// The device where it arrives, `eth0`, or `a/eth0` if several nodes have one of that name; not needed if there is
    /// only one.
    pub on: Option<Located<String>>,
    /// A call on a socket, or several in a row, of which all but the last must succeed:
    ///
    /// | call | what it is |
    /// |---|---|
    /// | `socket NAME tcp`, or `udp`, `tcp6`, `udp6` | opens a socket |
    /// | `set NAME reuse-address`, or `reuse-port`, `v6-only`, `broadcast`, `mark NUMBER` | `setsockopt()` |
    /// | `bind NAME ADDRESS:PORT`, `connect NAME ADDRESS:PORT` | |
    /// | `listen NAME`, `accept NAME as OTHER` | |
    /// | `send NAME TEXT`, `send NAME TEXT to ADDRESS:PORT` | `sendto()` |
    /// | `receive NAME` | `recvfrom()`, which does not wait |
    /// | `shutdown NAME receive`, or `send`, `both` | |
    /// | `put NAME in MAP KEY` | puts the socket into a sockmap or sockhash; the key is a number of 32 bits, or bytes: `0x0050` |
    /// | `getsockname NAME`, `getpeername NAME`, `disconnect NAME`, `close NAME` | |
    pub call: Option<Located<OneOrMore>>,
    /// The node whose task makes the call that opens a socket; not needed if there is only one.
    pub node: Option<Located<String>>,
    /// The pod that sends it, or whose task makes the call that opens a socket: it has a network namespace of its own then,
    /// and what its sockets send meets the programs of the node that it is on.
    pub from: Option<Located<String>>,
    /// The cluster changes: from here on it has these parts in place of those that it had.
    pub change: Option<Located<Change>>,
    /// User space takes away what has expired of the built-in datapath's connections and translations, on every node.
    #[serde(default)]
    pub collect: bool,
    /// How long after the step before: `10ms`, `6h`.
    pub after: Option<Delay>,
    /// What is expected of the packet, of each packet of the capture, or of the last call.
    #[serde(default)]
    pub expect: PacketExpect,
    /// Packets of the capture of which something else is expected. The first that fits counts, and alone.
    #[serde(default, rename = "except")]
    pub exceptions: Vec<Located<Exception>>,
}

/// Parts of a cluster that take the place of those that it had; what is left out stays. The maps of each node are then
/// made what they would be if the scenario had said so from the start, but for what programs have written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Change {
    /// Kubernetes manifests, relative to the scenario file. A pod that was in those before and is not in these is gone;
    /// one that is new has no device.
    pub manifests: Option<Vec<Located<PathBuf>>>,
    /// Clusters, with theirs.
    #[serde(rename = "cluster")]
    pub clusters: Option<Vec<Located<ClusterEntry>>>,
    /// Endpoints, of those that there were at the start.
    #[serde(rename = "endpoint")]
    pub endpoints: Option<Vec<Located<Endpoint>>>,
    /// Services.
    #[serde(rename = "service")]
    pub services: Option<Vec<Located<Service>>>,
    /// Who may speak with endpoints.
    #[serde(rename = "policy")]
    pub policies: Option<Vec<Located<PolicyRule>>>,
    /// Who addresses are.
    pub ipcache: Option<Vec<Located<Known>>>,
    /// Source networks that are dropped.
    pub deny: Option<Vec<Located<Network>>>,
}

/// Packets of a capture of which something else is expected than of the others.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exception {
    /// By number in the capture.
    pub packets: Option<Located<Numbers>>,
    /// By their fields as they arrive; all must fit.
    #[serde(default)]
    pub when: super::expect::Fields,
    /// What is expected of them.
    pub expect: PacketExpect,
}

/// Bytes as hex digits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Hex(
    #[serde(deserialize_with = "literal::hex_bytes")]
    #[schemars(with = "String")]
    pub Vec<u8>,
);

/// An address with its prefix length: `192.0.2.1/24`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Network(
    #[serde(deserialize_with = "literal::net")]
    #[schemars(with = "String")]
    pub IpNet,
);
