//! The world: one kernel's machine, its namespaces, and frames through them.

use twinpath_machine::memory::{ArenaError, OutOfMemory};
use twinpath_machine::{AttachType, Cpu, Machine, MachineOptions, ProgramId, ProgramType};

use crate::net::{
    Device, DeviceId, DeviceOptions, DropReason, End, EndKind, EngineFactory, HookKind, Journey,
    Medium, Net, NodeId,
};
use crate::network::Tables;
use crate::packet::{ChecksumOffload, ETH_HLEN, EtherType, Frame, Gso, Joined, Skb, flow, gso};
use crate::types::{Ifindex, Mac};

/// One emulated kernel: a machine, and namespaces with devices around it.
#[derive(Debug)]
pub struct World {
    /// The machine: maps, programs, clock, randomness.
    pub machine: Machine,
    pub(crate) net: Net,
}

/// Why there is no world, or no device, or no attachment.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The host has no guest memory.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// Guest memory is full.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The node is of another world.
    #[error("find node {}: this world has no such node", .0.0)]
    NoNode(NodeId),
    /// The index is taken.
    #[error("add device {name:?}: index {ifindex} is taken")]
    IndexTaken {
        /// The new device's name.
        name: String,
        /// The index.
        ifindex: u32,
    },
    /// The program is of another machine.
    #[error("attach program number {}: the machine has no such program", .0.0)]
    NoProgram(ProgramId),
    /// The hook takes other programs.
    #[error("attach {program:?} to {hook} of {device:?}: it is a {kind} program")]
    WrongType {
        /// The program's name.
        program: String,
        /// Its type.
        kind: ProgramType,
        /// The hook.
        hook: HookKind,
        /// The device's name.
        device: String,
    },
    /// XDP programs expect Ethernet headers.
    #[error(
        "attach {program:?} to xdp-generic of {device:?}: its packets have no link-layer header"
    )]
    NoLinkHeader {
        /// The program's name.
        program: String,
        /// The device's name.
        device: String,
    },
    /// The device's driver has no XDP.
    #[error(
        "attach {program:?} to xdp of {device:?}: its driver has no XDP, only the generic receive path has"
    )]
    NoDriverXdp {
        /// The program's name.
        program: String,
        /// The device's name.
        device: String,
    },
    /// The hook has a program already, and takes only one.
    #[error("attach {program:?} to {hook} of {device:?}: the hook is taken")]
    HookTaken {
        /// The program's name.
        program: String,
        /// The hook.
        hook: HookKind,
        /// The device's name.
        device: String,
    },
}

impl World {
    /// A world without namespaces. `engines` makes what executes programs; it is asked again when a
    /// program runs inside another's helper.
    ///
    /// # Errors
    /// When the host has no room for guest memory.
    pub fn new(options: MachineOptions, engines: EngineFactory) -> Result<Self, WorldError> {
        let mut machine = Machine::new(options)?;
        let net = Net::new(&mut machine, engines)?;
        Ok(Self { machine, net })
    }

    /// Adds a namespace. It has a loopback device.
    pub fn add_node(&mut self) -> NodeId {
        self.net.add_node()
    }

    /// Adds a device, which is up. What it sends leaves the world, unless it is
    /// [connected](World::connect).
    ///
    /// # Errors
    /// When the node is unknown or the index is taken.
    pub fn add_device(
        &mut self,
        node: NodeId,
        options: DeviceOptions,
    ) -> Result<DeviceId, WorldError> {
        if !self.net.has_node(node) {
            return Err(WorldError::NoNode(node));
        }
        let ifindex = options.ifindex.get();
        if self.net.find(node, ifindex).is_some() {
            let name = options.name;
            return Err(WorldError::IndexTaken { name, ifindex });
        }
        Ok(self.net.add(Device::new(node, options)))
    }

    /// Joins two devices as the ends of a veth pair.
    ///
    /// # Panics
    /// When a device is of another world.
    pub fn connect(&mut self, a: DeviceId, b: DeviceId) {
        self.net.device_mut(a).peer = Some(b);
        self.net.device_mut(b).peer = Some(a);
    }

    /// Joins devices by a switch, which knows nothing of them in the beginning and learns where stations are: a bridge
    /// on a node of its own, whose ports are the other ends of their wires. They are to be no ends of pairs.
    ///
    /// # Panics
    /// When a device is of another world.
    pub fn join(&mut self, devices: &[DeviceId]) {
        let node = self.add_node();
        let bridge = self
            .net
            .add(switch_part(node, 0, "switch", u32::from(u16::MAX)));
        self.net.make_bridge(bridge);
        for (number, device) in (1..).zip(devices) {
            let mtu = self.net.device(*device).mtu;
            let port = self.net.add(switch_part(node, number, "port", mtu));
            self.net.add_port(bridge, port);
            self.connect(*device, port);
        }
    }

    /// Takes a device's offloads from it (`ethtool -K tx off`): what it sends has its checksums, as on a wire that is
    /// one. Otherwise the ends of a pair hand packets to each other as they are.
    ///
    /// # Panics
    /// When it is of another world.
    pub fn send_plainly(&mut self, device: DeviceId) {
        self.net.device_mut(device).plain = true;
    }

    /// A device.
    ///
    /// # Panics
    /// When it is of another world.
    pub fn device(&self, id: DeviceId) -> &Device {
        self.net.device(id)
    }

    /// The device of an index on a node.
    pub fn find_device(&self, node: NodeId, ifindex: u32) -> Option<DeviceId> {
        self.net.find(node, ifindex)
    }

    /// Sets a device up or down.
    ///
    /// # Panics
    /// When it is of another world.
    pub fn set_up(&mut self, device: DeviceId, up: bool) {
        self.net.device_mut(device).up = up;
        self.net.network.set_up(device, up);
    }

    /// Sets what stands in the room before a packet that arrives, where XDP programs let headers grow and nobody has
    /// written yet: zeroes unless it is set. In Linux it is what earlier packets left in the page (`skb_pp_cow_data`,
    /// `page_pool_dev_alloc_va`).
    pub fn fill_headroom(&mut self, filling: u8) {
        self.net.pool.fill(filling);
    }

    /// The network beyond the devices: routes, neighbours.
    pub fn network(&mut self) -> &mut Tables {
        &mut self.net.network
    }

    /// Attaches a program to a hook. Filters of clsact run by ascending `priority`, which other hooks
    /// do not look at; TCX programs run in the order of attachment.
    ///
    /// # Errors
    /// When the hook takes other programs, or is taken.
    ///
    /// # Panics
    /// When the device is of another world.
    pub fn attach(
        &mut self,
        device: DeviceId,
        hook: HookKind,
        priority: u16,
        id: ProgramId,
    ) -> Result<(), WorldError> {
        let program = self.machine.program(id).ok_or(WorldError::NoProgram(id))?;
        let state = self.net.device_mut(device);
        let fits = match hook {
            // Those for entries of maps are not for devices (`dev_xdp_attach`).
            HookKind::Xdp | HookKind::XdpGeneric => {
                let of_maps = [AttachType::XdpDevmap, AttachType::XdpCpumap];
                let of_maps = program
                    .attach
                    .is_some_and(|attach| of_maps.contains(&attach));
                program.kind == ProgramType::Xdp && !of_maps
            }
            // The map holds the program, not the device.
            HookKind::XdpDevmap => false,
            _ => program.kind == ProgramType::SchedCls,
        };
        if !fits {
            return Err(WorldError::WrongType {
                program: program.name.clone(),
                kind: program.kind,
                hook,
                device: state.name.clone(),
            });
        }
        let driver = matches!(state.medium, Medium::Wire) && !state.loopback;
        if hook == HookKind::Xdp && !driver {
            return Err(WorldError::NoDriverXdp {
                program: program.name.clone(),
                device: state.name.clone(),
            });
        }
        if hook == HookKind::XdpGeneric && !state.has_link_header() {
            return Err(WorldError::NoLinkHeader {
                program: program.name.clone(),
                device: state.name.clone(),
            });
        }
        let xdp_taken = state.xdp.is_some() || state.xdp_generic.is_some();
        if xdp_taken && matches!(hook, HookKind::Xdp | HookKind::XdpGeneric) {
            return Err(WorldError::HookTaken {
                program: program.name.clone(),
                hook,
                device: state.name.clone(),
            });
        }
        let add = |filters: &mut Vec<(u16, ProgramId)>| {
            let at = filters.partition_point(|(other, _)| *other <= priority);
            filters.insert(at, (priority, id));
        };
        match hook {
            HookKind::Xdp => state.xdp = Some(id),
            HookKind::XdpGeneric => state.xdp_generic = Some(id),
            HookKind::XdpDevmap => unreachable!("refused above"),
            HookKind::TcxIngress => state.ingress.tcx.push(id),
            HookKind::TcxEgress => state.egress.tcx.push(id),
            HookKind::TcIngress => add(&mut state.ingress.clsact),
            HookKind::TcEgress => add(&mut state.egress.clsact),
        }
        Ok(())
    }

    /// Detaches everything from a device.
    ///
    /// # Panics
    /// When the device is of another world.
    pub fn detach_all(&mut self, device: DeviceId) {
        let state = self.net.device_mut(device);
        (state.xdp, state.xdp_generic) = (None, None);
        (state.ingress, state.egress) = Default::default();
    }

    /// A frame arrives at a device from its far end; everything that it causes happens. The journey
    /// is valid until the next frame; swap it out to keep it, its memory is used again.
    ///
    /// The frame begins with the destination address and has no check sequence. One that is longer
    /// than the device takes, or too short for an Ethernet header, is dropped as the kernel's far end
    /// would refuse to send it. The frame's flow decides the CPU, both directions alike.
    ///
    /// # Panics
    /// When the device is of another world.
    pub fn inject(&mut self, device: DeviceId, bytes: &[u8]) -> &mut Journey {
        self.inject_offloaded(device, bytes, None)
    }

    /// As [`World::inject`], for a frame whose sender left the checksum to its device, as a socket in
    /// a container does whose veth is never a wire: the field holds the sum of the pseudo-header. It
    /// is filled in when the frame leaves the world.
    ///
    /// # Panics
    /// When the device is of another world.
    pub fn inject_offloaded(
        &mut self,
        device: DeviceId,
        bytes: &[u8],
        offload: Option<ChecksumOffload>,
    ) -> &mut Journey {
        let longest = self.net.device(device).longest_frame();
        let received = |world: &mut Self| world.receive(device, bytes, offload);
        self.inject_as(device, bytes, longest as usize, received)
    }

    /// As [`World::inject`], for segments that are joined, however long the device's MTU is. Their checksum is left to the
    /// device ([`Joined::leave_checksum`]). An XDP program in the device's driver sees them one by one, as the other end of a
    /// veth with one cuts them; anything else sees them as they are.
    ///
    /// # Panics
    /// When the device is of another world.
    pub fn inject_joined(
        &mut self,
        device: DeviceId,
        bytes: &[u8],
        joined: &Joined,
    ) -> &mut Journey {
        let received = |world: &mut Self| world.receive_joined(device, bytes, joined);
        self.inject_as(device, bytes, MAX_FRAME, received)
    }

    fn inject_as(
        &mut self,
        device: DeviceId,
        bytes: &[u8],
        longest: usize,
        receive: impl FnOnce(&mut Self) -> Result<(), DropReason>,
    ) -> &mut Journey {
        self.net.begin();
        self.net.cpu = match self.machine.cpus() {
            1 => Cpu(0),
            cpus => Cpu(flow::hash_frame(bytes) % cpus),
        };
        let result = match self.refuse(device, bytes, longest) {
            Some(reason) => Err(reason),
            None => receive(self),
        };
        if let Err(reason) = result {
            let frame = self.net.journey.keep(|into| into.extend_from_slice(bytes));
            self.net.journey.ends.push(End {
                device,
                met: None,
                kind: EndKind::Dropped(reason),
                frame,
            });
        }
        &mut self.net.journey
    }

    /// What packets have done in the course of socket calls since this was asked last, or since the last frame.
    pub fn take_journey(&mut self) -> Journey {
        let journey = std::mem::take(&mut self.net.journey);
        self.net.begin();
        self.net.cpu = Cpu(0);
        journey
    }

    /// Does what is due because time has passed: set the machine's clock before. Neighbours that have
    /// not answered are asked again or given up, and so are packets of which a part has not come.
    pub fn run_timers(&mut self) -> &mut Journey {
        self.net.begin();
        self.net.cpu = Cpu(0);
        self.net.run_timers(&mut self.machine);
        &mut self.net.journey
    }

    fn receive(
        &mut self,
        device: DeviceId,
        bytes: &[u8],
        offload: Option<ChecksumOffload>,
    ) -> Result<(), DropReason> {
        let (pool, memory) = (&mut self.net.pool, &mut self.machine.memory);
        let frame = Frame::new(pool, memory, bytes, HEADROOM, 0);
        let mut skb = Skb::new(frame.map_err(|_| DropReason::Memory)?, device);
        if offload.is_some_and(|offload| !skb.offload_checksum(offload)) {
            skb.frame.free(pool);
            return Err(DropReason::Malformed);
        }
        self.net.arrive(&self.machine, device, skb);
        self.net.drain(&mut self.machine);
        Ok(())
    }

    fn receive_joined(
        &mut self,
        device: DeviceId,
        bytes: &[u8],
        joined: &Joined,
    ) -> Result<(), DropReason> {
        /// `PAGE_SIZE`: what fits into a page is linear (`packet_alloc_skb`).
        const PAGE: usize = 4096;
        let (pool, memory) = (&mut self.net.pool, &mut self.machine.memory);
        let frame = Frame::new(pool, memory, bytes, HEADROOM, 0);
        let mut skb = Skb::new(frame.map_err(|_| DropReason::Memory)?, device);
        let offload = ChecksumOffload {
            start: joined.transport as u16,
            offset: 16,
        };
        if !skb.offload_checksum(offload) || bytes.len() <= joined.headers {
            skb.frame.free(pool);
            return Err(DropReason::Malformed);
        }
        skb.gso = Gso {
            size: joined.size,
            segments: (bytes.len() - joined.headers).div_ceil(joined.size.max(1).into()) as u16,
            kind: gso::DODGY | if joined.ipv6 { gso::TCPV6 } else { gso::TCPV4 },
        };
        skb.transport_header = Some(skb.frame.data() + joined.transport as u32);
        if HEADROOM as usize + bytes.len() >= PAGE {
            skb.frame.set_linear(joined.headers as u32);
        }
        if self.net.device(device).xdp.is_some() {
            skb.network_header = skb.frame.data() + ETH_HLEN;
            skb.protocol = if joined.ipv6 {
                EtherType::IPV6
            } else {
                EtherType::IPV4
            };
            for segment in self.net.cut(&mut self.machine, skb, false) {
                self.net.arrive(&self.machine, device, segment);
            }
        } else {
            self.net.arrive(&self.machine, device, skb);
        }
        self.net.drain(&mut self.machine);
        Ok(())
    }

    fn refuse(&self, device: DeviceId, bytes: &[u8], longest: usize) -> Option<DropReason> {
        let device = self.net.device(device);
        if !device.up {
            Some(DropReason::DeviceDown)
        } else if bytes.len() < ETH_HLEN as usize {
            Some(DropReason::Malformed)
        } else if bytes.len() > longest || bytes.len() > MAX_FRAME {
            Some(DropReason::TooLong)
        } else {
            None
        }
    }
}

/// A switch, or one of its ports, which are counted from 1.
fn switch_part(node: NodeId, number: u16, name: &str, mtu: u32) -> Device {
    const FIRST_IFINDEX: u32 = 2;
    let ifindex = Ifindex::new(FIRST_IFINDEX + u32::from(number));
    let [high, low] = number.to_be_bytes();
    let options = DeviceOptions {
        name: name.to_owned(),
        ifindex: ifindex.unwrap_or_else(|| unreachable!("indexes are counted from 2")),
        mac: Mac([0x02, 0xfd, 0, 0, high, low]),
        mtu,
    };
    Device::new(node, options)
}

/// The longest frame that an skb holds: 64 KiB and a link-layer header.
const MAX_FRAME: usize = (64 << 10) + 64;
/// Bytes that an AF_PACKET socket leaves before a frame for veth (`LL_RESERVED_SPACE`).
const HEADROOM: u32 = 16;
