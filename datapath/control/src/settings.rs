//! What the programs are told when they are loaded, as a user writes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use twinpath_abi::{self as abi, global};

use crate::entries::Device;

/// How the programs are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The gateway of the node's endpoints; the address of the device between the stack and the endpoints, if left out.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// The overlay's device, on the nodes that have one: VXLAN in external mode, by which endpoints of other nodes
    /// are reached whose ipcache entry has a tunnel. If left out, the one such device of a node.
    pub overlay: Option<String>,
    /// The device between the stack and the endpoints, on the nodes that have one. If left out, the end of a node's pair
    /// of devices that has addresses.
    pub host: Option<String>,
    /// What endpoints send to other nodes and the world goes by the node's routes without its stack.
    pub host_routing: bool,
    /// What is for an endpoint goes to the endpoint's end of its device at once.
    pub redirect_peer: bool,
    /// What leaves for the world gets the node's address.
    pub masquerade: bool,
    /// Destinations that are reached without that: addresses with their prefix lengths.
    #[schemars(with = "Vec<String>")]
    pub masquerade_except: Vec<IpNet>,
    /// The lowest and the highest port that masquerading uses; 32768 and 65535, if left out.
    pub snat_ports: Option<[u16; 2]>,
    /// The node's own policy is enforced, too: that of the policies that select it, in what it sends and receives.
    pub host_firewall: bool,
    /// The node's own policy is in audit mode: what that denies is reported and goes on.
    pub host_audit: bool,
    /// All policies are in audit mode: what they deny is reported and goes on.
    pub audit: bool,
    /// Trace events are written.
    pub trace: bool,
    /// Which trace events are left out.
    pub aggregation: Aggregation,
    /// Policy verdicts are written.
    pub policy_verdicts: bool,
    /// Debug events are written.
    pub debug: bool,
}

/// Which trace events are left out. Each level leaves out more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// None.
    #[default]
    None,
    /// Those of packets that arrive.
    Receive,
    /// And of a connection that is known, all but one every few seconds and those with a new TCP flag.
    ActiveConnections,
}

impl Aggregation {
    const fn level(self) -> abi::Aggregation {
        match self {
            Self::None => abi::Aggregation::None,
            Self::Receive => abi::Aggregation::Receive,
            Self::ActiveConnections => abi::Aggregation::ActiveConnections,
        }
    }
}

impl Settings {
    /// The names of devices that it has.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        [&self.overlay, &self.host]
            .into_iter()
            .filter_map(|name| name.as_deref())
    }

    /// The values of the load-time constants that differ from those in an object, by name, on a node with these
    /// surroundings.
    pub fn globals(&self, node: &Surroundings) -> BTreeMap<&'static str, Vec<u8>> {
        let flags = [
            (global::HOST_ROUTING, self.host_routing),
            (global::REDIRECT_PEER, self.redirect_peer),
            (global::MASQUERADE_IPV4, self.masquerade),
            (global::MASQUERADE_IPV6, self.masquerade),
            (global::HOST_FIREWALL, self.host_firewall),
            (global::AUDIT, self.audit),
            (global::TRACE_NOTIFY, self.trace),
            (global::POLICY_VERDICT_NOTIFY, self.policy_verdicts),
            (global::DEBUG, self.debug),
        ];
        let set = flags.into_iter().filter(|(_, set)| *set);
        let mut globals: BTreeMap<_, _> = set.map(|(name, _)| (name, number(1))).collect();
        if self.aggregation != Aggregation::None {
            let level = self.aggregation.level() as u32;
            globals.insert(global::AGGREGATION, number(level));
        }
        let gateway = Addresses {
            ipv4: self.gateway_ipv4.or(node.gateway.ipv4),
            ipv6: self.gateway_ipv6.or(node.gateway.ipv6),
        };
        globals.extend(gateway.globals([global::GATEWAY_IPV4, global::GATEWAY_IPV6]));
        globals.extend(
            node.addresses
                .globals([global::NODE_IPV4, global::NODE_IPV6]),
        );
        if let Some([lowest, highest]) = self.snat_ports {
            globals.insert(global::SNAT_PORT_MIN, number(lowest.into()));
            globals.insert(global::SNAT_PORT_MAX, number(highest.into()));
        }
        if let Some(overlay) = node.overlay {
            globals.insert(global::TUNNEL_IFINDEX, number(overlay.ifindex.0));
        }
        if let Some(Device { ifindex, mac }) = node.host {
            let [a, b, c, d, e, f] = mac.0;
            globals.insert(global::HOST_IFINDEX, number(ifindex.0));
            globals.insert(global::HOST_MAC, vec![a, b, c, d, e, f, 0, 0]);
        }
        globals
    }
}

fn number(number: u32) -> Vec<u8> {
    number.to_ne_bytes().to_vec()
}

/// What a node's datapath is told of the node's own network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The device of the overlay.
    pub overlay: Option<Device>,
    /// The device between the stack and the endpoints.
    pub host: Option<Device>,
    /// The gateway of the node's endpoints, if the settings name none.
    pub gateway: Addresses,
    /// The node itself.
    pub addresses: Addresses,
}

/// An address of each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of IPv4.
    pub ipv4: Option<Ipv4Addr>,
    /// Of IPv6.
    pub ipv6: Option<Ipv6Addr>,
}

impl Addresses {
    fn globals(self, names: [&'static str; 2]) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let ipv4 = self.ipv4.map(|ip| ip.octets().to_vec());
        let ipv6 = self.ipv6.map(|ip| ip.octets().to_vec());
        let known = names.into_iter().zip([ipv4, ipv6]);
        known.filter_map(|(name, bytes)| Some((name, bytes?)))
    }
}

/// The first of each family.
impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut first = Self::default();
        for address in addresses {
            match address {
                IpAddr::V4(ip) => first.ipv4 = first.ipv4.or(Some(ip)),
                IpAddr::V6(ip) => first.ipv6 = first.ipv6.or(Some(ip)),
            }
        }
        first
    }
}
