//! The way in: driver, XDP, tc ingress, the stack.

use twinpath_machine::Machine;

use super::{DeviceId, Direction, DropReason, EndKind, Net};
use crate::net::egress::Verdict;
use crate::packet::{ETH_HLEN, Skb};

impl Net {
    /// A frame arrives at a device from the wire.
    pub(crate) fn arrive(&mut self, machine: &Machine, device: DeviceId, mut skb: Skb) {
        skb.take_ethernet(&machine.memory, self.device(device).link());
        self.enqueue_at_driver(device, skb);
    }

    /// A driver's program sees an skb. The skb, if that lets it pass.
    pub(super) fn receive_at_driver(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        skb: Skb,
    ) -> Option<Skb> {
        let mut skb = match self.device(device).xdp {
            Some(program) => self.driver_xdp(machine, device, program, skb)?,
            None => skb,
        };
        // GRO, which such a driver hands it to, has its own there (`struct napi_gro_cb`).
        skb.tc_classid = 0;
        skb.cb = [0; 20];
        Some(skb)
    }

    /// `netif_receive_skb_list`: all of a list go through tc before the stack has the first of them.
    pub(super) fn receive_list(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        list: &mut Vec<Skb>,
    ) {
        let mut classified = std::mem::take(&mut self.classified);
        for skb in list.drain(..) {
            classified.extend(self.receive_core(machine, device, skb));
        }
        for skb in classified.drain(..) {
            self.stack_input(machine, skb);
        }
        self.classified = classified;
    }

    pub(super) fn receive(&mut self, machine: &mut Machine, device: DeviceId, skb: Skb) {
        if let Some(skb) = self.receive_core(machine, device, skb) {
            self.stack_input(machine, skb);
        }
    }

    /// `__netif_receive_skb_core`: an skb enters the receive path. The skb, if it is for a stack.
    fn receive_core(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        mut skb: Skb,
    ) -> Option<Skb> {
        self.place(&mut skb, device);
        skb.network_header = skb.frame.data();
        skb.transport_header.get_or_insert(skb.network_header);
        skb.reset_mac_len();
        skb.ingress = skb.ifindex;
        if let Some(program) = self.device(device).xdp_generic
            && !skb.redirected
        {
            if skb.gso.size != 0 {
                // What such a program sees of it depends on the kernel's version.
                self.drop_skb(machine, device, skb, DropReason::Unsupported);
                return None;
            }
            skb = self.generic_xdp(machine, device, program, skb)?;
        }
        if skb.protocol.is_vlan() && !skb.take_vlan(&mut machine.memory) {
            self.drop_skb(machine, device, skb, DropReason::Malformed);
            return None;
        }
        let mut skb = self.tc_ingress(machine, device, skb)?;
        // skb_reset_redirect: whatever it meets from here on is new to it.
        skb.redirected = false;
        let has_stack = self.has_stack(self.device(device).node);
        if has_stack {
            self.take_in(machine, &mut skb);
        }
        let skb = match self.device(device).bridge {
            Some(bridge) => self.bridge_input(machine, device, bridge, skb)?,
            None => skb,
        };
        if has_stack {
            return Some(skb);
        }
        self.end_skb(machine, device, skb, EndKind::Stack);
        None
    }

    /// `sch_handle_ingress`. The skb, unless it ended there.
    fn tc_ingress(&mut self, machine: &mut Machine, device: DeviceId, mut skb: Skb) -> Option<Skb> {
        if self.device(device).filters(Direction::Ingress).is_empty() {
            return Some(skb);
        }
        skb.wire_len = skb.frame.len();
        skb.at_ingress = true;
        skb.frame.push(skb.mac_len);
        let (mut skb, verdict) = self.classify(machine, device, skb, Direction::Ingress);
        match verdict {
            Verdict::Pass => {
                let mac_len = skb.mac_len.min(skb.frame.linear());
                skb.frame.pull(mac_len);
                Some(skb)
            }
            Verdict::Redirect => {
                self.skb_redirect(machine, device, skb);
                None
            }
            Verdict::Drop(reason) => {
                self.drop_skb(machine, device, skb, reason);
                None
            }
            Verdict::Consume => {
                self.end_skb(machine, device, skb, EndKind::Consumed);
                None
            }
        }
    }

    /// `__dev_forward_skb`: an skb that begins with its link-layer header changes over to a device
    /// that receives it.
    pub(super) fn forward(&mut self, machine: &Machine, to: DeviceId, skb: &mut Skb) {
        skb.scrub();
        skb.priority = 0;
        let header = skb.frame.data();
        if skb.take_ethernet(&machine.memory, self.device(to).link()) {
            skb.pulled(&machine.memory, header, ETH_HLEN);
        }
    }
}
