//! What the programs are told when they are loaded, as a user writes it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::Deserialize;
use twinpath_abi::{self as abi, global};

use crate::entries::Device;

/// How the programs are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The gateway of the node's endpoints.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// The overlay's device, on the nodes that have one: VXLAN in external mode, by which endpoints of other nodes
    /// are reached whose ipcache entry has a tunnel.
    pub overlay: Option<String>,
    /// The device between the stack and the endpoints, on the nodes that have one.
    pub host: Option<String>,
    /// What endpoints send to other nodes and the world goes by the node's routes without its stack.
    pub host_routing: bool,
    /// What is for an endpoint goes to the endpoint's end of its device at once.
    pub redirect_peer: bool,
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

    /// The values of the load-time constants that differ from those in the object, by name, on a node with these
    /// devices.
    pub fn globals(
        &self,
        devices: &dyn Fn(&str) -> Option<Device>,
    ) -> BTreeMap<&'static str, Vec<u8>> {
        let number = |number: u32| number.to_ne_bytes().to_vec();
        let flags = [
            (global::HOST_ROUTING, self.host_routing),
            (global::REDIRECT_PEER, self.redirect_peer),
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
        let v4 = self.gateway_ipv4.map(|ip| ip.octets().to_vec());
        let v6 = self.gateway_ipv6.map(|ip| ip.octets().to_vec());
        let gateways = [(global::GATEWAY_IPV4, v4), (global::GATEWAY_IPV6, v6)];
        let given = gateways.into_iter();
        globals.extend(given.filter_map(|(name, bytes)| Some((name, bytes?))));
        let find = |name: &Option<String>| name.as_deref().and_then(devices);
        if let Some(overlay) = find(&self.overlay) {
            globals.insert(global::TUNNEL_IFINDEX, number(overlay.ifindex.0));
        }
        if let Some(Device { ifindex, mac }) = find(&self.host) {
            let [a, b, c, d, e, f] = mac.0;
            globals.insert(global::HOST_IFINDEX, number(ifindex.0));
            globals.insert(global::HOST_MAC, vec![a, b, c, d, e, f, 0, 0]);
        }
        globals
    }
}
