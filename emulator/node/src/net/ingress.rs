//! The way in: driver, XDP, tc ingress, the stack.

use twinpath_machine::Machine;

use super::{DeviceId, Direction, DropReason, EndKind, HookKind, Net, SkbTarget};
use crate::net::egress::Verdict;
use crate::packet::{ETH_HLEN, Frame, Skb};

impl Net {
    /// A frame arrives at a device from the wire.
    pub(crate) fn arrive(&mut self, machine: &mut Machine, device: DeviceId, frame: Frame) {
        let mut skb = Skb::new(frame);
        skb.take_ethernet(&machine.memory, self.device(device).link());
        self.arrive_skb(machine, device, skb);
    }

    /// An skb arrives at a device's driver, its Ethernet header taken off.
    pub(super) fn arrive_skb(&mut self, machine: &mut Machine, device: DeviceId, skb: Skb) {
        let skb = match self.device(device).xdp {
            Some(program) => self.driver_xdp(machine, device, program, skb),
            None => Some(skb),
        };
        if let Some(skb) = skb {
            self.enqueue(device, skb);
        }
    }

    /// `__netif_receive_skb_core`: an skb enters the stack's receive path.
    pub(super) fn receive(&mut self, machine: &mut Machine, device: DeviceId, mut skb: Skb) {
        let ifindex = self.ifindex(device).get();
        skb.network_header = skb.frame.data();
        skb.transport_header.get_or_insert(skb.network_header);
        skb.reset_mac_len();
        skb.ingress = ifindex;
        skb.ifindex = ifindex;
        if let Some(program) = self.device(device).xdp_generic {
            match self.generic_xdp(machine, device, program, skb) {
                Some(passed) => skb = passed,
                None => return,
            }
        }
        if skb.protocol.is_vlan() && !skb.take_vlan(&mut machine.memory) {
            self.drop_skb(machine, device, skb, None, DropReason::Malformed);
            return;
        }
        if let Some(skb) = self.tc_ingress(machine, device, skb) {
            self.end_skb(machine, device, skb, EndKind::Stack);
        }
    }

    /// `sch_handle_ingress`. The skb, unless it ended there.
    fn tc_ingress(&mut self, machine: &mut Machine, device: DeviceId, mut skb: Skb) -> Option<Skb> {
        if self.device(device).filters(Direction::Ingress).is_empty() {
            return Some(skb);
        }
        skb.wire_len = skb.frame.len();
        skb.at_ingress = true;
        skb.frame.push(skb.mac_len);
        let (mut skb, verdict, hook) = self.classify(machine, device, skb, Direction::Ingress);
        match verdict {
            Verdict::Pass => {
                let mac_len = skb.mac_len.min(skb.frame.linear());
                skb.frame.pull(mac_len);
                Some(skb)
            }
            Verdict::Redirect => {
                self.skb_redirect(machine, device, hook, skb);
                None
            }
            Verdict::Drop(reason) => {
                self.drop_skb(machine, device, skb, Some(hook), reason);
                None
            }
            Verdict::Consume => {
                self.end_skb(machine, device, skb, EndKind::Consumed);
                None
            }
        }
    }

    /// `skb_do_redirect`: a packet that begins with its link-layer header goes where the last
    /// redirect helper said.
    pub(super) fn skb_redirect(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        hook: HookKind,
        skb: Skb,
    ) {
        let node = self.device(device).node;
        let index = std::mem::take(&mut self.redirect.index);
        let target = self.find(node, index);
        let kind = std::mem::take(&mut self.redirect.skb);
        match target {
            Some(to) => {
                self.redirect_to(machine, hook, skb, to, kind);
            }
            None => self.drop_skb(machine, device, skb, Some(hook), DropReason::NoDevice),
        }
    }

    /// `__bpf_redirect`.
    fn redirect_to(
        &mut self,
        machine: &mut Machine,
        hook: HookKind,
        mut skb: Skb,
        to: DeviceId,
        kind: SkbTarget,
    ) {
        let hook = Some(hook);
        let headless = skb.mac_header.is_none_or(|mac| mac >= skb.network_header);
        if headless || skb.frame.len() == 0 {
            self.drop_skb(machine, to, skb, hook, DropReason::NoHeader);
            return;
        }
        if skb.at_ingress {
            skb.pushed(&machine.memory, skb.frame.data(), skb.mac_len);
        }
        match kind {
            SkbTarget::Egress => self.transmit(machine, to, skb),
            SkbTarget::Ingress if !self.device(to).up => {
                self.drop_skb(machine, to, skb, hook, DropReason::DeviceDown);
            }
            SkbTarget::Ingress => {
                self.forward(machine, to, &mut skb);
                self.enqueue(to, skb);
            }
        }
    }

    /// `__dev_forward_skb`: an skb that begins with its link-layer header changes over to a device
    /// that receives it.
    pub(super) fn forward(&mut self, machine: &Machine, to: DeviceId, skb: &mut Skb) {
        skb.scrub();
        skb.priority = 0;
        skb.take_ethernet(&machine.memory, self.device(to).link());
        let header = skb.frame.data() - ETH_HLEN;
        skb.pulled(&machine.memory, header, ETH_HLEN);
    }
}
