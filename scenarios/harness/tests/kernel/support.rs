//! Plans over the test programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use twinpath::backend::Backend;
use twinpath::kernel::{Error, KernelBackend, missing};
use twinpath::plan::{
    Attachment, DeviceName, DevicePlan, Hook, HookKind, Ifindex, Mac, MapValue, MapWrite, NodeName,
    NodePlan, ObjectName, ObjectPlan, Plan, SocketName, Stimulus, StimulusKind,
};
use twinpath::recording::{End, Hop, Journey, Recording};
use twinpath::socket::SocketCall;

/// Leaves the test, with the reason, where the kernel cannot be used.
#[macro_export]
macro_rules! needs_kernel {
    () => {
        if !$crate::support::can_use_kernel() {
            return;
        }
    };
}

pub fn can_use_kernel() -> bool {
    let missing = missing();
    let reasons: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let required = std::env::var_os("TWINPATH_KERNEL").is_some_and(|value| value == "require");
    assert!(reasons.is_empty() || !required, "missing: {reasons:?}");
    if !reasons.is_empty() {
        eprintln!("skipped, missing: {}", reasons.join("; "));
    }
    reasons.is_empty()
}

pub const OBJECT: &[u8] = include_bytes!("../objects/hooks.bpf.o");
pub const PLAIN: &[u8] = include_bytes!("../objects/plain.bpf.o");

/// What `struct order` says is to happen to a frame.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub verdict: u8,
    pub action: u8,
    pub argument: u8,
    pub mark: u8,
}

pub const NOTHING: u8 = 0;
pub const WRITE: u8 = 1;
pub const GROW: u8 = 2;
pub const REDIRECT: u8 = 3;
pub const CLONE: u8 = 4;
pub const VLAN: u8 = 5;
pub const REDIRECT_INGRESS: u8 = 6;

impl Order {
    pub fn just(verdict: u8) -> Self {
        Self::with(verdict, NOTHING, 0)
    }

    pub fn with(verdict: u8, action: u8, argument: u8) -> Self {
        Self {
            verdict,
            action,
            argument,
            mark: 0x77,
        }
    }

    /// A frame of the given length with the order in it.
    pub fn frame(self, length: usize) -> Vec<u8> {
        let mut frame = vec![0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 9, 0x88, 0xb6];
        frame.extend([self.verdict, self.action, self.argument, self.mark]);
        frame.extend((frame.len()..length).map(|at| at as u8));
        frame
    }
}

/// The frame with one byte changed.
pub fn changed(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

/// The frame with an 802.1Q tag.
pub fn with_tag(frame: Vec<u8>, id: u8) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, id], &frame[12..]].concat()
}

pub fn node() -> NodeName {
    NodeName::only()
}

pub fn device(name: &str) -> DeviceName {
    DeviceName::new(name)
}

pub fn hook(name: &str, kind: HookKind) -> Hook {
    Hook {
        device: device(name),
        kind,
    }
}

pub fn object(bytes: &[u8]) -> ObjectPlan {
    ObjectPlan {
        name: ObjectName::new("hooks"),
        path: PathBuf::from("hooks.bpf.o"),
        bytes: bytes.into(),
        globals: BTreeMap::new(),
    }
}

/// A node with the devices `a` (index 5) and `b` (index 7) and the test programs.
pub fn plan() -> Plan {
    let device = |name, ifindex, last| {
        let ifindex = Ifindex::new(ifindex).expect("not zero");
        DevicePlan::veth(device(name), ifindex, Mac([2, 0, 0, 0, 0, last]))
    };
    Plan {
        name: "kernel::test".to_owned(),
        nodes: vec![NodePlan {
            devices: vec![device("a", 5, 1), device("b", 7, 2)],
            objects: vec![object(OBJECT)],
            ..NodePlan::bare(node())
        }],
        wires: Vec::new(),
        segments: Vec::new(),
        responders: BTreeMap::new(),
        stimuli: Vec::new(),
        seed: 0,
    }
}

pub trait PlanExt: Sized {
    fn attach(self, program: &str, device: &str, kind: HookKind) -> Self;
    fn frame(self, device: &str, bytes: Vec<u8>) -> Self;
    /// A call on the only socket there is.
    fn call(self, call: SocketCall) -> Self;
    fn write(self, map: &str, key: &[u8], value: &[u8]) -> Self;
}

impl PlanExt for Plan {
    fn attach(mut self, program: &str, device: &str, kind: HookKind) -> Self {
        self.nodes[0].attachments.push(Attachment {
            object: ObjectName::new("hooks"),
            program: program.to_owned(),
            hook: hook(device, kind),
        });
        self
    }

    fn call(mut self, call: SocketCall) -> Self {
        self.nodes[0].settings.loopback = true;
        let kind = StimulusKind::Call {
            node: node(),
            socket: SocketName::new("socket"),
            call,
        };
        let at = Duration::ZERO;
        self.stimuli.push(Stimulus { at, kind });
        self
    }

    fn frame(mut self, name: &str, bytes: Vec<u8>) -> Self {
        let kind = StimulusKind::Frame {
            node: node(),
            device: device(name),
            bytes,
            joined: None,
        };
        self.stimuli.push(Stimulus {
            at: Duration::ZERO,
            kind,
        });
        self
    }

    fn write(mut self, map: &str, key: &[u8], value: &[u8]) -> Self {
        self.nodes[0].maps.push(MapWrite {
            object: ObjectName::new("hooks"),
            map: map.to_owned(),
            key: key.to_owned(),
            value: MapValue::Bytes(value.to_owned()),
        });
        self
    }
}

pub fn run_with_notices(plan: &Plan) -> Recording {
    KernelBackend::default()
        .run(plan)
        .unwrap_or_else(|error| panic!("{error}"))
}

pub fn run(plan: &Plan) -> Recording {
    let recording = run_with_notices(plan);
    assert!(recording.notices.is_empty(), "{:?}", recording.notices);
    recording
}

pub fn refuse(plan: &Plan) -> Error {
    match KernelBackend::default().run(plan) {
        Ok(_) => panic!("the plan ran"),
        Err(error) => error,
    }
}

pub fn left(name: &str, bytes: &[u8]) -> End {
    End::Left {
        node: node(),
        device: device(name),
        bytes: bytes.to_vec(),
    }
}

pub fn stack(name: &str, bytes: &[u8]) -> End {
    End::Stack {
        node: node(),
        device: device(name),
        bytes: bytes.to_vec(),
    }
}

pub fn dropped(name: &str, kind: HookKind) -> End {
    End::Dropped {
        node: node(),
        hook: hook(name, kind),
        reason: None,
    }
}

/// What a hop returned.
pub fn verdict(hop: &Hop) -> String {
    match &hop.verdict {
        Ok(verdict) => verdict.name(),
        Err(fault) => panic!("{fault:?}"),
    }
}

/// The hops of a journey as text: hook, program, verdict.
pub fn hops(journey: &Journey) -> Vec<String> {
    let text = |hop: &Hop| format!("{} {} {}", hop.hook, hop.program, verdict(hop));
    journey.hops.iter().map(text).collect()
}
