//! From what the world saw to a recording.

use std::collections::BTreeMap;

use twinpath_machine::engine::UninitializedStack;
use twinpath_machine::{Fault, Machine, MapFlags, MapId, MapType, ProgramId};
use twinpath_node::{DeviceId, DropReason, EndKind, Site};

use crate::frame;
use crate::plan::{DeviceName, Hook, HookKind, LOOPBACK, NodeName};
use crate::recording::{
    End, Event, Hop, Journey, MapContents, MapRef, ProgramFault, Verdict, Warning, left_by_program,
};

use crate::stack::{self, Intake};

use super::{EmulatedError, Emulation};

impl Emulation {
    /// A journey in the words of the plan, with the records that programs wrote in its course.
    pub(super) fn recorded(
        &mut self,
        journey: &twinpath_node::Journey,
    ) -> Result<Journey, EmulatedError> {
        if let Some(what) = self.world.take_unsupported() {
            return Err(EmulatedError::AtSocket(what));
        }
        let storm = EndKind::Dropped(DropReason::Storm);
        if journey.ends.iter().any(|end| end.kind == storm) {
            return Err(EmulatedError::Storm);
        }
        let hops: Vec<Hop> = journey
            .hops
            .iter()
            .map(|hop| self.hop(hop, journey))
            .collect::<Result<_, _>>()?;
        let recorded = |waiting: bool| {
            let ends = journey.ends.iter();
            let ends = ends.filter(move |end| (end.kind == EndKind::Waiting) == waiting);
            ends.filter_map(|end| self.end(end, journey).transpose())
        };
        let mut ends: Vec<End> = recorded(false).collect::<Result<_, _>>()?;
        let intakes = journey.intakes.iter();
        let intakes = intakes
            .filter(|intake| !self.is_hidden(intake.device))
            .map(|intake| self.intake(intake, journey))
            .collect::<Result<_, _>>()?;
        stack::add_ends(&self.plan, intakes, &mut ends);
        // Of a packet that waits for a neighbour, what is seen is the question for that; if it is not, the packet is gone.
        if ends.is_empty() {
            ends = recorded(true).collect::<Result<_, _>>()?;
        }
        let warnings = journey.hops.iter().flat_map(|hop| &hop.warnings);
        self.warnings
            .extend(warnings.map(|warning| warn(&self.world.machine, warning)));
        Ok(Journey {
            ends,
            events: events(&mut self.world.machine, &self.maps),
            hops,
            socket_hops: self.socket_hops(),
            ..Journey::default()
        })
    }

    /// Whether a device is the one by which a node's own sockets exchange packets, unseen.
    fn is_hidden(&self, device: DeviceId) -> bool {
        self.places.get(&device).is_some_and(|(node, device)| {
            device.as_str() == LOOPBACK && self.plan.hides_loopback(node)
        })
    }

    fn hop(
        &self,
        hop: &twinpath_node::Hop,
        journey: &twinpath_node::Journey,
    ) -> Result<Hop, EmulatedError> {
        let (node, hook) = self.hook(hop.site)?;
        let machine = &self.world.machine;
        let program = machine
            .program(hop.program)
            .map(|program| program.name.clone());
        Ok(Hop {
            node,
            program: program.unwrap_or_default(),
            verdict: match &hop.result {
                Ok(code) => Ok(Verdict {
                    hook: hook.kind,
                    code: *code,
                }),
                Err(fault) => Err(explain(machine, hop.program, fault)),
            },
            bytes: self.packet(hop.site.device, &journey[&hop.frame]),
            metadata: left_by_program(&hop.found, hop.metadata),
            cost: hop.cost.map(Into::into),
            hook,
        })
    }

    /// Where a packet ended; `None` if it was dropped before it met a hook. Then it never came to this node, or
    /// it is a copy of which only the program that made it knows.
    fn end(
        &self,
        end: &twinpath_node::End,
        journey: &twinpath_node::Journey,
    ) -> Result<Option<End>, EmulatedError> {
        let bytes = || journey[&end.frame].to_vec();
        let reason = match end.kind {
            EndKind::Left => {
                let (node, device) = self.place(end.device)?;
                let bytes = bytes();
                return Ok(Some(End::Left {
                    node,
                    device,
                    bytes,
                }));
            }
            // Seen from outside, what a program kept is gone.
            EndKind::Consumed => DropReason::Verdict,
            EndKind::Dropped(reason) => reason,
            // That the stack took it is known already.
            EndKind::Stack | EndKind::Swallowed => return Ok(None),
            // Until the neighbour answers.
            EndKind::Waiting => DropReason::NoNeighbour,
        };
        let Some(site) = end.met else {
            return Ok(None);
        };
        let (node, hook) = self.hook(site)?;
        Ok(Some(End::Dropped {
            node,
            hook,
            reason: Some(reason),
        }))
    }

    fn intake(
        &self,
        intake: &twinpath_node::Intake,
        journey: &twinpath_node::Journey,
    ) -> Result<Intake, EmulatedError> {
        let (node, device) = self.place(intake.device)?;
        Ok(Intake {
            node,
            device,
            bytes: self.packet(intake.device, &journey[&intake.frame]),
        })
    }

    /// A packet as recordings have those of a device.
    fn packet(&self, device: DeviceId, bytes: &[u8]) -> Vec<u8> {
        match self.world.device(device).has_link_header() {
            true => bytes.to_vec(),
            false => frame::below_header(bytes),
        }
    }

    fn place(&self, device: DeviceId) -> Result<(NodeName, DeviceName), EmulatedError> {
        let place = self.places.get(&device).cloned();
        place.ok_or_else(|| EmulatedError::Device(self.world.device(device).name().to_owned()))
    }

    fn hook(&self, site: Site) -> Result<(NodeName, Hook), EmulatedError> {
        let (node, device) = self.place(site.device)?;
        let kind = kind(site.hook)?;
        Ok((node, Hook { device, kind }))
    }

    /// The maps as they are now.
    pub(super) fn contents(&self) -> BTreeMap<MapRef, MapContents> {
        contents_of(&self.world.machine, &self.maps)
    }
}

/// Takes the records that programs wrote, map by map.
pub(crate) fn events(machine: &mut Machine, maps: &BTreeMap<MapRef, MapId>) -> Vec<Event> {
    let mut events = Vec::new();
    for (name, id) in maps {
        let map = &mut machine.maps[*id];
        let perf = map.def().kind == MapType::PerfEventArray;
        for record in map.take_records(&mut machine.memory) {
            events.push(Event {
                map: name.clone(),
                bytes: if perf {
                    perf_padded(record.bytes)
                } else {
                    record.bytes
                },
                phase: 0,
            });
        }
    }
    events
}

/// The maps as they are now; those of kinds that hold no plain bytes, and constants, are left out.
pub(crate) fn contents_of(
    machine: &Machine,
    maps: &BTreeMap<MapRef, MapId>,
) -> BTreeMap<MapRef, MapContents> {
    maps.iter()
        .filter_map(|(name, id)| Some((name.clone(), contents(machine, *id)?)))
        .collect()
}

fn kind(hook: twinpath_node::HookKind) -> Result<HookKind, EmulatedError> {
    match hook {
        twinpath_node::HookKind::Xdp => Ok(HookKind::Xdp),
        twinpath_node::HookKind::XdpGeneric => Ok(HookKind::XdpGeneric),
        twinpath_node::HookKind::TcxIngress => Ok(HookKind::TcxIngress),
        twinpath_node::HookKind::TcxEgress => Ok(HookKind::TcxEgress),
        twinpath_node::HookKind::TcIngress => Ok(HookKind::TcIngress),
        twinpath_node::HookKind::TcEgress => Ok(HookKind::TcEgress),
        twinpath_node::HookKind::XdpDevmap => Ok(HookKind::XdpDevmap),
    }
}

/// What the program did, and on which line.
pub(crate) fn explain(machine: &Machine, program: ProgramId, fault: &Fault) -> ProgramFault {
    let source = source(machine, program, fault.instruction);
    ProgramFault(format!(
        "{}, instruction {} of {}{source}",
        fault.kind, fault.instruction, fault.program
    ))
}

/// What the program did, and on which line.
pub(super) fn warn(machine: &Machine, warning: &UninitializedStack) -> Warning {
    let program = machine.program(warning.program);
    let name = program.map_or("", |program| &program.name);
    let source = source(machine, warning.program, warning.instruction);
    Warning(format!(
        "{warning}, instruction {} of {name}{source}",
        warning.instruction
    ))
}

/// The source line of an instruction, where the object tells.
fn source(machine: &Machine, program: ProgramId, instruction: u32) -> String {
    let program = machine.program(program);
    let line = program.and_then(|program| program.line_at(instruction));
    line.map_or(String::new(), |line| {
        format!(" at {}:{} `{}`", line.file, line.line, line.text.trim())
    })
}

/// As user space reads a record: its length of 32 bits and the record are a multiple of 8 bytes
/// (`perf_prepare_sample` of `kernel/events/core.c`).
fn perf_padded(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = (bytes.len() + 4).next_multiple_of(8) - 4;
    bytes.resize(len, 0);
    bytes
}

fn contents(machine: &Machine, id: MapId) -> Option<MapContents> {
    let map = &machine.maps[id];
    let (array, per_cpu) = match map.def().kind {
        MapType::Array => (true, false),
        MapType::PerCpuArray => (true, true),
        MapType::Hash | MapType::LruHash | MapType::LpmTrie => (false, false),
        MapType::PerCpuHash | MapType::LruPerCpuHash => (false, true),
        _ => return None,
    };
    if map.def().flags.has(MapFlags::RDONLY_PROG) {
        return None;
    }
    let zero = |values: &Vec<Vec<u8>>| values.iter().flatten().all(|byte| *byte == 0);
    let entries = map.entries(&machine.memory).into_iter();
    Some(MapContents {
        entries: entries
            .filter(|(_, values)| !(array && zero(values)))
            .collect(),
        per_cpu,
    })
}
