//! The way out: tc egress, the device, the wire. And tc programs in both directions.

use twinpath_machine::{Errno, Machine, ProgramId};

use super::{DeviceId, Direction, DropReason, EndKind, HookKind, Medium, Net, Site, xmit};
use crate::packet::{ETH_HLEN, Frame, Skb, Xdp};

/// How many transmissions may be under way inside each other (`XMIT_RECURSION_LIMIT`).
const XMIT_RECURSION_LIMIT: u32 = 8;

/// `TC_ACT_*` (`linux/pkt_cls.h`).
mod act {
    pub(super) const OK: i32 = 0;
    pub(super) const SHOT: i32 = 2;
    pub(super) const STOLEN: i32 = 4;
    pub(super) const REDIRECT: i32 = 7;
    pub(super) const TRAP: i32 = 8;
}

/// What tc programs decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Redirect,
    Consume,
    Drop(DropReason),
}

impl Net {
    /// Runs a device's TCX programs and clsact filters on an skb that begins with its link-layer
    /// header.
    pub(super) fn classify(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        skb: Skb,
        direction: Direction,
    ) -> (Skb, Verdict) {
        let (tcx, clsact) = match direction {
            Direction::Ingress => (HookKind::TcxIngress, HookKind::TcIngress),
            Direction::Egress => (HookKind::TcxEgress, HookKind::TcEgress),
        };
        let (skb, verdict) = self.run_tcx(machine, skb, Site { device, hook: tcx }, direction);
        if let Some(verdict) = verdict {
            return (skb, verdict);
        }
        let site = Site {
            device,
            hook: clsact,
        };
        self.run_clsact(machine, skb, site, direction)
    }

    /// `tcx_run`: none when every program passed the packet on to the next.
    fn run_tcx(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        site: Site,
        direction: Direction,
    ) -> (Skb, Option<Verdict>) {
        let mut next = 0;
        while let Some(program) = self.filter(site.device, direction, next, true) {
            next += 1;
            let (returned, result) = self.run_skb(machine, program, skb, site);
            skb = returned;
            match result {
                None => return (skb, Some(Verdict::Drop(DropReason::Fault))),
                Some(act::OK) => {
                    skb.tc_index = skb.tc_classid;
                    return (skb, Some(Verdict::Pass));
                }
                Some(act::SHOT) => return (skb, Some(Verdict::Drop(DropReason::Verdict))),
                Some(act::REDIRECT) => return (skb, Some(Verdict::Redirect)),
                // TCX_NEXT, and whatever else a program returns.
                Some(-1) => {}
                Some(_) => break,
            }
        }
        (skb, None)
    }

    /// `tc_run` with `cls_bpf` filters in direct-action mode.
    fn run_clsact(
        &mut self,
        machine: &mut Machine,
        mut skb: Skb,
        site: Site,
        direction: Direction,
    ) -> (Skb, Verdict) {
        let mut next = 0;
        while let Some(program) = self.filter(site.device, direction, next, false) {
            next += 1;
            // That of the filter, which has none, comes before what its program says (`cls_bpf_classify`).
            skb.tc_classid = 0;
            let (returned, result) = self.run_skb(machine, program, skb, site);
            skb = returned;
            let verdict = match result {
                None => Verdict::Drop(DropReason::Fault),
                Some(act::OK) => {
                    skb.tc_index = skb.tc_classid;
                    Verdict::Pass
                }
                Some(act::SHOT) => Verdict::Drop(DropReason::Verdict),
                Some(act::STOLEN | act::TRAP) => Verdict::Consume,
                Some(act::REDIRECT) => Verdict::Redirect,
                // cls_bpf_exec_opcode knows no others: on to the next filter.
                Some(_) => continue,
            };
            return (skb, verdict);
        }
        (skb, Verdict::Pass)
    }

    fn filter(
        &self,
        device: DeviceId,
        direction: Direction,
        at: usize,
        tcx: bool,
    ) -> Option<ProgramId> {
        let filters = self.device(device).filters(direction);
        if tcx {
            filters.tcx.get(at).copied()
        } else {
            filters.clsact.get(at).map(|(_, program)| *program)
        }
    }

    /// `__bpf_tx_skb`, `__dev_queue_xmit`: a device sends an skb that begins with its link-layer
    /// header. What the kernel's function returns.
    pub(crate) fn transmit(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        mut skb: Skb,
    ) -> i64 {
        if self.transmitting > XMIT_RECURSION_LIMIT {
            self.drop_skb(machine, device, skb, DropReason::Recursion);
            return xmit::error(Errno::ENETDOWN);
        }
        self.place(&mut skb, device);
        skb.clear_timestamp();
        skb.mac_header = Some(skb.frame.data());
        skb.at_ingress = false;
        skb.wire_len = skb.len_on_wire(&machine.memory);
        self.transmitting += 1;
        let result = self.tc_egress(machine, device, skb);
        self.transmitting -= 1;
        result
    }

    /// `sch_handle_egress`.
    fn tc_egress(&mut self, machine: &mut Machine, device: DeviceId, skb: Skb) -> i64 {
        let (skb, verdict) = self.classify(machine, device, skb, Direction::Egress);
        match verdict {
            Verdict::Pass => return self.hand_over(machine, device, skb),
            Verdict::Redirect => self.skb_redirect(machine, device, skb),
            Verdict::Consume => self.end_skb(machine, device, skb, EndKind::Consumed),
            Verdict::Drop(reason) => {
                self.drop_skb(machine, device, skb, reason);
                return xmit::DROP;
            }
        }
        xmit::SUCCESS
    }

    /// The device's driver gets an skb (`veth_xmit`).
    fn hand_over(&mut self, machine: &mut Machine, device: DeviceId, mut skb: Skb) -> i64 {
        let state = self.device(device);
        if !state.up {
            // The queue of a device that is down takes nothing.
            self.drop_skb(machine, device, skb, DropReason::DeviceDown);
            return xmit::CONGESTED;
        }
        if state.plain && skb.gso.size != 0 {
            // `validate_xmit_skb`
            for segment in self.cut(machine, skb, true) {
                self.hand_over(machine, device, segment);
            }
            return xmit::SUCCESS;
        }
        if skb.frame.len() < ETH_HLEN && !state.loopback && state.has_link_header() {
            self.drop_skb(machine, device, skb, DropReason::Malformed);
            return xmit::DROP;
        }
        // The far end refuses what is too long; beyond the world it takes as much as this end.
        let far_end = state.peer.map_or(state, |peer| self.device(peer));
        let has_far_end = matches!(state.medium, Medium::Wire | Medium::Nothing);
        if skb.frame.len() > far_end.longest_frame() && skb.gso.size == 0 && has_far_end {
            self.drop_skb(machine, device, skb, DropReason::TooLong);
            return xmit::DROP;
        }
        if state.plain {
            skb.fill_checksum(&mut machine.memory);
        }
        if state.loopback {
            // What this host sends to itself needs no second look for its way (`loopback_xmit`).
            let routed = skb.routed;
            self.forward(machine, device, &mut skb);
            skb.routed = routed;
            self.enqueue(device, skb);
        } else if let Some(peer) = state.peer {
            if state.node != self.device(peer).node {
                skb.mark = 0;
                skb.clear_timestamp();
            }
            self.forward(machine, peer, &mut skb);
            self.enqueue_at_driver(peer, skb);
        } else {
            match state.medium {
                Medium::Wire => {}
                Medium::Nothing => {
                    self.end_skb(machine, device, skb, EndKind::Swallowed);
                    return xmit::SUCCESS;
                }
                Medium::Vxlan(_) => return self.vxlan_transmit(machine, device, skb),
                Medium::Bridge(_) => return self.bridge_transmit(machine, device, skb),
                Medium::Ipip(_) => return self.ipip_transmit(machine, device, skb),
            }
            // What is beyond the wire cannot know what the sender left to the device.
            skb.fill_checksum(&mut machine.memory);
            self.end_skb(machine, device, skb, EndKind::Left);
        }
        xmit::SUCCESS
    }

    /// Cuts segments that are joined, with their checksums filled in or left to the device. What cannot be cut is dropped.
    pub(crate) fn cut(&mut self, machine: &mut Machine, skb: Skb, filled: bool) -> Vec<Skb> {
        let known = crate::packet::gso::KNOWN;
        let reason = match skb.segments(&mut self.pool, &mut machine.memory, filled) {
            Ok(Some(segments)) => {
                skb.frame.free(&mut self.pool);
                return segments;
            }
            Ok(None) if skb.gso.kind & !known != 0 => DropReason::Unsupported,
            Ok(None) => DropReason::Malformed,
            Err(_) => DropReason::Memory,
        };
        let device = skb.device;
        self.drop_skb(machine, device, skb, reason);
        Vec::new()
    }

    /// A frame from an XDP program for a device that is no end of a pair in this world. The generic hook
    /// has an skb, which any device takes; of drivers, only those of wires take frames.
    fn leave_without_peer(
        &mut self,
        machine: &mut Machine,
        met: Site,
        device: DeviceId,
        frame: Frame,
    ) {
        let medium = &self.device(device).medium;
        if matches!(medium, Medium::Wire) {
            self.end_frame(machine, met, device, frame, EndKind::Left);
            return;
        }
        if met.hook != HookKind::XdpGeneric || frame.len() < ETH_HLEN {
            let kind = EndKind::Dropped(DropReason::NoDevice);
            self.end_frame(machine, met, device, frame, kind);
            return;
        }
        if matches!(medium, Medium::Nothing) {
            self.end_frame(machine, met, device, frame, EndKind::Swallowed);
            return;
        }
        if matches!(medium, Medium::Ipip(_)) {
            // The kernel has the device send the frame as if it were a packet.
            let kind = EndKind::Dropped(DropReason::Unsupported);
            self.end_frame(machine, met, device, frame, kind);
            return;
        }
        let mut skb = Skb::new(frame, device);
        skb.met = Some(met);
        skb.take_ethernet(&machine.memory, self.device(device).link());
        skb.network_header = skb.frame.data();
        skb.frame.push(ETH_HLEN);
        match self.device(device).medium {
            Medium::Bridge(_) => self.bridge_transmit(machine, device, skb),
            _ => self.vxlan_transmit(machine, device, skb),
        };
    }

    /// The device's driver gets a frame from an XDP program, the last that it met: tc does not see it.
    pub(super) fn leave_as_frame(
        &mut self,
        machine: &mut Machine,
        met: Site,
        device: DeviceId,
        xdp: Xdp,
    ) {
        let metadata = xdp.metadata();
        let frame = xdp.frame;
        let state = self.device(device);
        let far_end = state.peer.map_or(state, |peer| self.device(peer));
        if matches!(state.medium, Medium::Wire) && frame.len() > far_end.longest_frame() {
            // The far end takes no more (`veth_xdp_xmit`).
            let kind = EndKind::Dropped(DropReason::TooLong);
            self.end_frame(machine, met, device, frame, kind);
            return;
        }
        match state.peer {
            None => self.leave_without_peer(machine, met, device, frame),
            Some(_) if met.hook != HookKind::XdpGeneric && !self.sends_frames(device) => {
                let kind = EndKind::Dropped(DropReason::NoDevice);
                self.end_frame(machine, met, device, frame, kind);
            }
            Some(peer) if frame.len() < ETH_HLEN => {
                let kind = EndKind::Dropped(DropReason::Malformed);
                self.end_frame(machine, met, peer, frame, kind);
            }
            Some(peer) => {
                let mut skb = Skb::new(frame, peer);
                skb.met = Some(met);
                skb.metadata = metadata;
                skb.is_frame = met.hook != HookKind::XdpGeneric;
                self.arrive(machine, peer, skb);
            }
        }
    }
}
