//! What the programs are told when they are loaded, as a user writes it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::Deserialize;
use twinpath_abi::{self as abi, global};

/// How the programs are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The gateway of the node's endpoints.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub gateway_ipv6: Option<Ipv6Addr>,
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
    /// The values of the load-time constants that differ from those in the object, by name.
    pub fn globals(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let number = |number: u32| number.to_ne_bytes().to_vec();
        let flags = [
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
        globals
    }
}
