//! What the tests share.

#[path = "../../../../machine/tests/isa/asm.rs"]
#[allow(dead_code, clippy::trivially_copy_pass_by_ref)] // The machine's tests use all of it.
pub mod asm;
pub mod case;
pub mod maps;
pub mod network;
pub mod packets;
pub mod protocols;
pub mod runner;
pub mod sides;
