//! XDP hooks and what becomes of their verdicts.

use twinpath_machine::memory::Memory;
use twinpath_machine::{Machine, MapType, ProgramId};

use super::{DeviceId, DropReason, EndKind, HookKind, Net, Site, Subject, XdpTarget};
use crate::packet::{ETH_HLEN, Frame, HEADROOM, PacketType, Skb, Xdp};

/// Bytes of a page, of which a driver gives each packet one.
const PAGE: u32 = 4096;
/// `struct skb_shared_info` behind the packet, aligned (x86-64, Linux 6.18).
const SHARED_INFO: u32 = 320;
/// The longest linear part of a packet at an XDP hook.
pub(crate) const MAX_LINEAR: u32 = PAGE - HEADROOM - SHARED_INFO;

/// `enum xdp_action`.
const DROP: i32 = 1;
const PASS: i32 = 2;
const TX: i32 = 3;
const REDIRECT: i32 = 4;
const ABORTED: i32 = 0;

impl Net {
    /// A frame arrives at a device's driver. The skb for the stack, unless it ended there.
    pub(super) fn driver_xdp(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        program: ProgramId,
        mut skb: Skb,
    ) -> Option<Skb> {
        let hook = HookKind::Xdp;
        // veth copies the packet into a page of its own: zeroes before it, little room behind.
        skb.frame.push(ETH_HLEN);
        lay_out_page(&mut skb.frame, &mut machine.memory);
        let xdp = self.xdp_of(device, skb.frame);
        let mut subject = Subject::Xdp(xdp);
        let verdict = self.run(machine, program, &mut subject, Site { device, hook });
        let Subject::Xdp(xdp) = subject else {
            return None;
        };
        let metadata = xdp.metadata();
        let frame = xdp.frame;
        match verdict {
            Some(PASS) => {
                let mut passed = Skb::new(frame);
                // The driver's eth_type_trans does not take back what the first one found.
                passed.packet_type = skb.packet_type;
                passed.metadata = metadata;
                passed.take_ethernet(&machine.memory, self.device(device).link());
                Some(passed)
            }
            Some(TX) => {
                self.leave_as_frame(machine, device, frame);
                None
            }
            Some(REDIRECT) => {
                self.xdp_redirect(machine, device, hook, frame);
                None
            }
            verdict => {
                self.drop_frame(machine, device, hook, frame, verdict);
                None
            }
        }
    }

    /// The generic hook, on an skb whose data begins behind the Ethernet header.
    pub(super) fn generic_xdp(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        program: ProgramId,
        mut skb: Skb,
    ) -> Option<Skb> {
        let hook = HookKind::XdpGeneric;
        let link = self.device(device).link();
        skb.frame.push(ETH_HLEN);
        if skb.frame.headroom() < HEADROOM {
            lay_out_page(&mut skb.frame, &mut machine.memory);
        }
        let before = Ethernet::of(&skb.frame, &machine.memory);
        let network = skb.network_header.wrapping_sub(skb.frame.data());
        let packet_type = skb.packet_type;
        let xdp = self.xdp_of(device, skb.frame);
        let mut subject = Subject::Xdp(xdp);
        let verdict = self.run(machine, program, &mut subject, Site { device, hook });
        let Subject::Xdp(xdp) = subject else {
            return None;
        };
        let metadata = xdp.metadata();
        skb.frame = xdp.frame;
        match verdict {
            Some(PASS) => {
                let after = Ethernet::of(&skb.frame, &machine.memory);
                skb.metadata = metadata;
                skb.network_header = skb.frame.data() + network;
                let protocol = skb.protocol;
                skb.packet_type = PacketType::Host;
                skb.take_ethernet(&machine.memory, link);
                if !before.changed(&after, link.own.0) {
                    (skb.packet_type, skb.protocol) = (packet_type, protocol);
                }
                Some(skb)
            }
            Some(TX) => {
                self.leave_as_frame(machine, device, skb.frame);
                None
            }
            Some(REDIRECT) => {
                self.xdp_redirect(machine, device, hook, skb.frame);
                None
            }
            verdict => {
                self.drop_frame(machine, device, hook, skb.frame, verdict);
                None
            }
        }
    }

    fn xdp_of(&self, device: DeviceId, frame: Frame) -> Xdp {
        Xdp {
            meta: frame.data(),
            ingress: self.ifindex(device).get(),
            rx_queue: 0,
            fragment_size: None,
            frame,
        }
    }

    fn drop_frame(
        &mut self,
        machine: &Machine,
        device: DeviceId,
        hook: HookKind,
        frame: Frame,
        verdict: Option<i32>,
    ) {
        let reason = match verdict {
            None => DropReason::Fault,
            // Numbers without a meaning drop as XDP_ABORTED does, with a warning in the log.
            Some(ABORTED | DROP | _) => DropReason::Verdict,
        };
        self.drop_redirected(machine, device, hook, frame, reason);
    }

    fn drop_redirected(
        &mut self,
        machine: &Machine,
        device: DeviceId,
        hook: HookKind,
        frame: Frame,
        reason: DropReason,
    ) {
        let hook = Some(hook);
        self.end_frame(machine, device, frame, EndKind::Dropped { hook, reason });
    }

    /// `xdp_do_redirect`.
    fn xdp_redirect(
        &mut self,
        machine: &mut Machine,
        device: DeviceId,
        hook: HookKind,
        frame: Frame,
    ) {
        let target = std::mem::take(&mut self.redirect.xdp);
        let node = self.device(device).node;
        let found = match target {
            XdpTarget::None => Err(DropReason::NoDevice),
            XdpTarget::Device => self
                .find(node, self.redirect.index)
                .ok_or(DropReason::NoDevice),
            XdpTarget::Entry { kind, value } => self.entry_target(machine, node, kind, value),
            XdpTarget::Broadcast { .. } => Err(DropReason::Unsupported),
        };
        match found.and_then(|to| self.accepts(to, &frame).map(|()| to)) {
            Ok(to) => self.leave_as_frame(machine, to, frame),
            Err(reason) => self.drop_redirected(machine, device, hook, frame, reason),
        }
    }

    /// The device under an entry of a map, whose value begins with its index.
    fn entry_target(
        &self,
        machine: &Machine,
        node: super::NodeId,
        kind: MapType,
        value: u32,
    ) -> Result<DeviceId, DropReason> {
        match kind {
            MapType::DevMap | MapType::DevMapHash => {
                let bytes = machine.memory.raw(value, 4);
                let index = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                self.find(node, index).ok_or(DropReason::NoDevice)
            }
            _ => Err(DropReason::Unsupported),
        }
    }

    /// `xdp_ok_fwd_dev`.
    fn accepts(&self, to: DeviceId, frame: &Frame) -> Result<(), DropReason> {
        let device = self.device(to);
        if !device.up {
            Err(DropReason::DeviceDown)
        } else if frame.len() > device.longest_frame() {
            Err(DropReason::TooLong)
        } else {
            Ok(())
        }
    }
}

/// Puts a packet into a page as veth does for XDP (`skb_pp_cow_data`).
fn lay_out_page(frame: &mut Frame, memory: &mut Memory) {
    const ALIGN: u32 = 64;
    let linear = frame.len().min(MAX_LINEAR);
    let used = HEADROOM + linear.next_multiple_of(ALIGN) + SHARED_INFO;
    // More than half a page takes all of it.
    let size = if used * 2 > PAGE { PAGE } else { used };
    frame.lay_out(
        memory,
        HEADROOM,
        linear,
        size - HEADROOM - SHARED_INFO - linear,
    );
}

/// What generic XDP compares to find out whether the Ethernet header means something else now.
struct Ethernet {
    destination: [u8; 6],
    protocol: [u8; 2],
}

impl Ethernet {
    fn of(frame: &Frame, memory: &Memory) -> Self {
        let mut header = [0; 14];
        if let Some(bytes) = frame.slice(memory, 0, ETH_HLEN) {
            header.copy_from_slice(bytes);
        }
        let [a, b, c, d, e, f, .., high, low] = header;
        Self {
            destination: [a, b, c, d, e, f],
            protocol: [high, low],
        }
    }

    fn changed(&self, after: &Self, mac: [u8; 6]) -> bool {
        let own = |header: &Self| header.destination == mac;
        let group = |header: &Self| header.destination[0] & 1 != 0;
        self.protocol != after.protocol || own(self) != own(after) || group(self) != group(after)
    }
}
