//! XDP hooks and what becomes of their verdicts.

use twinpath_machine::maps::Target;
use twinpath_machine::memory::Memory;
use twinpath_machine::{Machine, MapId, ProgramId};

use super::{DeviceId, DropReason, EndKind, HookKind, Medium, Net, Site, XdpTarget};
use crate::packet::{ETH_HLEN, Frame, HEADROOM, Moved, PacketType, Pool, Skb, Xdp};

/// Bytes of a page, of which a driver gives each packet one.
const PAGE: u32 = 4096;
/// `struct skb_shared_info` behind the packet, aligned (x86-64, Linux 6.18).
const SHARED_INFO: u32 = 320;
/// The longest linear part of a packet at an XDP hook.
pub(crate) const MAX_LINEAR: u32 = PAGE - HEADROOM - SHARED_INFO;

/// Of `enum xdp_action`, those that do not drop.
const PASS: i32 = 2;
const TX: i32 = 3;
const REDIRECT: i32 = 4;

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
        skb.frame.push(ETH_HLEN);
        let mut metadata = 0;
        if std::mem::take(&mut skb.is_frame) {
            // It is in a page, and has what the program left that sent it (`xdp_convert_frame_to_buff`).
            metadata = skb.metadata;
        } else {
            // veth copies the packet into a page of its own, with little room behind it.
            lay_out_page(&mut skb, &self.pool, &mut machine.memory);
        }
        let mut xdp = self.xdp_of(device, skb.frame);
        xdp.meta -= metadata;
        let (xdp, verdict) = self.run_xdp(machine, program, xdp, Site { device, hook });
        if verdict == Some(PASS) {
            skb.met = Some(Site { device, hook });
            skb.metadata = xdp.metadata();
            skb.frame = xdp.frame;
            // The packet type stays what the first eth_type_trans found, if that was something.
            skb.take_ethernet(&machine.memory, self.device(device).link());
            return Some(skb);
        }
        self.act_on(machine, Site { device, hook }, xdp, verdict);
        None
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
            lay_out_page(&mut skb, &self.pool, &mut machine.memory);
        }
        let before = Ethernet::of(&skb.frame, &machine.memory);
        let network = skb.network_header.wrapping_sub(skb.frame.data());
        let packet_type = skb.packet_type;
        let xdp = self.xdp_of(device, skb.frame);
        let (mut xdp, verdict) = self.run_xdp(machine, program, xdp, Site { device, hook });
        if verdict != Some(PASS) {
            // Only what passes keeps its metadata (`bpf_prog_run_generic_xdp`).
            xdp.meta = xdp.frame.data();
            self.act_on(machine, Site { device, hook }, xdp, verdict);
            return None;
        }
        skb.met = Some(Site { device, hook });
        skb.metadata = xdp.metadata();
        skb.frame = xdp.frame;
        let after = Ethernet::of(&skb.frame, &machine.memory);
        skb.network_header = skb.frame.data() + network;
        let protocol = skb.protocol;
        skb.packet_type = PacketType::Host;
        skb.take_ethernet(&machine.memory, link);
        if !before.changed(&after, link.own.0) {
            (skb.packet_type, skb.protocol) = (packet_type, protocol);
        }
        Some(skb)
    }

    /// Does what a verdict other than `XDP_PASS` says.
    fn act_on(&mut self, machine: &mut Machine, site: Site, xdp: Xdp, verdict: Option<i32>) {
        match verdict {
            Some(TX) => self.leave_as_frame(machine, site, site.device, xdp),
            Some(REDIRECT) => self.xdp_redirect(machine, site, xdp),
            verdict => self.drop_frame(machine, site, xdp.frame, verdict),
        }
    }

    fn xdp_of(&self, device: DeviceId, frame: Frame) -> Xdp {
        Xdp {
            device,
            meta: frame.data(),
            ingress: self.ifindex(device).get(),
            egress: 0,
            rx_queue: 0,
            fragment_size: None,
            frame,
        }
    }

    fn drop_frame(&mut self, machine: &Machine, site: Site, frame: Frame, verdict: Option<i32>) {
        // Numbers without a meaning drop as XDP_ABORTED does, with a warning in the log.
        let reason = verdict.map_or(DropReason::Fault, |_| DropReason::Verdict);
        self.drop_redirected(machine, site, frame, reason);
    }

    fn drop_redirected(&mut self, machine: &Machine, site: Site, frame: Frame, reason: DropReason) {
        let kind = EndKind::Dropped(reason);
        self.end_frame(machine, site, site.device, frame, kind);
    }

    /// `xdp_do_redirect`.
    fn xdp_redirect(&mut self, machine: &mut Machine, site: Site, xdp: Xdp) {
        let node = self.device(site.device).node;
        let target = match std::mem::take(&mut self.redirect.xdp) {
            XdpTarget::Device => Some(Target::Device {
                ifindex: self.redirect.index,
                program: None,
            }),
            XdpTarget::Entry(target) => Some(target),
            XdpTarget::None => None,
            XdpTarget::Broadcast {
                map,
                exclude_ingress,
            } => {
                let from = exclude_ingress.then_some(site.device);
                self.broadcast(machine, site, xdp, map, from);
                return;
            }
        };
        match target {
            Some(Target::Device { ifindex, program }) => match self.find(node, ifindex) {
                Some(to) => self.send_frame(machine, site, xdp, to, program),
                None => self.drop_redirected(machine, site, xdp.frame, DropReason::NoDevice),
            },
            Some(Target::Cpu { program, .. }) => self.hand_to_cpu(machine, site, xdp, program),
            Some(Target::Socket { .. }) => {
                self.drop_redirected(machine, site, xdp.frame, DropReason::Unsupported);
            }
            None => self.drop_redirected(machine, site, xdp.frame, DropReason::NoDevice),
        }
    }

    /// `dev_map_enqueue_multi`: to each device of a map that takes it.
    fn broadcast(
        &mut self,
        machine: &mut Machine,
        site: Site,
        xdp: Xdp,
        map: MapId,
        exclude: Option<DeviceId>,
    ) {
        let node = self.device(site.device).node;
        let targets = machine.maps[map].redirect_targets().into_iter();
        let known = targets.filter_map(|(_, target)| match target {
            Target::Device { ifindex, program } => Some((self.find(node, ifindex)?, program)),
            Target::Cpu { .. } | Target::Socket { .. } => None,
        });
        let takes =
            |to: DeviceId| Some(to) != exclude && self.accepts(site, to, &xdp.frame).is_ok();
        let mut takers: Vec<(DeviceId, Option<ProgramId>)> =
            known.filter(|(to, _)| takes(*to)).collect();
        if site.hook != HookKind::XdpGeneric {
            in_order_of_queues(&mut takers);
        }
        let mut sent = false;
        for (to, program) in takers {
            if let Ok(copy) = xdp.copy(&mut self.pool, &mut machine.memory) {
                self.send_frame(machine, site, copy, to, program);
                sent = true;
            }
        }
        if sent {
            xdp.frame.free(&mut self.pool);
        } else {
            self.drop_redirected(machine, site, xdp.frame, DropReason::NoDevice);
        }
    }

    /// `dev_map_enqueue`: a frame out of a device, past the program of the map's entry.
    fn send_frame(
        &mut self,
        machine: &mut Machine,
        site: Site,
        xdp: Xdp,
        to: DeviceId,
        program: Option<ProgramId>,
    ) {
        if let Err(reason) = self.accepts(site, to, &xdp.frame) {
            self.drop_redirected(machine, site, xdp.frame, reason);
            return;
        }
        let Some(program) = program else {
            self.leave_as_frame(machine, site, to, xdp);
            return;
        };
        let metadata = xdp.metadata();
        let mut xdp = self.xdp_of(site.device, xdp.frame);
        xdp.meta -= metadata;
        xdp.egress = self.ifindex(to).get();
        let egress = Site {
            device: to,
            hook: HookKind::XdpDevmap,
        };
        let (xdp, verdict) = self.run_xdp(machine, program, xdp, egress);
        match verdict {
            Some(PASS) => self.leave_as_frame(machine, egress, to, xdp),
            verdict => self.drop_frame(machine, egress, xdp.frame, verdict),
        }
    }

    /// `cpu_map_enqueue`: the other CPU makes an skb of the frame, and the stack receives it.
    fn hand_to_cpu(
        &mut self,
        machine: &mut Machine,
        site: Site,
        xdp: Xdp,
        program: Option<ProgramId>,
    ) {
        if program.is_some() {
            self.drop_redirected(machine, site, xdp.frame, DropReason::Unsupported);
            return;
        }
        let metadata = xdp.metadata();
        let mut skb = Skb::new(xdp.frame, site.device);
        skb.met = Some(site);
        skb.metadata = metadata;
        skb.take_ethernet(&machine.memory, self.device(site.device).link());
        self.enqueue(site.device, skb);
    }

    /// Whether a driver takes frames from XDP programs: a veth does if its other end has a program (`veth_set_xdp_features`),
    /// as what is beyond the world always has.
    pub(super) fn sends_frames(&self, device: DeviceId) -> bool {
        let device = self.device(device);
        let far_end = device.peer.map(|peer| self.device(peer));
        matches!(device.medium, Medium::Wire) && far_end.is_none_or(|end| end.xdp.is_some())
    }

    /// `xdp_ok_fwd_dev`, and of frames from drivers `__xdp_enqueue`.
    fn accepts(&self, from: Site, to: DeviceId, frame: &Frame) -> Result<(), DropReason> {
        let device = self.device(to);
        if from.hook != HookKind::XdpGeneric && !self.sends_frames(to) {
            Err(DropReason::NoDevice)
        } else if !device.up {
            Err(DropReason::DeviceDown)
        } else if frame.len() > device.longest_frame() {
            Err(DropReason::TooLong)
        } else {
            Ok(())
        }
    }
}

/// Frames wait for each device in a queue, which has the program that its first frame came with (`bq_enqueue`); the queue that
/// came last is sent first (`__dev_flush`).
fn in_order_of_queues(frames: &mut [(DeviceId, Option<ProgramId>)]) {
    let mut queues: Vec<(DeviceId, Option<ProgramId>)> = Vec::new();
    for (to, program) in frames.iter_mut() {
        match queues.iter().find(|(device, _)| device == to) {
            Some((_, first)) => *program = *first,
            None => queues.push((*to, *program)),
        }
    }
    frames.sort_by_key(|(to, _)| {
        let place = queues.iter().position(|(device, _)| device == to);
        std::cmp::Reverse(place)
    });
}

/// Puts a packet into a page as veth does for XDP (`skb_pp_cow_data`).
fn lay_out_page(skb: &mut Skb, pool: &Pool, memory: &mut Memory) {
    const ALIGN: u32 = 64;
    let before = skb.frame.data();
    let linear = skb.frame.len().min(MAX_LINEAR);
    let used = HEADROOM + linear.next_multiple_of(ALIGN) + SHARED_INFO;
    // More than half a page takes all of it.
    let size = if used * 2 > PAGE { PAGE } else { used };
    let tailroom = size - HEADROOM - SHARED_INFO - linear;
    skb.frame.lay_out(pool, memory, HEADROOM, linear, tailroom);
    skb.moved(Moved(skb.frame.data().wrapping_sub(before)));
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
