//! Devices, hooks, and the way of a packet through them.

mod bridge;
mod device;
mod egress;
mod ingress;
mod journey;
mod redirect;
mod run;
mod subject;
mod xdp;
pub(crate) mod xmit;

use std::collections::{BTreeMap, VecDeque};

pub use device::{Device, DeviceId, DeviceOptions, HookKind, NodeId};
pub use journey::{DropReason, End, EndKind, Hop, Intake, Journey, Metadata, Span, TunnelKey};
pub use run::Site;

pub(crate) use bridge::Bridge;
pub(crate) use device::{Direction, Medium};
pub(crate) use redirect::{NextHop, RedirectInfo, SkbTarget, XdpTarget};
pub(crate) use run::{NO_CGROUP, unsupported};
pub(crate) use subject::{Placed, Subject};

use twinpath_machine::engine::Engine;
use twinpath_machine::memory::OutOfMemory;
use twinpath_machine::{CgroupKey, Cpu, Machine};

use crate::network::Tables;
use crate::packet::{Frame, Pool, Skb};
use crate::socket::Sockets;
use crate::stack::Stack;
use crate::types::Ifindex;

/// Makes an engine: one for each level at which programs run inside each other.
pub type EngineFactory = Box<dyn FnMut() -> Box<dyn Engine> + Send>;

/// Programs that can run inside each other: a helper that sends a packet may meet another program.
const LEVELS: usize = 10;
/// Bytes of each level's context.
const CONTEXT_SIZE: u32 = 256;
/// Packets that may be received in the course of one frame's journey.
const STORM: u32 = 1024;

/// Everything around the machine.
pub(crate) struct Net {
    pub(crate) devices: Vec<Device>,
    indexes: BTreeMap<(NodeId, u32), DeviceId>,
    nodes: u32,
    pub(crate) pool: Pool,
    pub(crate) redirect: RedirectInfo,
    pub(crate) journey: Journey,
    /// Packets that wait to be received, in the order in which they came.
    waiting: VecDeque<Waiting>,
    /// What a driver's program has let pass, and the stack has yet to see: kept for its memory.
    passed: Vec<Skb>,
    /// The same behind tc.
    classified: Vec<Skb>,
    received: u32,
    /// Whether a task sends: each piece of its packet has gone as far as it goes before the next one is sent.
    pub(crate) task_sends: bool,
    /// Transmissions that are under way inside each other.
    transmitting: u32,
    pub(crate) cpu: Cpu,
    /// What is beyond the devices.
    pub(crate) network: Tables,
    /// The network stacks of the nodes that have one, by number of the node.
    pub(crate) stacks: Vec<Option<Box<Stack>>>,
    pub(crate) sockets: Sockets,
    /// The cgroup whose program runs on a packet of one of its sockets.
    pub(crate) filtering: Option<CgroupKey>,
    engines: Vec<Option<Box<dyn Engine>>>,
    factory: EngineFactory,
    contexts: [u32; LEVELS],
    level: usize,
}

/// A packet that waits to be received.
struct Waiting {
    device: DeviceId,
    skb: Skb,
    queue: Queue,
}

/// Where packets wait. The kernel empties one queue before it goes on with the next, beginning with the one in which
/// there has been something for the longest time (`net_rx_action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// The CPU's.
    Backlog,
    /// That of a driver with an XDP program (`veth_xdp_rx`).
    Driver(DeviceId),
}

impl Net {
    pub(crate) fn new(machine: &mut Machine, factory: EngineFactory) -> Result<Self, OutOfMemory> {
        let mut contexts = [0; LEVELS];
        for context in &mut contexts {
            *context = machine.memory.allocate(u64::from(CONTEXT_SIZE))?;
        }
        Ok(Self {
            devices: Vec::new(),
            indexes: BTreeMap::new(),
            nodes: 0,
            pool: Pool::default(),
            redirect: RedirectInfo::default(),
            journey: Journey::default(),
            waiting: VecDeque::new(),
            passed: Vec::new(),
            classified: Vec::new(),
            received: 0,
            task_sends: false,
            transmitting: 0,
            cpu: Cpu(0),
            network: Tables::default(),
            stacks: Vec::new(),
            sockets: Sockets::new(machine),
            filtering: None,
            engines: Vec::new(),
            factory,
            contexts,
            level: 0,
        })
    }

    pub(crate) fn add_node(&mut self) -> NodeId {
        let node = NodeId(self.nodes);
        self.nodes += 1;
        let loopback = self.add(Device::loopback(node));
        self.network.add_node(loopback);
        node
    }

    pub(crate) fn has_node(&self, node: NodeId) -> bool {
        node.0 < self.nodes
    }

    pub(crate) fn add(&mut self, device: Device) -> DeviceId {
        let id = DeviceId(self.devices.len() as u32);
        self.indexes.insert((device.node, device.ifindex.get()), id);
        self.devices.push(device);
        id
    }

    /// The device of an index on a node.
    pub(crate) fn find(&self, node: NodeId, ifindex: u32) -> Option<DeviceId> {
        self.indexes.get(&(node, ifindex)).copied()
    }

    pub(crate) fn device(&self, id: DeviceId) -> &Device {
        &self.devices[id.0 as usize]
    }

    pub(crate) fn device_mut(&mut self, id: DeviceId) -> &mut Device {
        &mut self.devices[id.0 as usize]
    }

    /// The device of an index in the namespace of another device.
    pub(crate) fn find_beside(&self, device: DeviceId, ifindex: u32) -> Option<DeviceId> {
        self.find(self.device(device).node, ifindex)
    }

    /// Begins a journey: nothing is under way.
    pub(crate) fn begin(&mut self) {
        self.journey.clear();
        self.waiting.clear();
        self.pool.reset();
        self.redirect = RedirectInfo::default();
        self.received = 0;
        self.transmitting = 0;
        self.level = 0;
    }

    /// Queues a packet for reception behind the driver.
    pub(crate) fn enqueue(&mut self, device: DeviceId, skb: Skb) {
        self.queue(Queue::Backlog, device, skb);
    }

    /// Queues a packet that arrives at a device's driver, its Ethernet header taken off.
    fn enqueue_at_driver(&mut self, device: DeviceId, mut skb: Skb) {
        let queue = match self.device(device).xdp {
            Some(_) => Queue::Driver(device),
            None => {
                skb.is_frame = false;
                Queue::Backlog
            }
        };
        self.queue(queue, device, skb);
    }

    fn queue(&mut self, queue: Queue, device: DeviceId, skb: Skb) {
        self.waiting.push_back(Waiting { device, skb, queue });
    }

    /// Counts packets from here on: so many that they are a storm must come of one thing.
    pub(crate) fn expect_packets(&mut self) {
        self.received = 0;
    }

    /// Receives until nothing waits any more.
    pub(crate) fn drain(&mut self, machine: &mut Machine) {
        let mut current = Queue::Backlog;
        while let Some(next) = self.next_waiting(current) {
            current = next.queue;
            self.received += 1;
            if self.received > STORM {
                self.drop_skb(machine, next.device, next.skb, DropReason::Storm);
                continue;
            }
            self.redirect = RedirectInfo::default();
            match next.queue {
                Queue::Backlog => self.receive(machine, next.device, next.skb),
                Queue::Driver(device) => self.poll(machine, device, next.skb),
            }
        }
    }

    /// `veth_poll`: a driver's program sees each packet that waits, and what that lets pass goes on in lists.
    fn poll(&mut self, machine: &mut Machine, device: DeviceId, first: Skb) {
        /// `net.core.gro_normal_batch`
        const LIST: usize = 8;
        let mut list = std::mem::take(&mut self.passed);
        let mut next = Some(first);
        while let Some(skb) = next {
            self.redirect = RedirectInfo::default();
            list.extend(self.receive_at_driver(machine, device, skb));
            if list.len() == LIST {
                self.receive_list(machine, device, &mut list);
            }
            let mut waiting = self.waiting.iter();
            let place = waiting.position(|waiting| waiting.queue == Queue::Driver(device));
            let more = place.filter(|_| self.received < STORM);
            next = more
                .and_then(|place| self.waiting.remove(place))
                .map(|next| next.skb);
            self.received += u32::from(next.is_some());
        }
        self.receive_list(machine, device, &mut list);
        self.passed = list;
    }

    /// The next packet of a queue, or of the next queue.
    fn next_waiting(&mut self, current: Queue) -> Option<Waiting> {
        let mut waiting = self.waiting.iter();
        let place = waiting.position(|waiting| waiting.queue == current);
        self.waiting.remove(place.unwrap_or(0))
    }

    /// Ends a packet.
    pub(crate) fn end_skb(&mut self, machine: &Machine, device: DeviceId, skb: Skb, kind: EndKind) {
        let memory = &machine.memory;
        let from = skb.link_header();
        let frame = self
            .journey
            .keep(|into| skb.write_frame(memory, from, into));
        self.journey.ends.push(End {
            device,
            met: skb.met,
            kind,
            frame,
        });
        skb.frame.free(&mut self.pool);
    }

    /// The network stack of its node takes a packet in.
    pub(crate) fn take_in(&mut self, machine: &Machine, skb: &mut Skb) {
        let memory = &machine.memory;
        let from = skb.link_header();
        let frame = self
            .journey
            .keep(|into| skb.write_frame(memory, from, into));
        skb.met = None;
        self.journey.intakes.push(Intake {
            device: skb.device,
            frame,
        });
    }

    /// Drops a packet.
    pub(crate) fn drop_skb(
        &mut self,
        machine: &Machine,
        device: DeviceId,
        skb: Skb,
        reason: DropReason,
    ) {
        self.end_skb(machine, device, skb, EndKind::Dropped(reason));
    }

    /// Ends a packet that has no skb, and met a hook.
    pub(crate) fn end_frame(
        &mut self,
        machine: &Machine,
        met: Site,
        device: DeviceId,
        frame: Frame,
        kind: EndKind,
    ) {
        let bytes = frame.bytes(&machine.memory);
        let span = self.journey.keep(|into| into.extend_from_slice(bytes));
        self.journey.ends.push(End {
            device,
            met: Some(met),
            kind,
            frame: span,
        });
        frame.free(&mut self.pool);
    }

    /// The index of a device.
    pub(crate) fn ifindex(&self, device: DeviceId) -> Ifindex {
        self.device(device).ifindex
    }

    /// Puts an skb on a device (`skb->dev`).
    pub(crate) fn place(&self, skb: &mut Skb, device: DeviceId) {
        skb.device = device;
        skb.ifindex = self.ifindex(device).get();
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net")
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}
