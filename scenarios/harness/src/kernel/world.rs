//! A plan, built in the kernel and played.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::batch::{Stranger, share};
use super::chatter::{is_own_report, is_unsolicited};
use super::devices;
use super::edge::Edge;
use super::error::Error;
use super::events::{Room, take_while};
use super::journey::{Blind, Frame, Observations, Returned, Seen, with_tag};
use super::namespace::Namespace;
use super::node::{Node, Untapped};
use super::quiet::SILENT_CYCLES;
use super::switch::Switch;
use super::tap::Observer;
use super::tap::record::{BEHIND_FAR_END, FAR_END, INTAKE, Record, SWITCH};
use crate::batch::groups;
use crate::plan::{
    Attachment, DeviceName, DevicePlace, DevicePlan, Joined, LOOPBACK, NodeName, Plan, Port,
    SocketName, Stimulus, StimulusKind,
};
use crate::recording::{Event, Journey, Recording, SocketHop, left_by_program};
use crate::responder::Conversation;
use crate::socket::SocketCall;

/// A plan's nodes in the kernel.
pub struct World<'a> {
    plan: &'a Plan,
    nodes: Vec<Node<'a>>,
    switches: Vec<Switch>,
    edge: Edge,
    observer: Observer,
    /// By the numbers of the taps: the place of the node in the plan, and what is tapped there.
    taps: Vec<(usize, Tapped)>,
    /// How programs that are still running found their packets, by the number of the run.
    found: BTreeMap<u32, Record>,
    untapped: Blind,
    notices: Vec<String>,
    limit: Duration,
    /// The one on which everything happens.
    cpu: usize,
}

/// What a tap is on, by its place on the node.
#[derive(Debug, Clone, Copy)]
enum Tapped {
    Attachment(usize),
    SocketProgram(usize),
}

/// So many things do not happen before a node that becomes quiet is quiet.
const STORM: usize = 100_000;

/// Frames that are sent without waiting: a veth's queue has room for 256 (`VETH_RING_SIZE`).
const BATCH: usize = 128;
/// Bytes of them: what is recorded of them at each place must fit into the taps' buffer.
const BATCH_BYTES: usize = 64 << 10;

impl<'a> World<'a> {
    /// Builds all that the plan asks for.
    ///
    /// # Errors
    /// When the plan asks for what cannot be, or the kernel refuses.
    pub async fn build(plan: &'a Plan, cpu: usize, limit: Duration) -> Result<Self, Error> {
        let mut world = Self {
            plan,
            edge: Edge::open().await?,
            switches: Vec::new(),
            nodes: Vec::new(),
            observer: Observer::new(cpu)?,
            taps: Vec::new(),
            found: BTreeMap::new(),
            untapped: BTreeSet::new(),
            notices: Vec::new(),
            limit,
            cpu,
        };
        for (number, node) in plan.nodes.iter().enumerate() {
            let node = Node::create(node, number, &world.observer)?;
            world.nodes.push(node);
        }
        for _ in &plan.segments {
            let switch = Switch::create(&world.observer).await?;
            world.switches.push(switch);
        }
        world.make_devices().await?;
        world.edge.enter()?;
        world.edge.connect(plan, &world.observer).await?;
        for switch in &world.switches {
            switch.enter()?;
            switch.connect().await?;
        }
        for node in &world.nodes {
            node.enter()?;
            node.bring_up().await?;
        }
        for node in &world.nodes {
            node.enter()?;
            node.configure(plan.makes_calls(&node.plan.name)).await?;
        }
        for number in 0..world.nodes.len() {
            world.start(number).await?;
        }
        // What the kernel had to say about its new devices belongs to no stimulus.
        world.settle(0).await?;
        world.events(0)?;
        for switch in &world.switches {
            switch.forget().await?;
        }
        for node in &world.nodes {
            node.forget().await?;
        }
        Ok(world)
    }

    async fn make_devices(&mut self) -> Result<(), Error> {
        let namespaces: Vec<&Namespace> = self.nodes.iter().map(Node::namespace).collect();
        for registered in self.plan.registration() {
            let node = &self.nodes[registered.device.node];
            node.enter()?;
            let links = node.links();
            let (switches, edge) = (&mut self.switches, &mut self.edge);
            devices::make(self.plan, registered, links, &namespaces, switches, edge).await?;
        }
        Ok(())
    }

    /// Puts a node's programs where they belong.
    async fn start(&mut self, number: usize) -> Result<(), Error> {
        let node = &mut self.nodes[number];
        node.enter()?;
        node.load(self.cpu)?;
        let untapped = node.attach(self.taps.len() as u32, &self.observer)?;
        let name = &node.plan.name;
        self.notices
            .extend(untapped.iter().map(|untapped| notice(name, untapped)));
        let hooks = untapped
            .into_iter()
            .map(|untapped| (name.clone(), untapped.attachment.hook));
        self.untapped.extend(hooks);
        let attachments = 0..node.plan.attachments.len();
        self.taps
            .extend(attachments.map(|place| (number, Tapped::Attachment(place))));
        if self.plan.has_callers(&node.plan.name) || !node.plan.socket_programs.is_empty() {
            let untapped = node.admit_calls(self.taps.len() as u32, &self.observer)?;
            let notices = untapped.into_iter().map(|(attached, error)| {
                format!(
                    "what program `{}` of object `{}` does at {} of node `{name}` is not recorded: {error}",
                    attached.program, attached.object, attached.hook,
                )
            });
            self.notices.extend(notices);
            let programs = 0..node.plan.socket_programs.len();
            self.taps
                .extend(programs.map(|place| (number, Tapped::SocketProgram(place))));
        }
        Ok(())
    }

    /// Plays the plan's stimuli, one after another, and shows each journey when it is over.
    ///
    /// # Errors
    /// When a stimulus cannot happen, the node does not become quiet, or something that happened was not recorded.
    pub async fn play(
        mut self,
        plan: &Plan,
        batch: bool,
        each: &mut (dyn FnMut(&Journey) + Send),
    ) -> Result<Recording, Error> {
        let mut recording = Recording::default();
        let groups = match batch {
            true => groups(&plan.stimuli),
            false => (0..plan.stimuli.len())
                .map(|place| place..place + 1)
                .collect(),
        };
        for group in groups {
            let journeys = match &plan.stimuli[group.clone()] {
                [stimulus] => vec![self.one(group.start, stimulus).await?],
                stimuli => self.batch(group.start, stimuli).await?,
            };
            journeys.iter().for_each(&mut *each);
            recording.journeys.extend(journeys);
        }
        for node in &self.nodes {
            recording.maps.extend(node.maps()?);
            recording.loads.extend(node.loads());
        }
        recording.notices = self.notices.clone();
        Ok(recording)
    }

    async fn one(&mut self, number: usize, stimulus: &Stimulus) -> Result<Journey, Error> {
        for node in &mut self.nodes {
            node.set_clock(stimulus.at)?;
        }
        let mut journey = match &stimulus.kind {
            StimulusKind::Frame {
                node,
                device,
                bytes,
                joined,
            } => {
                let joined = joined.as_ref();
                self.frame(number, node, device, bytes, joined).await?
            }
            StimulusKind::Call { node, socket, call } => {
                self.call(number, node, socket, call).await?
            }
            StimulusKind::Change { node, changes } => {
                let node = self.node_number(node)?;
                self.nodes[node].change(changes)?;
                Journey::default()
            }
            StimulusKind::Collect { node, object } => {
                let node = self.node_number(node)?;
                self.nodes[node].collect(object, stimulus.at)?;
                Journey::default()
            }
        };
        let mut conversation = Conversation::about(self.plan, &journey);
        while let Some((port, answer)) = conversation.next_answer() {
            let came = self
                .frame(number, &port.node, &port.device, &answer, None)
                .await?;
            conversation.answered(port, answer, came)?;
        }
        journey.answers = conversation.into_answers();
        if let StimulusKind::Call { node, socket, call } = &stimulus.kind {
            self.follow_up(node, socket, call, &mut journey)?;
        }
        Ok(journey)
    }

    /// Of a connection that was only begun when the call returned, what has come of it when all is quiet.
    fn follow_up(
        &mut self,
        name: &NodeName,
        socket: &SocketName,
        call: &SocketCall,
        journey: &mut Journey,
    ) -> Result<(), Error> {
        if let (SocketCall::Connect(to), Some(called)) = (call, &mut journey.called)
            && called.is_under_way()
        {
            let (node, host) = (self.node_number(name)?, self.plan.host_of(name));
            let host = self.node_number(host)?;
            self.nodes[node].enter()?;
            *called = self.nodes[host].connected(socket, *to)?;
        }
        Ok(())
    }

    /// Frames that come at one time, as many without waiting as queues and records have room for.
    async fn batch(&mut self, first: usize, stimuli: &[Stimulus]) -> Result<Vec<Journey>, Error> {
        for node in &mut self.nodes {
            node.set_clock(stimuli[0].at)?;
        }
        let mut journeys = Vec::with_capacity(stimuli.len());
        while journeys.len() < stimuli.len() {
            let (mut frames, mut bytes) = (Vec::new(), 0);
            for (number, stimulus) in (first..).zip(stimuli).skip(journeys.len()) {
                let StimulusKind::Frame {
                    node,
                    device,
                    bytes: frame,
                    ..
                } = &stimulus.kind
                else {
                    break;
                };
                bytes += frame.len();
                if frames.len() == BATCH || (bytes > BATCH_BYTES && !frames.is_empty()) {
                    break;
                }
                frames.push(self.send(number, node, device, frame, None)?);
            }
            let number = first + journeys.len() + frames.len() - 1;
            let observed = self.settle(number).await?;
            let shares = share(&frames, observed).map_err(|Stranger(frame)| Error::Stranger {
                number,
                count: frames.len(),
                frame: crate::frame::line(&frame),
            })?;
            let untapped = &self.untapped;
            let shares = frames.iter().zip(shares);
            journeys.extend(
                shares.map(|(frame, own)| own.into_journey(self.plan, Some(frame), untapped)),
            );
            let events = self.events(number)?;
            if let Some(last) = journeys.last_mut() {
                last.events = events;
            }
        }
        Ok(journeys)
    }

    async fn frame(
        &mut self,
        number: usize,
        node: &NodeName,
        device: &DeviceName,
        bytes: &[u8],
        joined: Option<&Joined>,
    ) -> Result<Journey, Error> {
        let arrived = self.send(number, node, device, bytes, joined)?;
        let observations = self.settle(number).await?;
        Ok(Journey {
            events: self.events(number)?,
            ..observations.into_journey(self.plan, Some(&arrived), &self.untapped)
        })
    }

    /// Lets a frame arrive at a device.
    fn send(
        &self,
        number: usize,
        node: &NodeName,
        device: &DeviceName,
        bytes: &[u8],
        joined: Option<&Joined>,
    ) -> Result<Frame, Error> {
        let place = self.place(node, device)?;
        let plan = &self.nodes[place.node].plan.devices[place.device];
        if !self.plan.is_edge(node, plan) {
            return Err(Error::NoEdge(Port {
                node: node.clone(),
                device: device.clone(),
            }));
        }
        if joined.is_none() {
            check_length(number, node, plan, bytes)?;
        }
        let what = format!("let packet {} arrive at `{device}` of `{node}`", number + 1);
        self.edge
            .send_to(place, bytes, joined)
            .map_err(Error::system(what))?;
        Ok(Frame {
            node: node.clone(),
            device: device.clone(),
            bytes: bytes.to_vec(),
            tagged: false,
        })
    }

    /// A call, and all that comes of it.
    async fn call(
        &mut self,
        number: usize,
        name: &NodeName,
        socket: &SocketName,
        call: &SocketCall,
    ) -> Result<Journey, Error> {
        let (node, host) = (self.node_number(name)?, self.plan.host_of(name));
        let host = self.node_number(host)?;
        self.nodes[node].enter()?;
        let called = self.nodes[host].call(socket, call)?;
        let observations = self.settle(number).await?;
        Ok(Journey {
            called: Some(called),
            events: self.events(number)?,
            ..observations.into_journey(self.plan, None, &self.untapped)
        })
    }

    fn node_number(&self, node: &NodeName) -> Result<usize, Error> {
        let number = self.nodes.iter().position(|known| known.plan.name == *node);
        number.ok_or_else(|| Error::UnknownNode(node.clone()))
    }

    fn place(&self, node: &NodeName, device: &DeviceName) -> Result<DevicePlace, Error> {
        self.node_number(node)?;
        let port = Port {
            node: node.clone(),
            device: device.clone(),
        };
        let place = self.plan.place(&port);
        place.ok_or(Error::UnknownDevice {
            node: port.node,
            device: port.device,
        })
    }

    /// Waits until nothing happens any more, and tells what did.
    async fn settle(&mut self, number: usize) -> Result<Observations, Error> {
        let limit = self.limit;
        let deadline = Instant::now() + limit;
        let mut all = Observations::default();
        let mut silent = 0;
        while silent < SILENT_CYCLES {
            let events = self.nodes.iter_mut().flat_map(|node| &mut node.events);
            let cycle = timeout_at(deadline, self.edge.barrier.cycle());
            let cycle = take_while(events, cycle).await;
            let cycle = cycle.map_err(Error::system("wait for events"))?;
            let Ok(cycle) = cycle else {
                return Err(Error::NotQuiet { number, limit });
            };
            cycle.map_err(Error::system("wait for the node to become quiet"))?;
            let known = (all.count(), all.at_sockets.len());
            let chatter = self.observe(number, &mut all)?;
            silent = if (all.count(), all.at_sockets.len()) == known && !chatter {
                silent + 1
            } else {
                0
            };
            if all.count() > STORM || Instant::now() > deadline {
                return Err(Error::NotQuiet { number, limit });
            }
        }
        Ok(all)
    }

    /// Takes what was observed since the last time. Says whether there was something that is left out.
    fn observe(&mut self, number: usize, all: &mut Observations) -> Result<bool, Error> {
        let lost = |count: u64, what: &str| Error::Lost {
            number,
            count,
            what: what.to_owned(),
        };
        let mut records = Vec::new();
        let drained = self.observer.drain(|record| records.push(record));
        drained.map_err(|count| lost(count, "records of the taps"))?;
        let mut chatter = false;
        for record in records {
            if record.tap == SWITCH {
                chatter = true;
                continue;
            }
            if record.before {
                self.found.insert(record.runs.start, record);
                continue;
            }
            if let Some(hop) = self.socket_hop(&record) {
                all.at_sockets.push(hop);
                continue;
            }
            let seen = self
                .seen(record)
                .ok_or_else(|| lost(1, "record of an unknown place"))?;
            if self.is_chatter(&seen) || self.is_hidden(&seen) {
                chatter = true;
            } else {
                all.add(seen);
            }
        }
        Ok(chatter)
    }

    /// The run of a program at sockets that a record tells of.
    fn socket_hop(&self, record: &Record) -> Option<SocketHop> {
        let (node, Tapped::SocketProgram(place)) = self.taps.get(record.tap as usize)? else {
            return None;
        };
        let plan = self.nodes[*node].plan;
        let attached = &plan.socket_programs[*place];
        Some(SocketHop {
            node: plan.name.clone(),
            hook: attached.hook,
            program: attached.program.clone(),
            returned: Ok(record.code),
            cost: None,
        })
    }

    /// Finds out where a record comes from.
    fn seen(&mut self, record: Record) -> Option<Seen> {
        if matches!(record.tap, FAR_END | BEHIND_FAR_END) {
            let place = self.edge.device_at(record.ifindex)?;
            let plan = self.nodes[place.node].plan;
            let device = &plan.devices[place.device].name;
            return Some(Seen::Arrived(Frame::of(record, &plan.name, device)));
        }
        if let Some(node) = record.tap.checked_sub(INTAKE) {
            let plan = self.nodes.get(node as usize)?.plan;
            let device = plan.device_at(record.ifindex)?;
            let record = record.at(plan, &device);
            return Some(Seen::TakenIn(Frame::of(record, &plan.name, &device)));
        }
        let (node, Tapped::Attachment(place)) = self.taps.get(record.tap as usize)? else {
            return None;
        };
        let plan = self.nodes[*node].plan;
        let attachment = &plan.attachments[*place];
        let device = &attachment.hook.device;
        let found = self.found.remove(&record.runs.start)?.at(plan, device);
        let record = record.at(plan, device);
        Some(Seen::Returned(Returned {
            node: plan.name.clone(),
            hook: attachment.hook.clone(),
            program: attachment.program.clone(),
            filter: *place,
            runs: record.runs,
            code: record.code,
            found: with_tag(&found.packet, found.metadata.vlan),
            packet: record.packet,
            metadata: left_by_program(&found.metadata, record.metadata),
        }))
    }

    /// Whether it is a frame of the kernel's own, wherever it has come to.
    fn is_chatter(&self, seen: &Seen) -> bool {
        let bytes = match seen {
            Seen::Arrived(frame) | Seen::TakenIn(frame) => &frame.bytes,
            Seen::Returned(returned) => &returned.packet,
        };
        let devices = self.nodes.iter().flat_map(|node| &node.plan.devices);
        let mut speakers = devices.filter(|device| {
            let mut addresses = device.addresses.iter();
            addresses.any(|address| address.addr().is_ipv6())
        });
        is_own_report(bytes) || speakers.any(|device| is_unsolicited(bytes, device.mac.0))
    }

    /// Whether a node's own sockets exchange it, unseen.
    fn is_hidden(&self, seen: &Seen) -> bool {
        let Seen::TakenIn(frame) = seen else {
            return false;
        };
        frame.device.as_str() == LOOPBACK && self.plan.hides_loopback(&frame.node)
    }

    /// The records that programs wrote since the last time: map by map, each in its order.
    fn events(&mut self, number: usize) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for source in self.nodes.iter_mut().flat_map(|node| &mut node.events) {
            let reader = source.reader();
            let taken = reader.finish();
            if taken.lost > 0 {
                return Err(Error::Lost {
                    number,
                    count: taken.lost,
                    what: format!("records of map {}", reader.map()),
                });
            }
            events.extend(taken.events);
            if taken.room == Room::Full {
                self.notices.push(format!(
                    "ring buffer {} was full after packet {}: records may be missing",
                    reader.map(),
                    number + 1,
                ));
            }
        }
        // Each stream has its own order, and the streams have that of their names.
        events.sort_by(|a, b| a.map.cmp(&b.map));
        Ok(events)
    }
}

fn notice(node: &NodeName, untapped: &Untapped) -> String {
    let Attachment {
        object,
        program,
        hook,
    } = &untapped.attachment;
    format!(
        "what program `{program}` of object `{object}` does at {hook} of node `{node}` is not recorded: {}",
        untapped.error,
    )
}

/// A frame that no device can take is the mistake of whoever made the plan.
fn check_length(
    number: usize,
    node: &NodeName,
    device: &DevicePlan,
    frame: &[u8],
) -> Result<(), Error> {
    let takes = device.takes(frame);
    if takes.contains(&frame.len()) {
        return Ok(());
    }
    Err(Error::FrameLength {
        number,
        node: node.clone(),
        device: device.name.clone(),
        length: frame.len(),
        most: *takes.end(),
    })
}
