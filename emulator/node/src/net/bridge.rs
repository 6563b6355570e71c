//! Bridges (`net/bridge/br_input.c`, `br_forward.c`, `br_device.c`): frames go from port to port by hardware address.
//!
//! Without a spanning tree, VLAN filtering, multicast snooping and netfilter. What was learned about stations is never
//! forgotten: Linux forgets after five minutes.

use std::collections::BTreeMap;

use twinpath_machine::Machine;

use super::{DeviceId, DropReason, Medium, Net, xmit};
use crate::packet::{ETH_HLEN, PacketType, Skb};
use crate::types::Mac;

/// A bridge's own state.
#[derive(Debug)]
pub(crate) struct Bridge {
    /// In the order in which copies go to them: the last that was added comes first.
    ports: Vec<DeviceId>,
    stations: BTreeMap<Mac, Station>,
}

/// Where a hardware address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Station {
    /// It is the bridge's own.
    Own,
    /// It is that of a port of the bridge, which takes in what is for it.
    Port(DeviceId),
    /// A frame from there came in by this port.
    Beyond(DeviceId),
}

/// Where a frame on a bridge goes.
enum Way {
    /// To this host.
    Up,
    /// By one port.
    Port(DeviceId),
    /// By each port.
    Everywhere,
}

/// Who put a frame onto a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It came in by a port.
    Port(DeviceId),
    /// This host sends it.
    Host,
}

/// The addresses of a frame.
struct Addresses {
    to: Mac,
    from: Mac,
}

impl Mac {
    const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// `is_valid_ether_addr`: whether it can be a station's.
    const fn is_station(self) -> bool {
        !self.is_group() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl Bridge {
    /// A bridge without ports. `own` is its hardware address.
    fn new(own: Mac) -> Self {
        Self {
            ports: Vec::new(),
            stations: BTreeMap::from([(own, Station::Own)]),
        }
    }

    /// `br_add_if`; `own` is the port's hardware address.
    fn add_port(&mut self, port: DeviceId, own: Mac) {
        self.ports.insert(0, port);
        self.stations.entry(own).or_insert(Station::Port(port));
    }

    /// `br_fdb_update`: remembers by which port a station is reached.
    fn learn(&mut self, station: Mac, port: DeviceId) {
        let known = self.stations.entry(station);
        known
            .and_modify(|known| {
                if let Station::Beyond(before) = known {
                    *before = port;
                }
            })
            .or_insert(Station::Beyond(port));
    }

    /// Where a frame to one station goes.
    fn way(&self, to: Mac, origin: Origin) -> Option<Way> {
        Some(match (self.stations.get(&to), origin) {
            (None, _) => Way::Everywhere,
            (Some(Station::Own | Station::Port(_)), Origin::Port(_)) => Way::Up,
            // Whatever sends to its own address does not find itself beyond a port.
            (Some(Station::Own), Origin::Host) => return None,
            (Some(Station::Port(port) | Station::Beyond(port)), _) => Way::Port(*port),
        })
    }
}

impl Net {
    /// Makes a device a port of a bridge.
    pub(crate) fn add_port(&mut self, bridge: DeviceId, port: DeviceId) {
        let own = self.device(port).mac;
        if let Medium::Bridge(bridge) = &mut self.device_mut(bridge).medium {
            bridge.add_port(port, own);
        }
        self.device_mut(port).bridge = Some(bridge);
    }

    /// Makes a device a bridge without ports.
    pub(crate) fn make_bridge(&mut self, device: DeviceId) {
        let own = self.device(device).mac;
        self.device_mut(device).medium = Medium::Bridge(Box::new(Bridge::new(own)));
    }

    fn bridge(&self, device: DeviceId) -> Option<&Bridge> {
        match &self.device(device).medium {
            Medium::Bridge(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// `br_handle_frame`: a port of a bridge took a packet in, whose data begins behind the Ethernet header. The packet, if it
    /// is none for the bridge.
    pub(super) fn bridge_input(
        &mut self,
        machine: &mut Machine,
        port: DeviceId,
        bridge: DeviceId,
        mut skb: Skb,
    ) -> Option<Skb> {
        let Some(Addresses { to, from }) = addresses(&skb, machine) else {
            return Some(skb);
        };
        if !from.is_station() {
            self.drop_skb(machine, port, skb, DropReason::NotForwardable);
            return None;
        }
        skb.enter_bridge();
        match link_local(to) {
            Some(PAUSE) => {
                self.drop_skb(machine, port, skb, DropReason::NotForwardable);
                return None;
            }
            // What bridges tell each other goes through one that does not listen.
            Some(BRIDGE_GROUP) | None => {}
            Some(_) => {
                if self.device(bridge).up {
                    self.learn_station(bridge, from, port);
                }
                return Some(skb);
            }
        }
        if !self.device(bridge).up {
            self.drop_skb(machine, port, skb, DropReason::DeviceDown);
            return None;
        }
        if to == self.device(bridge).mac {
            skb.packet_type = PacketType::Host;
        }
        self.learn_station(bridge, from, port);
        let origin = Origin::Port(port);
        let way = match to.is_group() {
            true => Some(Way::Everywhere),
            false => self.bridge(bridge).and_then(|known| known.way(to, origin)),
        };
        match way {
            Some(Way::Everywhere) => {
                let up = to.is_group() && self.has_stack(self.device(bridge).node);
                let own = up.then(|| skb.copy(&mut self.pool, &mut machine.memory));
                self.flood(machine, bridge, origin, skb);
                if let Some(Ok(own)) = own {
                    self.receive(machine, bridge, own);
                }
            }
            Some(Way::Port(to)) => {
                self.send_by_port(machine, origin, to, skb);
            }
            // A switch that is not a node's has nobody to take in what is for itself.
            Some(Way::Up) if self.has_stack(self.device(bridge).node) => {
                self.receive(machine, bridge, skb);
            }
            Some(Way::Up) | None => self.drop_skb(machine, port, skb, DropReason::NoStation),
        }
        None
    }

    /// `br_dev_xmit`: this host sends a frame, which begins with its Ethernet header, by a bridge.
    pub(super) fn bridge_transmit(
        &mut self,
        machine: &mut Machine,
        bridge: DeviceId,
        mut skb: Skb,
    ) -> i64 {
        skb.enter_bridge();
        skb.mac_header = Some(skb.frame.data());
        skb.frame.pull(ETH_HLEN);
        let to = addresses(&skb, machine).map(|addresses| addresses.to);
        let known = self.bridge(bridge);
        let way = to.zip(known).and_then(|(to, known)| match to.is_group() {
            true => Some(Way::Everywhere),
            false => known.way(to, Origin::Host),
        });
        match way {
            Some(Way::Everywhere) => self.flood(machine, bridge, Origin::Host, skb),
            Some(Way::Port(to)) => self.send_by_port(machine, Origin::Host, to, skb),
            Some(Way::Up) | None => self.drop_skb(machine, bridge, skb, DropReason::NoStation),
        }
        xmit::SUCCESS
    }

    fn learn_station(&mut self, bridge: DeviceId, station: Mac, port: DeviceId) {
        if let Medium::Bridge(bridge) = &mut self.device_mut(bridge).medium {
            bridge.learn(station, port);
        }
    }

    /// `br_flood`: a copy for each port that takes it.
    fn flood(&mut self, machine: &mut Machine, bridge: DeviceId, origin: Origin, skb: Skb) {
        let count = self.bridge(bridge).map_or(0, |bridge| bridge.ports.len());
        let port_at = |net: &Self, place: usize| {
            let port = *net.bridge(bridge)?.ports.get(place)?;
            net.delivers(origin, port, &skb).is_ok().then_some(port)
        };
        let Some(last) = (0..count)
            .rev()
            .find(|place| port_at(self, *place).is_some())
        else {
            let device = skb.device;
            self.drop_skb(machine, device, skb, DropReason::NoStation);
            return;
        };
        for place in 0..last {
            if let Some(port) = port_at(self, place)
                && let Ok(mut copy) = skb.copy(&mut self.pool, &mut machine.memory)
            {
                copy.met = skb.met;
                self.send_by_port(machine, origin, port, copy);
            }
        }
        match port_at(self, last) {
            Some(port) => self.send_by_port(machine, origin, port, skb),
            None => self.drop_skb(machine, bridge, skb, DropReason::NoStation),
        }
    }

    /// `should_deliver`, `is_skb_forwardable`: whether a port sends a packet.
    fn delivers(&self, origin: Origin, port: DeviceId, skb: &Skb) -> Result<(), DropReason> {
        let device = self.device(port);
        if origin == Origin::Port(port) {
            Err(DropReason::NoStation)
        } else if !device.up {
            Err(DropReason::DeviceDown)
        } else if skb.frame.len() + ETH_HLEN > device.longest_frame() && skb.gso.size == 0 {
            Err(DropReason::TooLong)
        } else {
            Ok(())
        }
    }

    /// `__br_forward`.
    fn send_by_port(
        &mut self,
        machine: &mut Machine,
        origin: Origin,
        port: DeviceId,
        mut skb: Skb,
    ) {
        if let Err(reason) = self.delivers(origin, port, &skb) {
            let device = skb.device;
            self.drop_skb(machine, device, skb, reason);
            return;
        }
        skb.frame.push(ETH_HLEN);
        self.transmit(machine, port, skb);
    }
}

/// The last byte of the group of bridges, IEEE 802.1D 7.12.3.
const BRIDGE_GROUP: u8 = 0x00;
/// That of the group for which pause frames are.
const PAUSE: u8 = 0x01;

/// `is_link_local_ether_addr`: the last byte of a group that is for the next station only.
const fn link_local(mac: Mac) -> Option<u8> {
    match mac.0 {
        [0x01, 0x80, 0xc2, 0x00, 0x00, last @ 0..=0x0f] => Some(last),
        _ => None,
    }
}

/// The addresses of a packet, whose data begins behind its Ethernet header.
fn addresses(skb: &Skb, machine: &Machine) -> Option<Addresses> {
    const ADDRESSES: u32 = 12;
    let header = skb.mac_header.filter(|mac| skb.has(*mac, ADDRESSES))?;
    let bytes = machine.memory.raw(header, ADDRESSES);
    let (to, from) = bytes.split_first_chunk()?;
    Some(Addresses {
        to: Mac(*to),
        from: Mac(*from.first_chunk()?),
    })
}
