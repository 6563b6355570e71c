//! The Linux around an eBPF program: packet contexts, packet helpers, devices and hooks.
//!
//! A [`World`] is one kernel: a [machine](twinpath_machine::Machine) with maps and programs, and
//! around it namespaces with devices. A frame that [arrives](World::inject) at a device meets the
//! programs at its hooks in the kernel's order, XDP, tc ingress, the stack, and on the way out tc
//! egress; the [`Journey`] says what each of them returned and where the packet ended. A single
//! program runs on bytes with [`World::test_run`], the twin of `BPF_PROG_TEST_RUN`.
//!
//! ```
//! use twinpath_machine::engine::Checked;
//! use twinpath_machine::isa::parse;
//! use twinpath_machine::{MachineOptions, Program, ProgramType};
//! use twinpath_node::{DeviceOptions, EndKind, HookKind, Ifindex, World};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut world = World::new(MachineOptions::default(), Box::new(|| Box::<Checked>::default()))?;
//! let node = world.add_node();
//! let device = world.add_device(
//!     node,
//!     DeviceOptions {
//!         name: "eth0".to_owned(),
//!         ifindex: Ifindex::new(7).ok_or("an index")?,
//!         mac: "02:00:00:00:00:07".parse()?,
//!         mtu: 1500,
//!     },
//! )?;
//!
//! // r0 = XDP_TX; exit
//! let insns = parse(&[0xb7, 0, 0, 0, 3, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]).map_err(|at| at.to_string())?;
//! let program = Program::bare("bounce", ProgramType::Xdp, insns, &|_, _, _| None);
//! let program = world.machine.add_program(program.map_err(|errors| format!("{errors:?}"))?);
//! world.attach(device, HookKind::Xdp, 0, program)?;
//!
//! let frame = [0u8; 60];
//! let journey = world.inject(device, &frame);
//! assert_eq!(journey.hops[0].result.as_ref().ok(), Some(&3));
//! assert_eq!(journey.ends[0].kind, EndKind::Left);
//! assert_eq!(journey[&journey.ends[0].frame], frame);
//! # Ok(())
//! # }
//! ```
//!
//! An object file is loaded with [`Machine::load`](twinpath_machine::Machine::load), with [`Helpers`]
//! as the environment whose helpers its programs may call.

mod config;
mod context;
mod helpers;
mod net;
mod network;
mod packet;
mod socket;
mod stack;
mod test_run;
mod types;
mod world;

pub use config::{
    BridgeConfig, DeviceConfig, DeviceKind, DeviceSettings, IpipConfig, NeighbourConfig,
    NodeConfig, NodeSettings, RouteConfig, RpFilter, RuleConfig, VxlanConfig, VxlanDf,
};
pub use context::layout;
pub use helpers::Helpers;
pub use net::{
    Device, DeviceId, DeviceOptions, DropReason, End, EndKind, EngineFactory, HookKind, Hop,
    Intake, Journey, Metadata, NodeId, Site, Span, TunnelKey,
};
pub use network::{
    Network, Prefix, Route, RouteKind, RouteQuery, Rule, RuleAction, TABLE_DEFAULT, TABLE_LOCAL,
    TABLE_MAIN, Tables,
};
pub use packet::{ChecksumOffload, EtherType, Joined, Vlan};
pub use socket::{
    AttachError, AttachMode, CgroupId, Connected, Datagram, Family, Flow, Protocol, Reach, Sent,
    Shutdown, Socket, SocketCalls, SocketError, SocketOptions, SocketRun, State, Task,
};
pub use stack::BuildError;
pub use test_run::{TestResult, TestRun, TestRunError};
pub use types::{Ifindex, Mac, MacError};
pub use world::{World, WorldError};
