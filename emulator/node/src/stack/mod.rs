//! The network stack of a node: what Linux does with a packet between tc ingress and tc egress.
//!
//! A packet that a device received goes to [`Net::stack_input`]. IPv4 and IPv6 look for its way
//! ([`route`]), and it is delivered to this host, sent on by another device, or answered with an
//! error. What leaves goes through [`neighbour`], which puts the next hop's hardware address before
//! it or asks for that address, and then to the device's tc egress hook.
//!
//! Only nodes that were [built](crate::World::build) from a description have a stack; on others a
//! packet's journey ends where the stack would begin.

mod arp;
mod build;
mod ecn;
mod fragment;
mod icmp;
mod icmpv6;
mod ipip;
mod ipv4;
mod ipv6;
mod local;
mod local6;
mod ndp;
mod neighbour;
mod notify;
mod reassembly;
mod route;
mod source;
mod timer;
mod vxlan;
mod vxlan_send;
mod wire;

pub use build::BuildError;
pub(crate) use ipip::Ipip;
pub(crate) use ipv6::Outgoing as Outgoing6;
pub(crate) use local::Segment;
pub(crate) use vxlan::Vxlan;
pub(crate) use wire::{IPV4, IPV6, Ipv4, Ipv6, proto, pseudo_header};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::Machine;

use crate::config::NodeSettings;
use crate::net::{DeviceId, DropReason, EndKind, Net, NodeId};
use crate::packet::{EtherType, Frame, PacketType, Skb};
use neighbour::Resolver;
use reassembly::Reassembly;

/// What a node's stack knows.
#[derive(Debug)]
pub(crate) struct Stack {
    settings: NodeSettings,
    /// In the order of addition, which decides between them.
    addresses: Vec<Address>,
    resolver: Resolver,
    reassembly: Reassembly,
    /// The longest packets that tunnels on the way to a host take.
    path_mtus: BTreeMap<IpAddr, u32>,
    /// VXLAN devices by their UDP port.
    tunnels: BTreeMap<u16, Vec<DeviceId>>,
    /// The identification of the next packet that may be fragmented.
    ident: u16,
}

/// An address of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address {
    device: DeviceId,
    address: IpAddr,
    prefix: u8,
    /// Another IPv4 address of the same network came first.
    secondary: bool,
}

/// Bytes before a packet that the stack makes, enough for any header of a device.
const HEADROOM: u32 = 192;

impl Stack {
    fn new(settings: NodeSettings) -> Self {
        Self {
            settings,
            addresses: Vec::new(),
            resolver: Resolver::default(),
            reassembly: Reassembly::default(),
            path_mtus: BTreeMap::new(),
            tunnels: BTreeMap::new(),
            ident: 0,
        }
    }
}

impl Net {
    /// The stack of a node.
    fn stack(&self, node: NodeId) -> Option<&Stack> {
        self.stacks.get(node.0 as usize)?.as_deref()
    }

    fn stack_mut(&mut self, node: NodeId) -> Option<&mut Stack> {
        self.stacks.get_mut(node.0 as usize)?.as_deref_mut()
    }

    /// Whether what a node receives goes to a stack.
    pub(crate) fn has_stack(&self, node: NodeId) -> bool {
        self.stack(node).is_some()
    }

    /// A packet passed tc ingress: the end of `__netif_receive_skb_core`. Its data begins with the
    /// network header.
    pub(crate) fn stack_input(&mut self, machine: &mut Machine, mut skb: Skb) {
        if let Some(vlan) = skb.vlan.take() {
            const ID: u16 = 0x0fff;
            // No device has this tag's number, unless the tag is for its priority alone.
            if vlan.tci & ID != 0 {
                skb.packet_type = PacketType::OtherHost;
            }
        }
        match skb.protocol {
            EtherType::IPV4 => {
                skb.clear_control_block();
                skb.orphan();
                self.ipv4_input(machine, skb);
            }
            EtherType::IPV6 => {
                skb.clear_control_block();
                skb.orphan();
                self.ipv6_input(machine, skb);
            }
            EtherType::ARP => self.arp_input(machine, skb),
            _ => self.refuse(machine, skb, DropReason::UnknownProtocol),
        }
    }

    /// The stack drops a packet.
    fn refuse(&mut self, machine: &Machine, skb: Skb, reason: DropReason) {
        let device = skb.device;
        self.drop_skb(machine, device, skb, reason);
    }

    /// The packet came to its destination.
    fn accept(&mut self, machine: &Machine, skb: Skb) {
        let device = skb.device;
        self.end_skb(machine, device, skb, EndKind::Stack);
    }

    /// The packet waits in the node.
    fn wait(&mut self, machine: &Machine, skb: Skb) {
        let device = skb.device;
        self.end_skb(machine, device, skb, EndKind::Waiting);
    }

    /// A packet of the node's own: it begins with its network header.
    pub(crate) fn new_packet(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        protocol: EtherType,
        bytes: &[u8],
    ) -> Option<Skb> {
        let memory = &mut machine.memory;
        let frame = Frame::new(&mut self.pool, memory, bytes, HEADROOM, 0).ok()?;
        let mut skb = Skb::new(frame, device);
        skb.protocol = protocol;
        skb.at_ingress = false;
        skb.transport_header = Some(skb.network_header);
        self.place(&mut skb, device);
        Some(skb)
    }

    /// The node of a packet.
    fn node_of(&self, device: DeviceId) -> NodeId {
        self.device(device).node
    }

    /// The node's loopback device.
    fn loopback(&self, node: NodeId) -> DeviceId {
        let found = self.find(node, crate::types::Ifindex::LOOPBACK.get());
        found.unwrap_or_else(|| unreachable!("each node has a loopback device"))
    }

    /// A number for a packet that may be fragmented. The kernel's is random.
    pub(crate) fn next_ident(&mut self, node: NodeId) -> u16 {
        let Some(stack) = self.stack_mut(node) else {
            return 0;
        };
        stack.ident = stack.ident.wrapping_add(1);
        stack.ident
    }

    /// `net.ipv4.ip_default_ttl`.
    pub(crate) fn ttl(&self, node: NodeId) -> u8 {
        self.stack(node).map_or(64, |stack| stack.settings.ttl)
    }

    /// The addresses of a node.
    fn addresses(&self, node: NodeId) -> &[Address] {
        self.stack(node).map_or(&[], |stack| &stack.addresses)
    }

    /// Whether an address is one of the node's (`ip_dev_find`, `ipv6_chk_addr`).
    fn is_own(&self, node: NodeId, address: IpAddr) -> bool {
        let mut own = self.addresses(node).iter();
        own.any(|own| own.address == address)
    }
}

fn v4_at(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

fn v6_at(bytes: &[u8], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[at..at + 16]);
    octets.into()
}
