//! Recordings as pcapng files, to open in Wireshark.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use twinpath_pcaps::{AtomicFile, Frame, InterfaceId, PcapNgWriter, Timestamp, WriteError};

use crate::describe;
use crate::plan::{DeviceName, NodeName, Plan, Stimulus, StimulusKind};
use crate::recording::{End, Journey, Recording};
use crate::runner::Outcome;

use super::text::fate;

/// Writes `topic/name.BACKEND.pcapng` below the folder for each backend that ran: an interface for each
/// device, each frame that arrived with what became of it as its comment, each frame that left or went up
/// to the stack after it.
///
/// # Errors
/// When a file cannot be written.
pub fn captures(outcome: &Outcome, folder: &Path) -> Result<(), WriteError> {
    let plan = &outcome.case.plan;
    for run in &outcome.runs {
        if let Ok(recording) = &run.result {
            let name = plan.name.replace("::", "/");
            capture(
                plan,
                recording,
                &folder.join(format!("{name}.{}.pcapng", run.arm)),
            )?;
        }
    }
    Ok(())
}

fn capture(plan: &Plan, recording: &Recording, path: &Path) -> Result<(), WriteError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| WriteError::File {
        file: folder.to_owned(),
        action: "create",
        error,
    })?;
    let mut writer = Writer::new(plan, path)?;
    for (stimulus, journey) in plan.stimuli.iter().zip(&recording.journeys) {
        writer.arrival(stimulus, journey)?;
        writer.ends(stimulus.at, journey)?;
        for answer in &journey.answers {
            let place = (&answer.port.node, &answer.port.device);
            let fate = format!("answer: {}", fate(&answer.journey));
            writer.frame(stimulus.at, place, &answer.bytes, fate)?;
            writer.ends(stimulus.at, &answer.journey)?;
        }
    }
    writer.writer.finish()?.commit()
}

struct Writer<'a> {
    writer: PcapNgWriter<AtomicFile>,
    interfaces: BTreeMap<(&'a NodeName, &'a DeviceName), InterfaceId>,
}

impl<'a> Writer<'a> {
    fn new(plan: &'a Plan, path: &Path) -> Result<Self, WriteError> {
        let mut writer = PcapNgWriter::new(AtomicFile::create(path)?)?;
        let mut interfaces = BTreeMap::new();
        for node in &plan.nodes {
            for device in &node.devices {
                let name = match plan.nodes.as_slice() {
                    [_] => device.name.to_string(),
                    _ => format!("{}/{}", node.name, device.name),
                };
                interfaces.insert((&node.name, &device.name), writer.interface(&name)?);
            }
        }
        Ok(Self { writer, interfaces })
    }

    fn arrival(&mut self, stimulus: &Stimulus, journey: &Journey) -> Result<(), WriteError> {
        match &stimulus.kind {
            StimulusKind::Frame {
                node,
                device,
                bytes,
                ..
            } => self.frame(stimulus.at, (node, device), bytes, fate(journey)),
            StimulusKind::Call { .. }
            | StimulusKind::Change { .. }
            | StimulusKind::Collect { .. } => Ok(()),
        }
    }

    fn ends(&mut self, at: Duration, journey: &Journey) -> Result<(), WriteError> {
        let mut ends = journey.ends.iter();
        ends.try_for_each(|end| self.end(at, end))
    }

    fn end(&mut self, at: Duration, end: &End) -> Result<(), WriteError> {
        match end.bytes() {
            Some(bytes) => self.frame(at, end.place(), bytes, describe::way(end)),
            None => Ok(()),
        }
    }

    fn frame(
        &mut self,
        at: Duration,
        place: (&NodeName, &DeviceName),
        bytes: &[u8],
        comment: String,
    ) -> Result<(), WriteError> {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let mut frame = Frame::new(Timestamp::from_nanos(nanos), bytes.to_vec());
        frame.interface = self.interfaces.get(&place).copied().unwrap_or_default();
        frame.comment = Some(comment);
        self.writer.frame(&frame)
    }
}
