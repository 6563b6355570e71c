//! The datapath's programs carry random packets over random networks in the kernel as in the emulator, and keep their laws
//! there, too.
//!
//! `TWINPATH_CASES` says how many networks (24), `TWINPATH_SEED` which.

use twinpath::arm::Arm;
use twinpath::emulated::Engine;

use crate::needs_kernel;

#[path = "../laws/checksums.rs"]
mod checksums;
#[path = "../laws/hold.rs"]
mod hold;
#[path = "../laws/nat.rs"]
mod nat;
#[path = "../laws/traffic.rs"]
mod traffic;

const NETWORKS: u32 = 24;

/// Of up to 12 flows each.
const TRANSLATORS: u32 = 12;

#[test]
fn nat_forward_and_back_is_the_identity_in_the_kernel() {
    needs_kernel!();
    let arms = [Arm::Emulator(Engine::Checked), Arm::Kernel];
    println!("{}", nat::hold(TRANSLATORS, &arms, 0));
}

#[test]
fn the_datapath_keeps_its_laws_in_the_kernel() {
    needs_kernel!();
    let arms = [Arm::Emulator(Engine::Checked), Arm::Kernel];
    println!("{}", hold::hold(NETWORKS, &arms, 0));
}
