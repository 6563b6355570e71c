//! From a scenario to a [`Case`]: every name resolved, every byte counted.

mod datapath;
mod devices;
mod fields;
mod maps;
mod objects;
mod steps;

use crate::check::Expectations;
use crate::decode::Decoder;
use crate::plan::{NodeName, NodePlan, Plan};

use self::maps::Maps;
use self::objects::Objects;
use self::steps::Steps;
use super::error::ScenarioError;
use super::parse::Scenario;

/// The node of a scenario that does not name any.
const NODE: &str = "node";

/// What is to be run, what is expected of it, and how to read what comes out.
#[derive(Debug, Clone)]
pub struct Case {
    /// For the backends.
    pub plan: Plan,
    /// For the check.
    pub expectations: Expectations,
    /// For the reports.
    pub decoder: Decoder,
}

impl Scenario {
    /// Resolves the scenario's names and reads the files that it refers to.
    ///
    /// # Errors
    /// When a name refers to nothing, a file cannot be used, or bytes have the wrong size.
    pub fn case(&self) -> Result<Case, ScenarioError> {
        let source = &self.source;
        let file = &self.file;
        let node = NodeName::new(NODE);
        let devices = devices::devices(source, &file.devices)?;
        let index = |name: &str| {
            devices
                .iter()
                .find(|device| device.name.as_str() == name)
                .map(|device| device.ifindex)
        };
        let (objects, mut object_plans) = Objects::read(source, &file.objects, &index)?;
        let decoder = Decoder::new(objects.datapaths().cloned());
        let maps = Maps {
            source,
            objects: &objects,
            device: &index,
            node: &node,
            decoder: &decoder,
        };
        let steps = Steps {
            source,
            devices: &devices,
            node: &node,
        };
        let (stimuli, packets) = steps.stimuli(&file.steps)?;
        let expectations = Expectations {
            packets,
            maps: maps.expectations(&file.expect)?,
        };
        let mut writes = datapath::cluster(source, file, &devices, &objects)?;
        writes.extend(maps.writes(&file.maps)?);
        let clock = datapath::clock(&objects, &mut object_plans);
        let attachments = devices::attachments(&objects, &file.devices)?;
        let node = NodePlan {
            name: node,
            devices,
            objects: object_plans,
            maps: writes,
            attachments,
            clock,
        };
        let plan = Plan {
            name: self.name.clone(),
            nodes: vec![node],
            stimuli,
            seed: file.seed,
        };
        Ok(Case {
            plan,
            expectations,
            decoder,
        })
    }
}
