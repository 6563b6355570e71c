//! Devices of every kind, made.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};

use nix::net::if_::if_nameindex;
use rtnetlink::packet_route::link::{
    InfoData, InfoIpTunnel, InfoKind, InfoVeth, InfoVxlan, LinkInfo, LinkMessage,
};
use rtnetlink::packet_route::link::{LinkAttribute, VxlanDf as Df};
use rtnetlink::{LinkBridge, LinkDummy, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVxlan};
use twinpath_node::VxlanDf;

use super::edge::Edge;
use super::error::Error;
use super::links::{FarEnd, Links};
use super::namespace::Namespace;
use super::switch::Switch;
use crate::plan::{
    DeviceKind, DevicePlace, DevicePlan, IpipConfig, Mac, Plan, Registered, VxlanConfig,
};

/// Makes a device of a plan, and the far end of its wire, both down. The thread is in the namespace of the device's node;
/// `namespaces` are those of all nodes.
///
/// # Errors
/// When the plan asks for what cannot be, or the kernel refuses.
pub async fn make(
    plan: &Plan,
    Registered {
        device: at,
        far_end,
    }: Registered,
    links: &Links,
    namespaces: &[&Namespace],
    switches: &mut [Switch],
    edge: &mut Edge,
) -> Result<(), Error> {
    let node = &plan.nodes[at.node];
    let device = &node.devices[at.device];
    check_index(device)?;
    let message = match &device.kind {
        DeviceKind::Veth => match far_end {
            Some(end) => veth(device, &end_of_wire(plan, end, namespaces)),
            None => match plan.segment(&node.name, &device.name) {
                Some(segment) => veth(device, &switches[segment].reserve(device)),
                None => veth(device, &edge.reserve(at, device)),
            },
        },
        DeviceKind::Dummy => dummy(device),
        DeviceKind::Bridge(_) => bridge(device.name.as_str(), device.ifindex.get(), device.mac),
        DeviceKind::Ipip(config) => {
            let link = LinkMessageBuilder::<LinkUnspec>::default()
                .name(device.name.as_str())
                .index(device.ifindex.get())
                .mtu(device.mtu);
            ipip(link.build(), config)
        }
        DeviceKind::Vxlan(config) => tunnel(device, config),
    };
    links.add(message, device.name.as_str()).await?;
    if let DeviceKind::Vxlan(config) = &device.kind {
        for (mac, end) in &config.fdb {
            links.add_station(device, *mac, *end).await?;
        }
    }
    Ok(())
}

fn end_of_wire<'a>(plan: &Plan, at: DevicePlace, namespaces: &[&'a Namespace]) -> FarEnd<'a> {
    let end = &plan.nodes[at.node].devices[at.device];
    FarEnd {
        name: end.name.to_string(),
        ifindex: end.ifindex.get(),
        mac: end.mac.0,
        mtu: end.mtu,
        namespace: namespaces[at.node],
    }
}

fn veth(device: &DevicePlan, far_end: &FarEnd<'_>) -> LinkMessage {
    let peer = queues(LinkMessageBuilder::<LinkUnspec>::default())
        .name(&far_end.name)
        .index(far_end.ifindex)
        .address(far_end.mac.to_vec())
        .mtu(far_end.mtu)
        .setns_by_fd(far_end.namespace.as_fd().as_raw_fd())
        .build();
    queues(LinkMessageBuilder::<LinkVeth>::new_with_info_kind(
        InfoKind::Veth,
    ))
    .name(device.name.as_str())
    .index(device.ifindex.get())
    .address(device.mac.0.to_vec())
    .mtu(device.mtu)
    .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
    .build()
}

fn dummy(device: &DevicePlan) -> LinkMessage {
    LinkDummy::new(device.name.as_str())
        .index(device.ifindex.get())
        .address(device.mac.0.to_vec())
        .mtu(device.mtu)
        .build()
}

/// A bridge that says nothing to others, and nothing about what it has learned for longer than any run lasts.
pub fn bridge(name: &str, ifindex: u32, mac: Mac) -> LinkMessage {
    /// In hundredths of a second: eleven days.
    const AGEING: u32 = 100_000_000;
    LinkMessageBuilder::<LinkBridge>::new(name)
        .index(ifindex)
        .address(mac.0.to_vec())
        .mcast_snooping(false)
        .ageing_time(AGEING)
        .build()
}

fn tunnel(device: &DevicePlan, vxlan: &VxlanConfig) -> LinkMessage {
    let mut link = LinkVxlan::new(device.name.as_str(), vxlan.vni.unwrap_or(0))
        .index(device.ifindex.get())
        .address(device.mac.0.to_vec())
        .mtu(device.mtu)
        .port(vxlan.port)
        .learning(vxlan.learning && vxlan.vni.is_some())
        .ttl(vxlan.ttl)
        .tos(vxlan.tos)
        .udp_csum(vxlan.checksum);
    if vxlan.vni.is_none() {
        link = link.collect_metadata(true);
    }
    link = match vxlan.dont_fragment {
        VxlanDf::Unset => link,
        VxlanDf::Set => link.append_info_data(InfoVxlan::Df(Df::Set)),
        VxlanDf::Inherit => link.append_info_data(InfoVxlan::Df(Df::Inherit)),
    };
    link = match vxlan.remote {
        Some(IpAddr::V4(remote)) => link.remote(remote),
        Some(IpAddr::V6(remote)) => link.remote6(remote),
        None => link,
    };
    link = match vxlan.local {
        Some(IpAddr::V4(local)) => link.local(local),
        Some(IpAddr::V6(local)) => link.local6(local),
        None => link,
    };
    link.build()
}

/// A device that sends packets in others.
pub fn ipip(mut link: LinkMessage, config: &IpipConfig) -> LinkMessage {
    let end = |address: Ipv4Addr| IpAddr::V4(address);
    let mut info = vec![
        InfoIpTunnel::Ttl(config.ttl),
        InfoIpTunnel::Tos(config.tos),
        InfoIpTunnel::PMtuDisc(config.dont_fragment),
    ];
    info.extend(config.local.map(end).map(InfoIpTunnel::Local));
    info.push(match config.remote {
        Some(remote) => InfoIpTunnel::Remote(end(remote)),
        None => InfoIpTunnel::CollectMetadata,
    });
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::IpIp),
        LinkInfo::Data(InfoData::IpTunnel(info)),
    ]));
    link
}

/// One queue each way: a frame has one way through, and no more memory is taken than it needs.
fn queues<T>(builder: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
    builder
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
}

/// Whether a device can have its index in the namespace that this thread is in.
fn check_index(device: &DevicePlan) -> Result<(), Error> {
    let ifindex = device.ifindex.get();
    let device = device.name.clone();
    if !(2..=i32::MAX as u32).contains(&ifindex) {
        return Err(Error::Ifindex { device, ifindex });
    }
    let devices =
        if_nameindex().map_err(|error| Error::system("list the devices")(error.into()))?;
    match devices.iter().find(|known| known.index() == ifindex) {
        Some(known) => Err(Error::IfindexTaken {
            device,
            ifindex,
            taken_by: known.name().to_string_lossy().into_owned(),
        }),
        None => Ok(()),
    }
}
