//! ARP for IPv4 over Ethernet.

use std::net::Ipv4Addr;

use etherparse::{ArpEthIpv4Packet, ArpOperation, ArpPacket};

use crate::MacAddr;

/// An ARP packet (RFC 826), to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request, reply, or any other.
    pub operation: ArpOperation,
    /// Whom the answer is for.
    pub sender_mac: MacAddr,
    /// Its IPv4 address.
    pub sender: Ipv4Addr,
    /// Zero in a request.
    pub target_mac: MacAddr,
    /// The address that is asked for.
    pub target: Ipv4Addr,
}

impl Arp {
    /// "Who has `target`? Tell `sender`."
    pub fn request(target: Ipv4Addr, sender: Ipv4Addr, sender_mac: MacAddr) -> Self {
        Self {
            operation: ArpOperation::REQUEST,
            sender_mac,
            sender,
            target_mac: MacAddr::default(),
            target,
        }
    }

    /// "`sender` is at `sender_mac`", told to `target`.
    pub fn reply(
        sender: Ipv4Addr,
        sender_mac: MacAddr,
        target: Ipv4Addr,
        target_mac: MacAddr,
    ) -> Self {
        Self {
            operation: ArpOperation::REPLY,
            sender_mac,
            sender,
            target_mac,
            target,
        }
    }

    /// Everybody for a request, else the target.
    pub(super) fn ethernet_destination(&self) -> MacAddr {
        match self.operation {
            ArpOperation::REQUEST => MacAddr::BROADCAST,
            _ => self.target_mac,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let packet = ArpEthIpv4Packet {
            operation: self.operation,
            sender_mac: self.sender_mac.0,
            sender_ipv4: self.sender.octets(),
            target_mac: self.target_mac.0,
            target_ipv4: self.target.octets(),
        };
        ArpPacket::from(packet).to_bytes().to_vec()
    }
}
