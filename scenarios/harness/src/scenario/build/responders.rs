//! What answers at the far ends of devices.

use std::collections::BTreeMap;

use crate::plan::Port;
use crate::responder::Responder;
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::source::Located;

use super::steps::Steps;

impl Steps<'_> {
    /// What answers where.
    pub fn responders(
        &self,
        responders: &BTreeMap<Located<String>, Responder>,
    ) -> Result<BTreeMap<Port, Responder>, ScenarioError> {
        let each = responders.iter().map(|(name, responder)| {
            let pod = self
                .network
                .pods
                .get(name.as_str())
                .map(|pod| pod.port.clone());
            let port = pod.map_or_else(|| self.network.port(self.source, name, name.span()), Ok)?;
            if self.network.is_edge(&port) {
                return Ok((port, *responder));
            }
            Err(Problem::new(
                format!("what is at the other end of `{port}` is the scenario's own"),
                "expected a pod, or a device without a wire to another",
            )
            .at(self.source, name.span()))
        });
        each.collect()
    }
}
