//! The emulator as a backend.
//!
//! ```
//! use twinpath::backend::Backend;
//! use twinpath::emulated::{EmulatedBackend, Engine};
//! use twinpath::scenario::Scenario;
//!
//! let scenario = Scenario::parse(
//!     "example.toml".as_ref(),
//!     r#"
//!         description = "What is for no service is the stack's"
//!
//!         [[device]]
//!         name = "eth0"
//!         xdp = "xdp_entry"
//!
//!         [[step]]
//!         send = "udp 192.0.2.10:40000 > 192.0.2.1:53"
//!     "#
//!     .to_owned(),
//! )?;
//! let recording = EmulatedBackend::new(Engine::Checked).run(&scenario.case()?.plan)?;
//! assert_eq!(recording.journeys[0].hops[0].verdict.as_ref().map(|verdict| verdict.name()), Ok("XDP_PASS".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod calls;
mod chance;
mod record;
mod trace;

pub(crate) use build::{EVENT_PAGES, engines};
pub use chance::{Chance, Variant};
pub(crate) use record::{contents_of, events, explain};
pub use trace::trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use twinpath_control::abi::map;
use twinpath_control::gc;
use twinpath_machine::{Errno, LoadError, MapId, ObjectError};
use twinpath_node::{AttachError, BuildError, DeviceId, World, WorldError};

use crate::backend::Backend;
use crate::plan::{
    DeviceName, Joined, MapChange, NodeName, ObjectName, Plan, Stimulus, StimulusKind,
};
use crate::recording::{Journey, MapContents, MapRef, Recording, Warning};
use crate::responder::{Conversation, Endless};
use calls::Callers;

/// What executes the programs' instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Twinpath's own interpreter: checks every access and counts.
    Checked,
    /// The rbpf crate.
    Rbpf,
}

/// Runs plans in user space.
#[derive(Debug, Clone, Copy)]
pub struct EmulatedBackend {
    engine: Engine,
    variant: Variant,
}

/// A plan that is set up in the emulator and takes stimuli one by one.
#[derive(Debug)]
pub struct Emulation {
    world: World,
    devices: BTreeMap<(NodeName, DeviceName), DeviceId>,
    variant: Variant,
    /// The way back from what the world reports.
    places: BTreeMap<DeviceId, (NodeName, DeviceName)>,
    maps: BTreeMap<MapRef, MapId>,
    /// Map elements that hold the time.
    clocks: Vec<(MapId, Vec<u8>)>,
    callers: Callers,
    /// What programs have done so far that nobody means.
    warnings: BTreeSet<Warning>,
    /// What it was made from.
    plan: Plan,
}

/// Why the emulator cannot run a plan.
#[derive(Debug, thiserror::Error)]
pub enum EmulatedError {
    /// A file is no object.
    #[error("{} {source}", path.display())]
    Object {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ObjectError,
    },
    /// The emulator lacks something that the object needs, or a program or a variable is not there.
    #[error("failed to load {}: {source}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What is missing.
        source: LoadError,
    },
    /// No world, no device or no attachment.
    #[error("failed to {0}")]
    World(#[from] WorldError),
    /// A node that Linux would not make, or that is not supported.
    #[error("failed to {0}")]
    Node(#[from] BuildError),
    /// A program that cannot be at its hook of sockets.
    #[error("failed to {0}")]
    Attach(#[from] AttachError),
    /// What the emulator's sockets do not do.
    #[error("failed to {call}: the emulator does not support {what}")]
    Sockets {
        /// The call.
        call: String,
        /// What it would need.
        what: &'static str,
    },
    /// What the emulator's sockets do not do with a packet.
    #[error("failed to let a packet arrive at a socket: the emulator does not support {0}")]
    AtSocket(&'static str),
    /// Packets without end.
    #[error("failed to see its end: it goes round, or becomes ever more packets")]
    Storm,
    /// What a stimulus of a run came to.
    #[error("packet {}: {source}", .number + 1)]
    Stimulus {
        /// The place in the plan's list, from 0.
        number: usize,
        /// Why it ended the run.
        source: Box<EmulatedError>,
    },
    /// Answers without end.
    #[error("failed to {0}")]
    Endless(#[from] Endless),
    /// A name in the plan refers to nothing.
    #[error("no {kind} is named `{name}`")]
    Unknown {
        /// What should have the name.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A packet came to a device that the plan does not have.
    #[error("failed to record a packet at device `{0}`: the plan has no such device")]
    Device(String),
    /// A map does not take an element.
    #[error("failed to write map {map}: {errno}")]
    Map {
        /// The map.
        map: MapRef,
        /// What the kernel would say.
        errno: Errno,
    },
}

impl EmulatedBackend {
    /// A backend with an engine.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            variant: Variant::default(),
        }
    }

    /// The same, with other of what Linux leaves to chance.
    #[must_use]
    pub fn varied(self, variant: Variant) -> Self {
        Self { variant, ..self }
    }

    /// Sets a plan up: everything before its first stimulus.
    ///
    /// # Errors
    /// When the emulator lacks something that the plan needs.
    pub fn start(&self, plan: &Plan) -> Result<Emulation, EmulatedError> {
        build::emulation(self.engine, self.variant, plan)
    }
}

impl Backend for EmulatedBackend {
    type Error = EmulatedError;

    fn run(&mut self, plan: &Plan) -> Result<Recording, EmulatedError> {
        let mut emulation = self.start(plan)?;
        let journeys = plan.stimuli.iter().enumerate();
        let journeys = journeys
            .map(|(number, stimulus)| {
                let journey = emulation.step(stimulus);
                journey.map_err(|source| EmulatedError::Stimulus {
                    number,
                    source: Box::new(source),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Recording {
            journeys,
            maps: emulation.contents(),
            loads: Vec::new(),
            notices: Vec::new(),
            warnings: emulation.warnings,
        })
    }
}

impl Emulation {
    /// One stimulus happens, and everything that it causes.
    ///
    /// # Errors
    /// When the stimulus names a device that the plan does not have, or a clock does not take its time.
    pub fn step(&mut self, stimulus: &Stimulus) -> Result<Journey, EmulatedError> {
        self.set_clocks(u64::try_from(stimulus.at.as_nanos()).unwrap_or(u64::MAX))?;
        match &stimulus.kind {
            StimulusKind::Frame {
                node,
                device,
                bytes,
                joined,
            } => {
                let journey = self.frame(node, device, bytes, joined.as_ref())?;
                self.with_answers(journey)
            }
            StimulusKind::Call { node, socket, call } => {
                let journey = self.call(node, socket, call)?;
                let mut journey = self.with_answers(journey)?;
                self.follow_up(socket, call, &mut journey)?;
                Ok(journey)
            }
            StimulusKind::Change { changes, .. } => {
                changes.iter().try_for_each(|change| self.change(change))?;
                Ok(Journey::default())
            }
            StimulusKind::Collect { node, object } => {
                self.collect(node, object, stimulus.at)?;
                Ok(Journey::default())
            }
        }
    }

    /// Adds what responders answer.
    fn with_answers(&mut self, mut journey: Journey) -> Result<Journey, EmulatedError> {
        if self.plan.responders.is_empty() {
            return Ok(journey);
        }
        let plan = self.plan.clone();
        let mut conversation = Conversation::about(&plan, &journey);
        while let Some((port, answer)) = conversation.next_answer() {
            let came = self.frame(&port.node, &port.device, &answer, None)?;
            conversation.answered(port, answer, came)?;
        }
        journey.answers = conversation.into_answers();
        Ok(journey)
    }

    fn frame(
        &mut self,
        node: &NodeName,
        device: &DeviceName,
        bytes: &[u8],
        joined: Option<&Joined>,
    ) -> Result<Journey, EmulatedError> {
        let id = self.devices.get(&(node.clone(), device.clone())).copied();
        let id = id.ok_or_else(|| unknown("device", device))?;
        let journey = std::mem::take(match joined {
            Some(joined) => self.world.inject_joined(id, bytes, joined),
            None => self.world.inject(id, bytes),
        });
        self.recorded(&journey)
    }

    fn change(&mut self, change: &MapChange) -> Result<(), EmulatedError> {
        let (MapChange::Write { map, .. } | MapChange::Delete { map, .. }) = change;
        let id = self.maps.get(map).ok_or_else(|| unknown("map", map))?;
        let machine = &mut self.world.machine;
        let store = &mut machine.maps[*id];
        let changed = match change {
            MapChange::Write { key, value, .. } => {
                store.user_update(&mut machine.memory, key, value, 0)
            }
            MapChange::Delete { key, .. } => store.delete(&mut machine.memory, key),
        };
        changed.map_err(|errno| EmulatedError::Map {
            map: map.clone(),
            errno,
        })
    }

    /// Takes away what has expired of an object's connections and translations.
    fn collect(
        &mut self,
        node: &NodeName,
        object: &ObjectName,
        now: Duration,
    ) -> Result<(), EmulatedError> {
        let maps = [map::CT, map::SNAT].map(|map| map_ref(node, object, map));
        let of_object = self.maps.iter().filter(|(name, _)| maps.contains(name));
        let of_object = of_object.map(|(name, id)| (name.clone(), *id)).collect();
        let contents = contents_of(&self.world.machine, &of_object);
        let [connections, translations] = maps
            .each_ref()
            .map(|map| contents.get(map).into_iter().flat_map(MapContents::plain));
        let garbage = gc::garbage(connections, translations, gc::seconds(now));
        garbage.keys().try_for_each(|(map, key)| {
            let (map, key) = (map_ref(node, object, map), key.to_vec());
            self.change(&MapChange::Delete { map, key })
        })
    }

    fn set_clocks(&mut self, now: u64) -> Result<(), EmulatedError> {
        let machine = &mut self.world.machine;
        let later = u64::try_from(self.variant.later.as_nanos()).unwrap_or(u64::MAX);
        machine.clock.set_monotonic_ns(now.saturating_add(later));
        for (map, key) in &self.clocks {
            let result =
                machine.maps[*map].user_update(&mut machine.memory, key, &now.to_le_bytes(), 0);
            if let Err(errno) = result {
                let name = self
                    .maps
                    .iter()
                    .find(|(_, id)| *id == map)
                    .map(|(name, _)| name.clone());
                return Err(match name {
                    Some(map) => EmulatedError::Map { map, errno },
                    None => unknown("map", &map.0),
                });
            }
        }
        Ok(())
    }
}

fn unknown(kind: &'static str, name: &dyn std::fmt::Display) -> EmulatedError {
    EmulatedError::Unknown {
        kind,
        name: name.to_string(),
    }
}

/// How an object's map is called in a recording.
fn map_ref(node: &NodeName, object: &ObjectName, map: &str) -> MapRef {
    MapRef {
        node: node.clone(),
        object: object.clone(),
        map: map.to_owned(),
    }
}
