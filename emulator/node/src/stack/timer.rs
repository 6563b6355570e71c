//! What happens because time has passed.

use twinpath_machine::Machine;

use crate::net::{Net, NodeId};

/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;

impl Net {
    /// Does what is due by the machine's clock: asks for neighbours again or gives them up, gives up
    /// packets of which a part has not come.
    pub(crate) fn run_timers(&mut self, machine: &mut Machine) {
        let now = machine.clock.monotonic_ns();
        for node in (0..self.stacks.len() as u32).map(NodeId) {
            while let Some(key) = self.stack(node).and_then(|stack| stack.resolver.due(now)) {
                self.neighbour_timer(machine, key);
                self.drain(machine);
            }
            while let Some(key) = self.stack(node).and_then(|stack| stack.reassembly.due(now)) {
                self.reassembly_timer(machine, node, &key);
                self.drain(machine);
            }
        }
    }
}
