//! The order in which the devices of a plan come to be.
//!
//! Linux goes by it where a device lacks what another one of its node has: an address to ask for a neighbour from
//! (`inet_select_addr`), say. So each node's devices come in the order of the plan; but both ends of a wire come at once,
//! and where two nodes have the ends of two wires in opposite orders one of them must give way.

use super::{NodeName, Plan, Port};

/// A device of a plan: the place of its node, and its own among the node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DevicePlace {
    /// Of its node in the plan.
    pub node: usize,
    /// Among the devices of the node.
    pub device: usize,
}

/// A device that comes to be, with the far end of its wire, if the plan has that; the far end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// The device.
    pub device: DevicePlace,
    /// The other end of its wire.
    pub far_end: Option<DevicePlace>,
}

impl Plan {
    /// All devices, each once, in the order in which they come to be.
    pub fn registration(&self) -> Vec<Registered> {
        let mut order = Order {
            plan: self,
            made: self
                .nodes
                .iter()
                .map(|node| vec![false; node.devices.len()])
                .collect(),
            order: Vec::new(),
        };
        while order.advance(Meeting::Both) || order.advance(Meeting::One) {}
        order.order
    }

    /// The places of a node's devices in the order in which they come to be.
    pub fn registered(&self, node: &NodeName) -> Vec<usize> {
        let order = self.registration().into_iter();
        let all = order.flat_map(|registered| {
            let far_end = registered.far_end.into_iter();
            far_end.chain([registered.device])
        });
        let own = all.filter(|at| self.nodes[at.node].name == *node);
        own.map(|at| at.device).collect()
    }

    /// Where a device stands in the plan, if it does.
    pub fn place(&self, port: &Port) -> Option<DevicePlace> {
        let mut nodes = self.nodes.iter();
        let node = nodes.position(|node| node.name == port.node)?;
        let mut devices = self.nodes[node].devices.iter();
        let device = devices.position(|device| device.name == port.device)?;
        Some(DevicePlace { node, device })
    }
}

/// Whose turn it must be for a wire to come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// Both ends are the next devices of their nodes.
    Both,
    /// One is.
    One,
}

struct Order<'a> {
    plan: &'a Plan,
    /// Whether a device has come to be, by node.
    made: Vec<Vec<bool>>,
    order: Vec<Registered>,
}

impl Order<'_> {
    /// Makes what can be made: all such devices, or one where only one end's turn has come. Whether there was any.
    fn advance(&mut self, meeting: Meeting) -> bool {
        let before = self.order.len();
        for node in 0..self.made.len() {
            while let Some(device) = self.next(node) {
                let device = DevicePlace { node, device };
                let far_end = self.far_end(device);
                let meets = far_end
                    .is_none_or(|end| end.node == node || self.next(end.node) == Some(end.device));
                if !meets && meeting == Meeting::Both {
                    break;
                }
                for made in far_end.into_iter().chain([device]) {
                    self.made[made.node][made.device] = true;
                }
                self.order.push(Registered { device, far_end });
                if meeting == Meeting::One {
                    return true;
                }
            }
        }
        self.order.len() > before
    }

    fn next(&self, node: usize) -> Option<usize> {
        self.made[node].iter().position(|made| !made)
    }

    fn far_end(&self, at: DevicePlace) -> Option<DevicePlace> {
        let node = &self.plan.nodes[at.node];
        let peer = self.plan.peer(&node.name, &node.devices[at.device].name)?;
        self.plan.place(peer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::{DeviceName, DevicePlan, Ifindex, Mac, NodePlan};

    /// Nodes as lists of devices, what is wired to what, and the order of each node.
    type Case = (
        &'static [&'static [&'static str]],
        &'static [[&'static str; 2]],
        &'static str,
    );

    /// Nodes as lists of devices, and what is wired to what.
    fn order(nodes: &[&[&str]], wires: &[[&str; 2]]) -> String {
        let device = |number: usize, name: &str| {
            let ifindex = Ifindex::new(number as u32 + 10).expect("not zero");
            DevicePlan::veth(DeviceName::new(name), ifindex, Mac([0; 6]))
        };
        let node = |(number, devices): (usize, &&[&str])| NodePlan {
            devices: (0..)
                .zip(*devices)
                .map(|(place, name)| device(place, name))
                .collect(),
            ..NodePlan::bare(NodeName::new(number.to_string()))
        };
        let port = |text: &str| {
            let (node, device) = text.split_at(1);
            Port {
                node: NodeName::new(node),
                device: DeviceName::new(device),
            }
        };
        let plan = Plan {
            nodes: nodes.iter().enumerate().map(node).collect(),
            wires: wires.iter().map(|ends| ends.map(port)).collect(),
            name: "registration".to_owned(),
            segments: Vec::new(),
            responders: BTreeMap::new(),
            stimuli: Vec::new(),
            seed: 0,
        };
        let registered = (0..nodes.len()).map(|number| {
            let places = plan.registered(&NodeName::new(number.to_string()));
            let names = places.iter().map(|place| nodes[number][*place]);
            names.collect::<Vec<_>>().concat()
        });
        registered.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_node_keeps_its_order_where_it_can() {
        let cases: &[Case] = &[
            (&[&["a", "b"], &["c", "d"]], &[], "ab cd"),
            (&[&["a", "b"], &["c", "d"]], &[["0a", "1d"]], "ab cd"),
            (&[&["a", "b"], &["c", "d"]], &[["1c", "0b"]], "ab cd"),
            (
                &[&["a", "b"], &["c", "d"]],
                &[["0a", "1c"], ["0b", "1d"]],
                "ab cd",
            ),
            // In opposite orders: the first node keeps its own.
            (
                &[&["a", "b"], &["c", "d"]],
                &[["0a", "1d"], ["0b", "1c"]],
                "ab dc",
            ),
            // Three in a circle, each with the other's first.
            (
                &[&["a", "b"], &["c", "d"], &["e", "f"]],
                &[["0a", "1d"], ["1c", "2f"], ["2e", "0b"]],
                "ab dc ef",
            ),
            // Both ends on a node: the far end is there first.
            (&[&["a", "b", "c"]], &[["0a", "0c"]], "cab"),
        ];
        for (nodes, wires, expected) in cases {
            assert_eq!(order(nodes, wires), *expected, "{nodes:?} {wires:?}");
        }
    }
}
