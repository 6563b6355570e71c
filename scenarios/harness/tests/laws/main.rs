//! Laws of the datapath, whatever the network, the policies and the packets: checksums stay right, each drop is told of
//! once and counted, no packet leaves twice, and an answer comes to who has asked from whom was asked.
//!
//! `TWINPATH_CASES` says how many networks (60, of up to [`traffic::PACKETS`] packets each), `TWINPATH_SEED` which. The
//! kernel's tests hold some networks to the same.

mod checksums;
mod hold;
mod nat;
mod traffic;

use twinpath::arm::Arm;
use twinpath::emulated::Engine;

const NETWORKS: u32 = 60;
const SHRINKING: u32 = 500;

/// Of up to 12 flows each.
const TRANSLATORS: u32 = 60;

#[test]
fn nat_forward_and_back_is_the_identity() {
    let arms = [Arm::Emulator(Engine::Checked)];
    println!("{}", nat::hold(TRANSLATORS, &arms, SHRINKING));
}

/// [`hold::LAWS`] has them.
#[test]
fn the_datapath_keeps_its_laws() {
    let seen = hold::hold(NETWORKS, &[Arm::Emulator(Engine::Checked)], SHRINKING);
    println!("{seen}");
}
