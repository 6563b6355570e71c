//! Runs eBPF datapath programs in the kernel and in user space and shows every difference.
//!
//! Data flows one way:
//!
//! | step | type | made by |
//! |---|---|---|
//! | a TOML file, its places kept | [`Scenario`](scenario::Scenario) | [`scenario`] |
//! | every name resolved, every byte counted | [`Plan`](plan::Plan), [`Expectations`](check::Expectations) | [`Scenario::case`](scenario::Scenario::case) |
//! | what a backend saw | [`Recording`](recording::Recording) | [`emulated`], [`kernel`] |
//! | what is not as expected, what differs | [`Diff`](diff::Diff) | [`check`], [`diff`] |
//! | for people, programs and Wireshark | | [`report`] |
//!
//! [`replay`] is a shorter way for one program of any object over a capture.
//!
//! ```
//! use twinpath::arm::Arm;
//! use twinpath::emulated::Engine;
//! use twinpath::runner::{self, Status};
//! use twinpath::scenario::Scenario;
//!
//! let text = r#"
//!     description = "A denied source is dropped, and an event says why"
//!     deny = ["198.51.100.0/24"]
//!
//!     [[device]]
//!     name = "eth0"
//!     xdp = "xdp_entry"
//!
//!     [[step]]
//!     send = "tcp 198.51.100.7:40000 > 192.0.2.80:80 SYN"
//!     expect = { verdict = "XDP_DROP", ends = "dropped", reason = "Policy denied by denylist" }
//! "#;
//! let scenario = Scenario::parse("deny.toml".as_ref(), text.to_owned())?;
//! let case = scenario.case()?;
//! let outcome = runner::run(case, &[Arm::Emulator(Engine::Checked), Arm::Emulator(Engine::Rbpf)]);
//! assert_eq!(outcome.status(), Status::Passed);
//! # Ok::<(), twinpath::scenario::ScenarioError>(())
//! ```

pub mod arm;
pub mod backend;
pub mod batch;
pub mod check;
pub mod cli;
pub mod datapath;
pub mod decode;
pub mod describe;
pub mod diff;
pub mod emulated;
pub mod frame;
mod ip;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod object;
pub mod parallel;
pub mod plan;
pub mod recording;
pub mod replay;
pub mod report;
pub mod responder;
pub mod runner;
pub mod scenario;
pub mod show;
pub mod socket;
pub mod stack;
pub mod trace;
