//! Endpoints as entries of `lxc` and `lxc_device`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;

use twinpath_abi::{
    Address, DeviceEndpoint, EndpointFlags, EndpointId, EndpointInfo, EndpointKey, Identity, map,
};

use crate::entries::{Device, Entry};
use crate::model::{Endpoint, ModelError, Place, Problem};

/// What two endpoints must not have in common.
#[derive(Default)]
struct Taken<'a> {
    names: BTreeSet<&'a str>,
    devices: BTreeSet<&'a str>,
    addresses: BTreeSet<IpAddr>,
    ids: BTreeSet<NonZeroU16>,
}

pub(crate) fn entries(
    endpoints: &[Endpoint],
    devices: impl Fn(&str) -> Option<Device>,
) -> Result<Vec<Entry>, ModelError> {
    let mut taken = Taken::default();
    let mut entries = Vec::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let fail = |problem| ModelError {
            place: Place::Endpoint {
                index,
                name: endpoint.name.clone(),
            },
            problem,
        };
        let id = id(index, endpoint)?;
        taken.take(endpoint, id).map_err(fail)?;
        let device = devices(&endpoint.device)
            .ok_or_else(|| fail(Problem::NoDevice(endpoint.device.clone())))?;
        entries.extend(
            endpoint
                .addresses()
                .map(|ip| delivery(endpoint, id, device, ip)),
        );
        entries.push(sending(endpoint, id, device));
    }
    Ok(entries)
}

/// An endpoint's number.
pub(crate) fn id(index: usize, endpoint: &Endpoint) -> Result<NonZeroU16, ModelError> {
    let by_place = || NonZeroU16::new(u16::try_from(index + 1).ok()?);
    endpoint.id.or_else(by_place).ok_or_else(|| ModelError {
        place: Place::Endpoint {
            index,
            name: endpoint.name.clone(),
        },
        problem: Problem::TooMany {
            map: map::LXC_DEVICE,
            max: map::max_entries::LXC_DEVICE,
        },
    })
}

impl<'a> Taken<'a> {
    fn take(&mut self, endpoint: &'a Endpoint, id: NonZeroU16) -> Result<(), Problem> {
        if !self.names.insert(&endpoint.name) {
            return Err(Problem::NameTaken);
        }
        if !self.devices.insert(&endpoint.device) {
            return Err(Problem::DeviceTaken(endpoint.device.clone()));
        }
        if !self.ids.insert(id) {
            return Err(Problem::IdTaken(id));
        }
        if endpoint.addresses().next().is_none() {
            return Err(Problem::NoAddress);
        }
        for ip in endpoint.addresses() {
            if !self.addresses.insert(ip) {
                return Err(Problem::AddressTaken(ip));
            }
        }
        within(map::LXC, self.addresses.len(), map::max_entries::LXC)?;
        within(
            map::LXC_DEVICE,
            self.devices.len(),
            map::max_entries::LXC_DEVICE,
        )
    }
}

/// Refuses more entries than a map holds.
pub(crate) fn within(map: &'static str, len: usize, max: usize) -> Result<(), Problem> {
    if len > max {
        return Err(Problem::TooMany { map, max });
    }
    Ok(())
}

impl Endpoint {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.ipv4.map(IpAddr::V4);
        let v6 = self.ipv6.map(IpAddr::V6);
        v4.into_iter().chain(v6)
    }
}

/// Where packets for an address go.
fn delivery(endpoint: &Endpoint, id: NonZeroU16, device: Device, ip: IpAddr) -> Entry {
    let info = EndpointInfo {
        ifindex: device.ifindex,
        lxc_id: EndpointId(id.get()),
        reserved: 0,
        flags: if endpoint.audit {
            EndpointFlags::AUDIT
        } else {
            EndpointFlags::default()
        },
        sec_id: Identity(endpoint.identity),
        mac: endpoint.mac,
        node_mac: device.mac,
        reserved2: 0,
    };
    Entry::new(map::LXC, &EndpointKey::new(ip), &info)
}

/// Who sends through a device.
fn sending(endpoint: &Endpoint, id: NonZeroU16, device: Device) -> Entry {
    let address = |ip: Option<IpAddr>| ip.map_or(Address::UNSPECIFIED, Address::from);
    let flag = |has: bool, flag| if has { flag } else { 0 };
    let sender = DeviceEndpoint {
        ipv4: address(endpoint.ipv4.map(IpAddr::V4)),
        ipv6: address(endpoint.ipv6.map(IpAddr::V6)),
        sec_id: Identity(endpoint.identity),
        lxc_id: EndpointId(id.get()),
        flags: flag(endpoint.ipv4.is_some(), DeviceEndpoint::HAS_V4)
            | flag(endpoint.ipv6.is_some(), DeviceEndpoint::HAS_V6)
            | flag(endpoint.audit, DeviceEndpoint::AUDIT),
        mac: endpoint.mac,
        node_mac: device.mac,
    };
    Entry::new(map::LXC_DEVICE, &device.ifindex, &sender)
}
