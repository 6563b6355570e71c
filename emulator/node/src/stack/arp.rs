//! ARP (RFC 826, `net/ipv4/arp.c`).

use std::net::Ipv4Addr;

use twinpath_machine::Machine;

use super::route::{Cast, Way};
use super::v4_at;
use crate::net::{DeviceId, DropReason, Net};
use crate::network::RouteKind;
use crate::packet::{EtherType, PacketType, Skb};
use crate::types::Mac;

/// Bytes of a message about Ethernet and IPv4.
const LEN: usize = 28;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// A message about Ethernet and IPv4 addresses.
#[derive(Debug, Clone, Copy)]
struct Message {
    operation: u8,
    sender_mac: Mac,
    sender: Ipv4Addr,
    target_mac: Mac,
    target: Ipv4Addr,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.first_chunk()?;
        let hardware = matches!(bytes[..2], [0, 1 | 6]);
        if !hardware || bytes[2..6] != [8, 0, 6, 4] || bytes[6] != 0 {
            return None;
        }
        let mac = |at: usize| {
            let mut mac = [0; 6];
            mac.copy_from_slice(&bytes[at..at + 6]);
            Mac(mac)
        };
        matches!(bytes[7], REQUEST | REPLY).then(|| Self {
            operation: bytes[7],
            sender_mac: mac(8),
            sender: v4_at(bytes, 14),
            target_mac: mac(18),
            target: v4_at(bytes, 24),
        })
    }

    fn bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, self.operation]);
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..28].copy_from_slice(&self.target.octets());
        bytes
    }
}

impl Net {
    /// `arp_rcv`, `arp_process`.
    pub(super) fn arp_input(&mut self, machine: &mut Machine, skb: Skb) {
        let device = skb.device;
        if skb.packet_type == PacketType::OtherHost || self.device(device).loopback {
            self.refuse(machine, skb, DropReason::OtherHost);
            return;
        }
        let Some(message) = Message::parse(skb.frame.bytes(&machine.memory)) else {
            self.refuse(machine, skb, DropReason::Malformed);
            return;
        };
        let localnet = self.device(device).settings.route_localnet;
        let target = message.target;
        if target.is_multicast() || (target.is_loopback() && !localnet) {
            self.refuse(machine, skb, DropReason::MartianDestination);
            return;
        }
        self.accept(machine, skb);
        self.arp_process(machine, device, &message);
    }

    fn arp_process(&mut self, machine: &mut Machine, device: DeviceId, message: &Message) {
        let node = self.node_of(device);
        let (sender, target) = (message.sender, message.target);
        if sender.is_unspecified() {
            // Somebody asks whether the address is taken.
            if message.operation == REQUEST && self.is_local(node, target) {
                self.arp_reply(machine, device, message);
            }
            return;
        }
        if message.operation == REQUEST {
            let way = self.route_input(device, sender, target, 0);
            let local = matches!(way, Way::Local(Cast::Unicast));
            if local && self.address_kind(node, target) == RouteKind::Local {
                let key = (device, sender.into());
                self.learn(machine, key, message.sender_mac, true);
                self.arp_reply(machine, device, message);
                return;
            }
        }
        self.learn(machine, (device, sender.into()), message.sender_mac, false);
    }

    fn arp_reply(&mut self, machine: &mut Machine, device: DeviceId, request: &Message) {
        let reply = Message {
            operation: REPLY,
            sender_mac: self.device(device).mac,
            sender: request.target,
            target_mac: request.sender_mac,
            target: request.sender,
        };
        self.arp_send(machine, device, &reply, request.sender_mac);
    }

    /// `arp_solicit`: asks for the hardware address of `target`, on behalf of a packet from `source`.
    pub(super) fn arp_solicit(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        target: Ipv4Addr,
        source: Option<Ipv4Addr>,
    ) {
        let node = self.node_of(device);
        let own = source.filter(|source| self.is_local(node, *source));
        let sender = own.or_else(|| self.select_ipv4(node, device, Some(target)));
        let request = Message {
            operation: REQUEST,
            sender_mac: self.device(device).mac,
            sender: sender.unwrap_or(Ipv4Addr::UNSPECIFIED),
            target_mac: Mac([0; 6]),
            target,
        };
        self.arp_send(machine, device, &request, Mac([0xff; 6]));
    }

    fn arp_send(&mut self, machine: &mut Machine, device: DeviceId, message: &Message, to: Mac) {
        let bytes = message.bytes();
        if let Some(mut skb) = self.new_packet(machine, device, EtherType::ARP, &bytes) {
            self.write_header(machine, &mut skb, device, to);
            self.transmit(machine, device, skb);
        }
    }
}
