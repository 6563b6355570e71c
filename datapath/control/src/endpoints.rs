//! Endpoints: who they are, and their entries of `lxc` and `lxc_device`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use twinpath_abi::{
    Address, DeviceEndpoint, EndpointFlags, EndpointId, EndpointInfo, EndpointKey, Identity, Mac,
    map,
};

use crate::entries::{Device, Entry};
use crate::model::{Endpoint, PolicyRule, Problem};
use crate::policy::{DIRECTIONS, PolicyMap};
use crate::population::{Pod, PodName, Population};

/// An endpoint, whether a scenario describes it or it is a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What users call it: of a pod, `NAMESPACE/NAME`.
    pub name: String,
    /// The node that it is on, if nodes have names.
    pub node: Option<String>,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Who it is to others.
    pub identity: Identity,
    /// Who may speak with it; of a described endpoint, without its rules.
    pub policy: PolicyMap,
}

/// An endpoint of the node, behind a device of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// Who it is.
    pub member: Member,
    /// Its number on the node.
    pub id: EndpointId,
    /// The node's end of its device pair.
    pub device: Device,
    /// Its own Ethernet address.
    pub mac: Mac,
    /// Whether what its policy denies is only reported.
    pub audit: bool,
}

impl Member {
    /// Who an endpoint of the model is.
    pub(crate) fn new(
        endpoint: &Endpoint,
        rules: &[PolicyRule],
        population: &Population,
    ) -> Result<Self, Problem> {
        let mut rules = rules.iter().filter(|rule| rule.endpoint == endpoint.name);
        match population.pod(&endpoint.name) {
            Ok(_) if rules.next().is_some() => Err(Problem::PodHas("policy")),
            Ok(pod) => Self::from_pod(endpoint, pod, population),
            Err(PodName::Several(names)) => Err(Problem::SeveralPods(names.join(", "))),
            Err(PodName::None) => Self::described(endpoint, rules),
        }
    }

    fn described<'a>(
        endpoint: &Endpoint,
        rules: impl Iterator<Item = &'a PolicyRule>,
    ) -> Result<Self, Problem> {
        let ruled: Vec<_> = rules.map(|rule| rule.direction.number()).collect();
        let open = DIRECTIONS.into_iter().filter(|way| !ruled.contains(way));
        if endpoint.ipv4.is_none() && endpoint.ipv6.is_none() {
            return Err(Problem::NoAddress);
        }
        Ok(Self {
            name: endpoint.name.clone(),
            node: endpoint.node.clone(),
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
            identity: Identity(endpoint.identity.ok_or(Problem::NoIdentity)?),
            policy: PolicyMap::open(open),
        })
    }

    fn from_pod(endpoint: &Endpoint, pod: &Pod, population: &Population) -> Result<Self, Problem> {
        let given = [
            ("ipv4", endpoint.ipv4.is_some()),
            ("ipv6", endpoint.ipv6.is_some()),
            ("identity", endpoint.identity.is_some()),
        ];
        if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Problem::PodHas(name));
        }
        if pod.host_network {
            return Err(Problem::HostNetwork);
        }
        if pod.addresses.is_empty() {
            return Err(Problem::PodWithoutAddress);
        }
        if let (Some(here), Some(there)) = (&endpoint.node, &pod.node)
            && here != there
        {
            return Err(Problem::OtherNode(there.clone()));
        }
        let addresses = pod.addresses.iter();
        Ok(Self {
            name: pod.to_string(),
            node: pod.node.clone().or_else(|| endpoint.node.clone()),
            ipv4: addresses.clone().find_map(|ip| match ip {
                IpAddr::V4(ip) => Some(*ip),
                IpAddr::V6(_) => None,
            }),
            ipv6: addresses.clone().find_map(|ip| match ip {
                IpAddr::V6(ip) => Some(*ip),
                IpAddr::V4(_) => None,
            }),
            identity: population.identity(pod),
            policy: population.policy(pod),
        })
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.ipv4.map(IpAddr::V4);
        let v6 = self.ipv6.map(IpAddr::V6);
        v4.into_iter().chain(v6)
    }
}

/// What two endpoints must not have in common.
#[derive(Default)]
pub(crate) struct Taken {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    devices: BTreeSet<String>,
    ids: BTreeSet<NonZeroU16>,
}

impl Taken {
    /// Takes what an endpoint of the cluster has.
    pub fn take(&mut self, member: &Member) -> Result<(), Problem> {
        if !self.names.insert(member.name.clone()) {
            return Err(Problem::NameTaken);
        }
        for ip in member.addresses() {
            if !self.addresses.insert(ip) {
                return Err(Problem::AddressTaken(ip));
            }
        }
        Ok(())
    }

    /// Takes what an endpoint of the node has; returns its number.
    pub fn take_local(&mut self, index: usize, endpoint: &Endpoint) -> Result<EndpointId, Problem> {
        let too_many = Problem::TooMany {
            map: map::LXC_DEVICE,
            max: map::max_entries::LXC_DEVICE,
        };
        if !self.devices.insert(endpoint.device.clone()) {
            return Err(Problem::DeviceTaken(endpoint.device.clone()));
        }
        let place = || NonZeroU16::new(u16::try_from(index + 1).ok()?);
        let id = endpoint.id.or_else(place).ok_or(too_many)?;
        // The last number is the node's own.
        if id.get() == EndpointId::HOST.0 || !self.ids.insert(id) {
            return Err(Problem::IdTaken(id));
        }
        Ok(EndpointId(id.get()))
    }
}

impl LocalEndpoint {
    /// Where packets to it go, and who sends through its device.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        let info = EndpointInfo {
            ifindex: self.device.ifindex,
            lxc_id: self.id,
            reserved: 0,
            flags: EndpointFlags::default().audited(self.audit),
            sec_id: self.member.identity,
            mac: self.mac,
            node_mac: self.device.mac,
            reserved2: 0,
        };
        let addresses = self.member.addresses();
        let delivery = addresses.map(move |ip| Entry::new(map::LXC, &EndpointKey::new(ip), &info));
        let sending = Entry::new(map::LXC_DEVICE, &self.device.ifindex, &self.sender());
        delivery.chain([sending])
    }

    fn sender(&self) -> DeviceEndpoint {
        let address = |ip: Option<IpAddr>| ip.map_or(Address::UNSPECIFIED, Address::from);
        let flag = |has: bool, flag| if has { flag } else { 0 };
        let Member { ipv4, ipv6, .. } = self.member;
        DeviceEndpoint {
            ipv4: address(ipv4.map(IpAddr::V4)),
            ipv6: address(ipv6.map(IpAddr::V6)),
            sec_id: self.member.identity,
            lxc_id: self.id,
            flags: flag(ipv4.is_some(), DeviceEndpoint::HAS_V4)
                | flag(ipv6.is_some(), DeviceEndpoint::HAS_V6)
                | flag(self.audit, DeviceEndpoint::AUDIT),
            mac: self.mac,
            node_mac: self.device.mac,
        }
    }
}

/// The node itself behind one of its addresses.
pub(crate) fn host(ip: IpAddr, audit: bool) -> Entry {
    let info = EndpointInfo {
        ifindex: twinpath_abi::Ifindex(0),
        lxc_id: EndpointId::HOST,
        reserved: 0,
        flags: EndpointFlags::HOST.audited(audit),
        sec_id: Identity::HOST,
        mac: Mac::NONE,
        node_mac: Mac::NONE,
        reserved2: 0,
    };
    Entry::new(map::LXC, &EndpointKey::new(ip), &info)
}
