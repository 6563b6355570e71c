//! What becomes of a packet that a node's network stack took in, as far as that shows from outside.
//!
//! Where a packet goes inside of a stack nobody records, in the kernel least of all: what is seen is that a stack
//! took something in, and later that something was sent. So both backends say by the same rule, from the plan and
//! the packet alone, what counts as an end:
//!
//! | the stack took in | it ends there |
//! |---|---|
//! | what is no IP, or is for the node itself or for a group | yes |
//! | what a port of a bridge received | no: the bridge passes it on, or the node has it from the bridge |
//! | a tunnel's packet for the node, which has that tunnel, or a piece of one | no: the tunnel's device receives what is in it |
//! | what is for others, where nothing is passed on | yes |
//! | what is for others, where it is passed on | no: some device sends it, or an error about it |
//! | that last one, of which nothing else was seen | yes: the stack has dropped it, or keeps it |

use std::net::{IpAddr, Ipv4Addr};

use etherparse::IpNumber;

use crate::ip::IpPacket;
use crate::plan::{DeviceKind, DeviceName, DevicePlan, NodeName, NodePlan, Plan, RouteConfig};
use crate::recording::End;
use twinpath_node::{RouteKind, RuleAction};

/// A packet that a stack took in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// The node.
    pub node: NodeName,
    /// The device that received it.
    pub device: DeviceName,
    /// From the link-layer header on.
    pub bytes: Vec<u8>,
}

/// Adds the ends that packets found in stacks to those that they found elsewhere. The intakes are in order.
pub fn add_ends(plan: &Plan, intakes: Vec<Intake>, ends: &mut Vec<End>) {
    let last = intakes.last().cloned();
    let stay = intakes
        .iter()
        .filter(|intake| !goes_on(plan, &intakes, intake));
    ends.extend(stay.cloned().map(End::from));
    if ends.is_empty() {
        ends.extend(last.map(End::from));
    }
}

impl From<Intake> for End {
    fn from(intake: Intake) -> Self {
        Self::Stack {
            node: intake.node,
            device: intake.device,
            bytes: intake.bytes,
        }
    }
}

/// Whether what comes of a packet is seen elsewhere. Of a packet in pieces they all go where the first one does.
fn goes_on(plan: &Plan, intakes: &[Intake], intake: &Intake) -> bool {
    let Some(node) = plan.node(&intake.node) else {
        return false;
    };
    if node.bridge_of(&intake.device).is_some() {
        return true;
    }
    let Some(packet) = IpPacket::parse(&intake.bytes) else {
        return false;
    };
    if packet.to_group() {
        return false;
    }
    if is_own(node, packet.destination) {
        if has_ipip(node, &packet) {
            return true;
        }
        let mut others = intakes.iter().filter(|other| other.node == intake.node);
        let port = packet.udp_port().or_else(|| {
            others.find_map(|other| {
                let other = IpPacket::parse(&other.bytes)?;
                other.udp_port().filter(|_| other.is_piece_with(&packet))
            })
        });
        return port.is_some_and(|port| has_tunnel(node, port));
    }
    match node.device(&intake.device) {
        Some(device) => passes_on(node, device, packet.destination),
        None => false,
    }
}

fn passes_on(node: &NodePlan, device: &DevicePlan, destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(_) => device.settings.forwarding,
        IpAddr::V6(_) => node.settings.forward_ipv6,
    }
}

fn is_own(node: &NodePlan, address: IpAddr) -> bool {
    let devices = node.devices.iter();
    let mut own = devices.flat_map(|device| &device.addresses);
    let mut routes = node.routes.iter();
    own.any(|own| own.addr() == address)
        || routes.any(|route| is_local(node, route) && route.to.contains(address))
        || node.settings.loopback && address.is_loopback()
}

/// Whether a route delivers to the node itself; not one of a table that a rule leads to, as that depends on more than the
/// destination.
fn is_local(node: &NodePlan, route: &RouteConfig) -> bool {
    let by_rule = RuleAction::Table(route.table);
    let mut rules = node.rules.iter();
    route.kind == RouteKind::Local && rules.all(|rule| rule.action != by_rule)
}

fn has_tunnel(node: &NodePlan, port: u16) -> bool {
    let mut devices = node.devices.iter();
    devices.any(|device| match &device.kind {
        DeviceKind::Vxlan(vxlan) => vxlan.port == port,
        _ => false,
    })
}

/// Whether a packet holds another one that is for a device of the node.
fn has_ipip(node: &NodePlan, packet: &IpPacket<'_>) -> bool {
    let is = |own: Option<Ipv4Addr>, end: IpAddr| own.is_none_or(|own| IpAddr::V4(own) == end);
    let mut devices = node.devices.iter();
    packet.protocol == IpNumber::IPV4
        && devices.any(|device| match &device.kind {
            DeviceKind::Ipip(ipip) => {
                is(ipip.remote, packet.source) && is(ipip.local, packet.destination)
            }
            _ => false,
        })
}
