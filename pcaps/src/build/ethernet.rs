//! Ethernet frames.

use etherparse::{EtherType, Ethernet2Header, SingleVlanHeader, VlanId, VlanPcp};

use super::{Arp, BuildError, Ip};
use crate::MacAddr;

/// An Ethernet frame, to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Source address.
    pub source: MacAddr,
    /// Destination address.
    pub destination: MacAddr,
    /// VLAN tags, the outer one first.
    pub tags: Vec<VlanTag>,
    /// What the frame carries.
    pub body: EtherBody,
    /// Zeros are appended until the frame has this length: Ethernet's least is 60.
    pub pad_to: usize,
    /// Only so many bytes of it are sent: a frame whose headers promise more than there is.
    pub cut_to: Option<usize>,
}

/// A VLAN tag (IEEE 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Which kind of tag: [`EtherType::VLAN_TAGGED_FRAME`] (0x8100) or
    /// [`EtherType::PROVIDER_BRIDGING`] (0x88a8), as a rule.
    pub kind: EtherType,
    /// VLAN identifier.
    pub id: VlanId,
    /// Priority code point.
    pub priority: VlanPcp,
    /// Drop eligible indicator.
    pub drop_eligible: bool,
}

impl VlanTag {
    /// An 802.1Q tag of priority 0.
    pub fn new(id: VlanId) -> Self {
        Self {
            kind: EtherType::VLAN_TAGGED_FRAME,
            id,
            priority: VlanPcp::ZERO,
            drop_eligible: false,
        }
    }
}

/// What an Ethernet frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtherBody {
    /// IPv4 or IPv6.
    Ip(Ip),
    /// ARP.
    Arp(Arp),
    /// Anything else.
    Raw {
        /// What it is.
        ether_type: EtherType,
        /// Its bytes.
        payload: Vec<u8>,
    },
}

impl Ethernet {
    /// The source address of a frame that names none.
    pub const DEFAULT_SOURCE: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);
    /// The destination address of a unicast frame that names none.
    pub const DEFAULT_DESTINATION: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);

    /// An untagged frame from [`Ethernet::DEFAULT_SOURCE`] to the address that the IP
    /// destination or the ARP operation implies, else to [`Ethernet::DEFAULT_DESTINATION`].
    pub fn new(body: EtherBody) -> Self {
        let destination = match &body {
            EtherBody::Ip(ip) => ip.group_mac(),
            EtherBody::Arp(arp) => Some(arp.ethernet_destination()),
            EtherBody::Raw { .. } => None,
        };
        Self {
            source: Self::DEFAULT_SOURCE,
            destination: destination.unwrap_or(Self::DEFAULT_DESTINATION),
            tags: Vec::new(),
            body,
            pad_to: 0,
            cut_to: None,
        }
    }

    /// The frame's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        let (inner_type, body) = match &self.body {
            EtherBody::Ip(ip) => (ip.ether_type(), ip.to_bytes()?),
            EtherBody::Arp(arp) => (EtherType::ARP, arp.to_bytes()),
            EtherBody::Raw {
                ether_type,
                payload,
            } => (*ether_type, payload.clone()),
        };
        let header = Ethernet2Header {
            source: self.source.0,
            destination: self.destination.0,
            ether_type: self.tags.first().map_or(inner_type, |tag| tag.kind),
        };
        let mut bytes = header.to_bytes().to_vec();
        for (index, tag) in self.tags.iter().enumerate() {
            let header = SingleVlanHeader {
                pcp: tag.priority,
                drop_eligible_indicator: tag.drop_eligible,
                vlan_id: tag.id,
                ether_type: self.tags.get(index + 1).map_or(inner_type, |tag| tag.kind),
            };
            bytes.extend_from_slice(&header.to_bytes());
        }
        bytes.extend_from_slice(&body);
        if bytes.len() < self.pad_to {
            bytes.resize(self.pad_to, 0);
        }
        bytes.truncate(self.cut_to.unwrap_or(usize::MAX));
        Ok(bytes)
    }
}
