//! The nodes of a scenario, and how their parts are called.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use twinpath_control::Endpoint;
use twinpath_control::population::Population;

use crate::plan::{
    Attachment, DeviceKind, DeviceName, DevicePlan, Hook, HookKind, Ifindex, Mac, NodeName,
    NodePlan, Port, Segment, SocketProgram,
};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::expect::OneOrMore;
use crate::scenario::format::ScenarioFile;
use crate::scenario::network::{DeviceEntry, Hooks, Wire};
use crate::scenario::source::{Located, Source};

use super::objects::Objects;
use super::{nodes, topology};

/// All that a scenario says of nodes and what is between them.
#[derive(Default)]
pub(super) struct Network {
    /// In the order of the file, without objects, maps and programs.
    pub nodes: Vec<NodePlan>,
    pub wires: Vec<[Port; 2]>,
    pub segments: Vec<Segment>,
    /// What is to run where, in the order of the file.
    pub programs: Vec<Wanted>,
    /// What is to run at hooks of sockets, by node, in the order of the file.
    socket_programs: Vec<(NodeName, Located<OneOrMore>)>,
    /// What is beyond devices, by name.
    pub pods: BTreeMap<String, Pod>,
    /// The namespaces of pods that have one, by the node's device of each.
    pub namespaces: BTreeMap<Port, NodePlan>,
}

/// Programs that a hook of a device is to have.
pub(super) struct Wanted {
    pub port: Port,
    pub kind: HookKind,
    /// In their order.
    pub programs: Vec<String>,
    /// Where the file says so.
    pub span: Range<usize>,
}

/// What is at the far end of a device.
#[derive(Clone)]
pub(super) struct Pod {
    pub port: Port,
    pub mac: Mac,
    /// Those that the scenario's network gives it.
    pub addresses: Vec<IpAddr>,
}

impl Network {
    /// Reads what the file says of nodes, in one of the three ways.
    pub fn read(
        source: &Arc<Source>,
        file: &ScenarioFile,
        population: &mut Population,
    ) -> Result<Self, ScenarioError> {
        let mistake = |message: &str, expected: &str, span: Range<usize>| {
            Err(Problem::new(message, expected).at(source, span))
        };
        let mut network = Self::default();
        match (&file.topology, file.nodes.first(), file.devices.first()) {
            (Some(topology), None, None) => {
                topology::expand(source, topology, &mut network, population)?;
            }
            (None, Some(_), None) => nodes::several(source, &file.nodes, &mut network)?,
            (None, None, _) => nodes::only(source, &file.devices, &mut network)?,
            (Some(topology), _, _) => {
                return mistake(
                    "this scenario says in two ways what nodes there are",
                    "expected `[topology]` without `[[node]]` and `[[device]]`",
                    topology.span(),
                );
            }
            (None, Some(_), Some(device)) => {
                return mistake(
                    "this device is on no node",
                    "expected `[[node.device]]`, where there are nodes",
                    device.name.span(),
                );
            }
        }
        for wire in &file.wires {
            network.wire(source, wire)?;
        }
        Ok(network)
    }

    fn wire(&mut self, source: &Arc<Source>, wire: &Located<Wire>) -> Result<(), ScenarioError> {
        let ends = wire.value().0.iter();
        let ends = ends.map(|end| self.port(source, end, end.span()));
        let ends: Vec<Port> = ends.collect::<Result<_, _>>()?;
        let twice = |place: usize, port: &Port| ends[..place].contains(port);
        let mut places = ends.iter().enumerate();
        let wrong = places.find(|(place, port)| twice(*place, port) || !self.is_edge(port));
        if let Some((_, end)) = wrong {
            return Err(Problem::new(
                format!("`{end}` cannot be an end of this wire"),
                "expected devices that are no tunnels, dummies or bridges and have no wire yet",
            )
            .at(source, wire.span()));
        }
        self.join(ends);
        Ok(())
    }

    /// Joins devices: two by a wire, more by a switch.
    pub fn join(&mut self, ends: Vec<Port>) {
        match <[Port; 2]>::try_from(ends) {
            Ok(ends) => self.wires.push(ends),
            Err(ports) => self.segments.push(Segment { ports }),
        }
    }

    /// Whether the far end of a device is the scenario's.
    pub fn is_edge(&self, port: &Port) -> bool {
        let device = self.device(port);
        let joined = self.segments.iter().flat_map(|segment| &segment.ports);
        let mut ends = self.wires.iter().flatten().chain(joined);
        device.is_some_and(|device| device.kind == DeviceKind::Veth) && ends.all(|end| end != port)
    }

    /// The end with addresses of a pair whose ends are both on a node: what stands between its stack and its endpoints.
    pub fn host_device<'a>(&self, node: &'a NodePlan) -> Option<&'a DevicePlan> {
        let own = self.wires.iter();
        let mut own = own.filter(|ends| ends.iter().all(|end| end.node == node.name));
        let [a, b] = own.next().filter(|_| own.next().is_none())?;
        let ends = [a, b]
            .into_iter()
            .filter_map(|end| node.device(&end.device));
        ends.into_iter().find(|device| !device.addresses.is_empty())
    }

    /// Finds `device`, or `node/device`.
    pub fn port(
        &self,
        source: &Arc<Source>,
        name: &str,
        span: Range<usize>,
    ) -> Result<Port, ScenarioError> {
        let (node, device) = match name.split_once('/') {
            Some((node, device)) => (Some(node), device),
            None => (None, name),
        };
        let mut found = self.ports().filter(|port| {
            port.device.as_str() == device && node.is_none_or(|node| port.node.as_str() == node)
        });
        match (found.next(), found.next()) {
            (Some(port), None) => Ok(port),
            (Some(first), Some(second)) => Err(Problem::new(
                format!("several nodes have a device named `{name}`"),
                format!("expected `{first}` or `{second}`"),
            )
            .at(source, span)),
            (None, _) => {
                let known: Vec<String> = self.ports().map(|port| port.to_string()).collect();
                let known = known.iter().map(String::as_str);
                Err(Problem::unknown("device", name, known).at(source, span))
            }
        }
    }

    /// The namespace of a pod, if it has one of its own.
    pub fn namespace(&self, pod: &str) -> Option<&NodePlan> {
        self.namespaces.get(&self.pods.get(pod)?.port)
    }

    /// Lets steps call what is beyond a device by the name of its endpoint, and a pod also by its name with the namespace.
    pub fn name_endpoints(&mut self, endpoints: &[Endpoint], population: &Population) {
        for endpoint in endpoints {
            let node = endpoint.node.as_deref();
            let port = self.ports().find(|port| {
                port.device.as_str() == endpoint.device
                    && node.is_none_or(|node| port.node.as_str() == node)
            });
            if let Some(port) = port {
                let mac = Mac(endpoint.mac.0);
                let pod = Pod {
                    port,
                    mac,
                    addresses: Vec::new(),
                };
                if let Ok(full) = population.pod(&endpoint.name) {
                    self.pods.insert(full.to_string(), pod.clone());
                }
                self.pods.insert(endpoint.name.clone(), pod);
            }
        }
    }

    /// Finds a node. Without a name, the only one.
    pub fn node(
        &self,
        source: &Arc<Source>,
        name: Option<&Located<String>>,
        place: Range<usize>,
    ) -> Result<&NodeName, ScenarioError> {
        let names = || self.nodes.iter().map(|node| &node.name);
        match (name, &self.nodes[..]) {
            (None, [only]) => Ok(&only.name),
            (None, _) => Err(Problem::new(
                "this does not say on which node",
                "expected `node = \"NODE\"`, as there are several",
            )
            .at(source, place)),
            (Some(name), _) => names()
                .find(|known| known.as_str() == name.as_str())
                .ok_or_else(|| {
                    let known = names().map(NodeName::as_str);
                    Problem::unknown("node", name, known).at(source, name.span())
                }),
        }
    }

    /// All devices but loopback ones.
    pub fn ports(&self) -> impl Iterator<Item = Port> {
        self.nodes.iter().flat_map(|node| {
            let devices = node.devices.iter();
            devices.map(|device| Port {
                node: node.name.clone(),
                device: device.name.clone(),
            })
        })
    }

    /// A device.
    pub fn device(&self, port: &Port) -> Option<&DevicePlan> {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.name == port.node)?
            .device(&port.device)
    }

    /// The device that has what is for the node by a device: the bridge that it is a port of, or itself.
    pub fn upper(&self, port: &Port) -> Option<&DevicePlan> {
        let mut nodes = self.nodes.iter();
        let node = nodes.find(|node| node.name == port.node)?;
        node.bridge_of(&port.device)
            .or_else(|| node.device(&port.device))
    }

    /// The index of a device that something on a node names: one of that node, or `node/device`.
    pub fn index(&self, node: &NodeName, name: &str) -> Option<Ifindex> {
        let (node, device) = match name.split_once('/') {
            Some((node, device)) => (NodeName::new(node), device),
            None => (node.clone(), name),
        };
        let mut nodes = self.nodes.iter();
        let node = nodes.find(|known| known.name == node)?;
        node.ifindex(&DeviceName::new(device))
    }

    /// The programs at the hooks of a node's devices, in the order of the file.
    pub fn attachments(
        &self,
        objects: &Objects,
        node: &NodeName,
    ) -> Result<Vec<Attachment>, ScenarioError> {
        let mut attachments = Vec::new();
        for wanted in self
            .programs
            .iter()
            .filter(|wanted| wanted.port.node == *node)
        {
            for program in &wanted.programs {
                let (object, program) =
                    objects.program(program, wanted.kind, wanted.span.clone())?;
                attachments.push(Attachment {
                    object,
                    program,
                    hook: Hook {
                        device: wanted.port.device.clone(),
                        kind: wanted.kind,
                    },
                });
            }
        }
        Ok(attachments)
    }

    /// The programs at a node's hooks of sockets, in the order of the file.
    pub fn socket_programs(
        &self,
        objects: &Objects,
        node: &NodeName,
    ) -> Result<Vec<SocketProgram>, ScenarioError> {
        let wanted = self.socket_programs.iter().filter(|(name, _)| name == node);
        let programs =
            wanted.flat_map(|(_, names)| names.0.iter().map(|name| (name, names.span())));
        programs
            .map(|(name, span)| objects.socket_program(name, span))
            .collect()
    }

    /// Remembers what is to run at the hooks of a node's sockets.
    pub fn want_for_sockets(&mut self, node: &NodeName, programs: Option<&Located<OneOrMore>>) {
        let wanted = programs.map(|programs| (node.clone(), programs.clone()));
        self.socket_programs.extend(wanted);
    }

    /// Whether programs at sockets may lead calls elsewhere.
    pub fn has_socket_programs(&self) -> bool {
        !self.socket_programs.is_empty()
    }

    /// Remembers what is to run at the hooks of a device.
    pub fn want(&mut self, port: &Port, hooks: &Hooks) {
        let one = |program: &Option<Located<String>>| {
            let program = program.as_ref()?;
            Some((vec![program.value().clone()], program.span()))
        };
        let more = |programs: &Option<Located<OneOrMore>>| {
            let programs = programs.as_ref()?;
            Some((programs.0.clone(), programs.span()))
        };
        let hooks = [
            (HookKind::Xdp, one(&hooks.xdp)),
            (HookKind::XdpGeneric, one(&hooks.xdp_generic)),
            (HookKind::TcxIngress, more(&hooks.tcx_ingress)),
            (HookKind::TcIngress, more(&hooks.tc_ingress)),
            (HookKind::TcxEgress, more(&hooks.tcx_egress)),
            (HookKind::TcEgress, more(&hooks.tc_egress)),
        ];
        for (kind, wanted) in hooks {
            self.programs.extend(wanted.map(|(programs, span)| Wanted {
                port: port.clone(),
                kind,
                programs,
                span,
            }));
        }
    }
}

impl DeviceEntry {
    /// The programs on it.
    pub(super) fn hooks(&self) -> Hooks {
        Hooks {
            xdp: self.xdp.clone(),
            xdp_generic: self.xdp_generic.clone(),
            tcx_ingress: self.tcx_ingress.clone(),
            tc_ingress: self.tc_ingress.clone(),
            tcx_egress: self.tcx_egress.clone(),
            tc_egress: self.tc_egress.clone(),
        }
    }
}
