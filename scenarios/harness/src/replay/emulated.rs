//! In user space.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use twinpath_machine::{
    Cpu, LoadOptions, MachineOptions, MapId, MapType, Object, Placement, ProgramId, ProgramType,
    running_kconfig,
};
use twinpath_node::{
    DeviceId, DeviceOptions, DropReason, EndKind, Helpers, HookKind, NodeId, TestRun, TestRunError,
    World,
};

use super::{Ran, ReplayError, Replayer, Setup, Stop, Verdict};
use crate::emulated::{self, EVENT_PAGES, EmulatedError, Engine};
use crate::plan::{self, DeviceName, Hook, Ifindex, Mac, NodeName, ObjectName};
use crate::recording::{End, MapContents, MapRef};

/// The device that the program is attached to and the packets arrive at.
pub const DEVICE: &str = "eth0";

/// Its index, the same as the first device of a scenario has.
const INDEX: u32 = 10;

/// Its address.
const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);

/// How to make an [`Emulated`].
#[derive(Debug, Clone, Copy)]
pub struct EmulatedOptions {
    /// What executes instructions.
    pub engine: Engine,
    /// Possible CPUs.
    pub cpus: u32,
    /// Seed of everything random that the program can see.
    pub seed: u64,
    /// The device's, in bytes.
    pub mtu: u32,
    /// Whether even a program that could stand on a device runs as `BPF_PROG_TEST_RUN` runs it.
    pub test_run: bool,
}

/// The emulator with one program.
pub struct Emulated {
    world: World,
    program: ProgramId,
    name: String,
    kind: ProgramType,
    way: Way,
    maps: BTreeMap<MapRef, MapId>,
}

/// How packets get to the program.
enum Way {
    Device(DeviceId),
    TestRun(NodeId),
}

impl Emulated {
    /// Loads the program with its maps.
    ///
    /// # Errors
    /// When the emulator lacks something that the program needs.
    pub fn new(setup: &Setup, options: EmulatedOptions) -> Result<Self, ReplayError> {
        let machine = MachineOptions {
            // rbpf works on the host's addresses.
            placement: match options.engine {
                Engine::Checked => Placement::Anywhere,
                Engine::Rbpf => Placement::Identity,
            },
            cpus: options.cpus,
            seed: options.seed,
            ..MachineOptions::default()
        };
        let world = World::new(machine, emulated::engines(options.engine));
        let mut world = world.map_err(EmulatedError::from)?;
        let node = world.add_node();
        let (program, maps) = load(&mut world, setup)?;
        let hook = match setup.kind {
            ProgramType::Xdp => Some(HookKind::Xdp),
            ProgramType::SchedCls => Some(HookKind::TcIngress),
            _ => None,
        };
        let way = match hook.filter(|_| !options.test_run) {
            None => Way::TestRun(node),
            Some(hook) => {
                let device = device(&mut world, node, options.mtu)?;
                let attached = world.attach(device, hook, 1, program);
                attached.map_err(EmulatedError::from)?;
                Way::Device(device)
            }
        };
        Ok(Self {
            world,
            program,
            name: setup.program.clone(),
            kind: setup.kind,
            way,
            maps,
        })
    }

    fn arrive(&mut self, device: DeviceId, bytes: &[u8]) -> Ran {
        let journey = std::mem::take(self.world.inject(device, bytes));
        let Some(hop) = journey.hops.first() else {
            let reason = journey.ends.iter().find_map(|end| match end.kind {
                EndKind::Dropped(reason) => Some(reason),
                _ => None,
            });
            let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            let refused = Stop::Refused(format!("the device does not take it{reason}"));
            return Ran {
                ends: Some(Vec::new()),
                ..Ran::stopped(refused)
            };
        };
        let machine = &self.world.machine;
        let result = match &hop.result {
            Ok(code) => Ok(Verdict::new(self.kind, *code)),
            Err(fault) => Err(Stop::Fault(
                emulated::explain(machine, hop.program, fault).0,
            )),
        };
        Ran {
            result,
            bytes: Some(journey[&hop.frame].to_vec()),
            cost: hop.cost.map(Into::into),
            ends: Some(self.ends(&journey)),
            events: emulated::events(&mut self.world.machine, &self.maps),
            notices: Vec::new(),
        }
    }

    /// The program's hook is the only one that there is.
    fn ends(&self, journey: &twinpath_node::Journey) -> Vec<End> {
        let node = || NodeName::new("node");
        let hook = || Hook {
            device: DeviceName::new(DEVICE),
            kind: match self.kind {
                ProgramType::Xdp => plan::HookKind::Xdp,
                _ => plan::HookKind::TcIngress,
            },
        };
        let dropped = |reason| End::Dropped {
            node: node(),
            hook: hook(),
            reason: Some(reason),
        };
        let ends = journey.ends.iter().filter_map(|end| {
            let device = DeviceName::new(self.world.device(end.device).name());
            let bytes = journey[&end.frame].to_vec();
            Some(match end.kind {
                EndKind::Left => End::Left {
                    node: node(),
                    device,
                    bytes,
                },
                EndKind::Stack => End::Stack {
                    node: node(),
                    device,
                    bytes,
                },
                EndKind::Consumed => dropped(DropReason::Verdict),
                EndKind::Dropped(reason) => dropped(reason),
                // On nodes with a network stack only, and a replay has none.
                EndKind::Waiting | EndKind::Swallowed => return None,
            })
        });
        ends.collect()
    }

    fn test_run(&mut self, node: NodeId, bytes: &[u8]) -> Result<Ran, ReplayError> {
        let run = TestRun {
            program: self.program,
            node,
            data: bytes,
            context: None,
            checksum_complete: false,
        };
        let result = match self.world.test_run(run) {
            Ok(result) => result,
            Err(error) => {
                let stop = match error {
                    TestRunError::Refused { reason, errno } => {
                        Stop::Refused(format!("{reason} ({errno})"))
                    }
                    TestRunError::Fault(fault) => {
                        let machine = &self.world.machine;
                        Stop::Fault(emulated::explain(machine, self.program, &fault).0)
                    }
                    other => {
                        return Err(ReplayError::Run {
                            program: self.name.clone(),
                            problem: other.to_string(),
                        });
                    }
                };
                return Ok(Ran::stopped(stop));
            }
        };
        Ok(Ran {
            result: Ok(Verdict::new(self.kind, result.returned.cast_signed())),
            bytes: Some(result.data),
            cost: result.cost.map(Into::into),
            ends: None,
            events: emulated::events(&mut self.world.machine, &self.maps),
            notices: Vec::new(),
        })
    }
}

impl Replayer for Emulated {
    fn packet(&mut self, at: Duration, bytes: &[u8]) -> Result<Ran, ReplayError> {
        let now = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        self.world.machine.clock.set_monotonic_ns(now);
        match self.way {
            Way::Device(device) => Ok(self.arrive(device, bytes)),
            Way::TestRun(node) => self.test_run(node, bytes),
        }
    }

    fn maps(&self) -> Result<BTreeMap<MapRef, MapContents>, ReplayError> {
        Ok(emulated::contents_of(&self.world.machine, &self.maps))
    }
}

fn device(world: &mut World, node: NodeId, mtu: u32) -> Result<DeviceId, ReplayError> {
    let ifindex = Ifindex::new(INDEX).ok_or_else(|| ReplayError::Run {
        program: DEVICE.to_owned(),
        problem: "no index".to_owned(),
    })?;
    let options = DeviceOptions {
        name: DEVICE.to_owned(),
        ifindex,
        mac: MAC,
        mtu,
    };
    Ok(world
        .add_device(node, options)
        .map_err(EmulatedError::from)?)
}

fn load(
    world: &mut World,
    setup: &Setup,
) -> Result<(ProgramId, BTreeMap<MapRef, MapId>), ReplayError> {
    let object = Object::parse(&setup.bytes).map_err(|source| EmulatedError::Object {
        path: setup.path.clone(),
        source,
    })?;
    let options = LoadOptions {
        globals: setup.globals.clone(),
        programs: Some(BTreeSet::from([setup.program.clone()])),
        types: BTreeMap::from([(setup.program.clone(), setup.kind)]),
        max_entries: setup.max_entries.clone(),
        kconfig: running_kconfig(&object),
        ..LoadOptions::default()
    };
    let loaded = world.machine.load(&object, &options, &Helpers);
    let loaded = loaded.map_err(|source| EmulatedError::Load {
        path: setup.path.clone(),
        source,
    })?;
    let program = loaded.programs.get(&setup.program).copied();
    let program = program.ok_or_else(|| EmulatedError::Unknown {
        kind: "program",
        name: setup.program.clone(),
    })?;
    let machine = &mut world.machine;
    let cpus = machine.cpus();
    for id in loaded.maps.values() {
        let map = &mut machine.maps[*id];
        if map.def().kind == MapType::PerfEventArray {
            for cpu in 0..cpus {
                // An array without room for the events of a CPU gives programs what the kernel gives them.
                let _ = map.open_events(Cpu(cpu), EVENT_PAGES);
            }
        }
    }
    let maps = loaded.maps.iter();
    Ok((
        program,
        maps.map(|(name, id)| (setup.map_ref(name), *id)).collect(),
    ))
}

impl Setup {
    /// How a map of the object is called.
    pub(super) fn map_ref(&self, map: &str) -> MapRef {
        MapRef {
            node: NodeName::new("node"),
            object: self.object(),
            map: map.to_owned(),
        }
    }

    /// What the object is called: its file's name without the ending.
    pub fn object(&self) -> ObjectName {
        ObjectName::new(self.path.file_stem().unwrap_or_default().to_string_lossy())
    }
}
