//! The kernel backend, with small programs whose frames say what is to happen to them (`objects/hooks.bpf.c`).
#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

mod events;
mod journeys;
mod laws;
mod machine;
mod maps;
mod mistakes;
mod networks;
mod orders;
mod policy;
mod remains;
mod repetition;
mod replay;
mod soak;
mod sockets;
mod stack;
mod styles;
mod support;
mod tc;
mod test_run;
mod tunnel_ports;
mod xdp;
