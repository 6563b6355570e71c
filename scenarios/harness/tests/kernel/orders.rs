//! All that programs can order, at sets of hooks, in the kernel and on both engines of the emulator.
//!
//! Each frame carries its orders (`objects/orders.bpf.c`), drawn at random. `TWINPATH_SEED` draws others, and
//! `TWINPATH_CASES` is how many frames each set of hooks gets.

use std::env;

use twinpath::arm::Arm;
use twinpath::decode::Decoder;
use twinpath::diff::{self, Leeway};
use twinpath::emulated::Engine;
use twinpath::plan::HookKind::{self, TcEgress, TcIngress, Xdp, XdpGeneric};
use twinpath::plan::{DevicePlan, Ifindex, Mac, Plan};
use twinpath::recording::Recording;

use crate::needs_kernel;
use crate::support::*;

const OBJECT: &[u8] = include_bytes!("../objects/orders.bpf.o");
/// Frames of a set of hooks.
const FRAMES: u64 = 160;
/// Orders in a frame.
const ORDERS: usize = 8;
/// What ends the list: passing on.
const FOREVER: u8 = 0x80;

/// A program at a hook of a device.
type Attached = (&'static str, &'static str, HookKind);

const SETS: [&[Attached]; 13] = [
    &[("driver", "a", Xdp)],
    &[("driver", "a", XdpGeneric)],
    &[("first", "a", TcIngress)],
    &[("first", "a", TcIngress), ("second", "a", TcIngress)],
    &[("first", "a", TcIngress), ("first", "b", TcEgress)],
    &[
        ("first", "a", TcIngress),
        ("first", "a", TcEgress),
        ("second", "a", TcEgress),
    ],
    &[
        ("first", "a", TcIngress),
        ("first", "a", TcEgress),
        ("second", "b", TcIngress),
        ("second", "b", TcEgress),
    ],
    &[
        ("driver", "a", Xdp),
        ("first", "a", TcIngress),
        ("second", "b", TcEgress),
    ],
    &[
        ("driver", "a", Xdp),
        ("driver", "b", Xdp),
        ("driver", "c", Xdp),
    ],
    &[
        ("driver", "a", XdpGeneric),
        ("first", "a", TcIngress),
        ("driver", "b", XdpGeneric),
        ("second", "b", TcIngress),
    ],
    &[
        ("first", "a", TcIngress),
        ("driver", "b", XdpGeneric),
        ("first", "b", TcIngress),
        ("second", "c", TcEgress),
    ],
    &[
        ("driver", "a", XdpGeneric),
        ("first", "b", TcEgress),
        ("driver", "c", Xdp),
        ("second", "c", TcIngress),
    ],
    &[
        ("driver", "a", Xdp),
        ("first", "a", TcIngress),
        ("first", "a", TcEgress),
        ("driver", "b", Xdp),
        ("first", "b", TcIngress),
        ("first", "b", TcEgress),
        ("first", "c", TcEgress),
    ],
];

/// What a program is told, with the arguments that make sense for it.
const ACTIONS: [(&str, u8); 12] = [
    ("nothing", 0),
    ("redirect", 1),
    ("redirect to ingress", 2),
    ("redirect to peer", 3),
    ("clone", 5),
    ("clone to ingress", 6),
    ("push a tag", 7),
    ("pop a tag", 8),
    ("resize", 9),
    ("redirect by map", 10),
    ("broadcast", 11),
    ("broadcast to others", 12),
];
/// Those that lead out of a device: they may be given to all programs to come, and the way still ends.
const OUTWARD: [u8; 3] = [1, 3, 9];
/// Those that make a copy.
const CLONES: [u8; 2] = [5, 6];
/// The devices of the plan, one that is down (`lo`), and none.
const IFINDEXES: [u8; 5] = [5, 7, 9, 1, 77];
/// All verdicts that a program of either kind knows, and some that it does not.
const VERDICTS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 42, 255, 2];

/// SplitMix64
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.next() % all.len() as u64) as usize]
    }

    fn order(&mut self) -> [u8; 3] {
        let (_, action) = self.one_of(&ACTIONS);
        let argument = match action {
            7 => self.next() as u8,
            9 => self.one_of(&[0, 4, 60]),
            10 => self.one_of(&[0, 1, 2, 3, 9]),
            _ => self.one_of(&IFINDEXES),
        };
        let forever = OUTWARD.contains(&action) && self.next().is_multiple_of(8);
        let action = if forever { action | FOREVER } else { action };
        let verdict = match self.one_of(&VERDICTS) {
            // From outside, the copy's way and that of a packet which is sent nowhere cannot be told apart.
            7 if CLONES.contains(&action) => 0,
            verdict => verdict,
        };
        [verdict, action, argument]
    }

    fn frame(&mut self) -> Vec<u8> {
        let to = self.one_of(&[
            [2, 0, 0, 0, 0, 1],
            [2, 0, 0, 0, 0, 2],
            [0xff; 6],
            [2, 0, 0, 0, 0, 9],
        ]);
        let mut frame = to.to_vec();
        frame.extend([2, 0, 0, 0, 0, 8]);
        for _ in 0..self.one_of(&[0, 0, 0, 1, 2]) {
            frame.extend([0x81, 0, 0, self.next() as u8]);
        }
        frame.extend([8, 0]);
        let length = self.one_of(&[60, 100, 480, 510, 600]);
        let total = (length as u16).to_be_bytes();
        frame.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        let datagram = (length as u16 - 20).to_be_bytes();
        frame.extend([0, 9, 0, 9, datagram[0], datagram[1], 0, 0]);
        frame.push(0);
        for _ in 0..ORDERS {
            frame.extend(self.order());
        }
        frame.extend((0..length - 28 - 1 - 3 * ORDERS).map(|at| at as u8));
        frame
    }
}

pub fn number(name: &str, otherwise: u64) -> u64 {
    let text = env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The devices `a`, `b` and `c` (index 9), which carries little, with the programs of a set.
fn plan_of(set: &[Attached]) -> Plan {
    let mut plan = plan();
    plan.nodes[0].objects = vec![object(OBJECT)];
    let ifindex = Ifindex::new(9).expect("not zero");
    plan.nodes[0].devices.push(DevicePlan {
        mtu: 500,
        ..DevicePlan::veth(device("c"), ifindex, Mac([2, 0, 0, 0, 0, 3]))
    });
    for (key, ifindex) in [(0u32, 5u32), (1, 7), (2, 9)] {
        let value = [ifindex, 0].map(u32::to_ne_bytes).concat();
        plan = plan.write("devices", &key.to_ne_bytes(), &value);
    }
    set.iter().fold(plan, |plan, (program, device, kind)| {
        plan.attach(program, device, *kind)
    })
}

/// The orders of a frame, in words.
fn orders(frame: &[u8]) -> String {
    let tags = frame[12..].chunks(4).take_while(|chunk| chunk[0] == 0x81);
    let list = 14 + 4 * tags.count() + 29;
    let words = |order: &[u8]| {
        let forever = if order[1] & FOREVER != 0 {
            " forever"
        } else {
            ""
        };
        let action = order[1] & !FOREVER;
        let known = ACTIONS.iter().find(|(_, number)| *number == action);
        let name = known.map_or("?", |(name, _)| name);
        format!("{name}{forever} {}, return {}", order[2], order[0] as i8)
    };
    let all: Vec<String> = frame[list..list + 3 * ORDERS]
        .chunks(3)
        .map(words)
        .collect();
    all.join("; ")
}

/// The first difference, in words.
fn difference(left: &Recording, right: &Recording, frames: &[Vec<u8>]) -> Option<String> {
    let diff = diff::compare(left, right, &Decoder::new([]), &Leeway::default());
    let count = diff.packets.len();
    let maps = diff.maps.first().map(|map| format!("{map:?}"));
    let first = diff.packets.into_iter().next();
    let packet = first.map(|packet| {
        format!(
            "{count} packets differ, first packet {} of {} bytes: {}\nbefore: {:#?}\n{:#?}",
            packet.stimulus,
            frames[packet.stimulus].len(),
            orders(&frames[packet.stimulus]),
            packet.before,
            packet.differences
        )
    });
    packet.or(maps)
}

#[test]
fn the_kernel_and_the_emulator_carry_them_out_alike() {
    needs_kernel!();
    let seed = number("TWINPATH_SEED", 1);
    let frames = number("TWINPATH_CASES", FRAMES);
    let mut failures = Vec::new();
    for (number, set) in SETS.iter().enumerate() {
        let mut random = Random(seed.wrapping_mul(1000) + number as u64);
        let frames: Vec<_> = (0..frames).map(|_| random.frame()).collect();
        let plan = frames
            .iter()
            .fold(plan_of(set), |plan, frame| plan.frame("a", frame.clone()));
        let kernel = run(&plan);
        for engine in [Engine::Checked, Engine::Rbpf] {
            let arm = Arm::Emulator(engine);
            let emulated = arm.run(&plan).unwrap_or_else(|error| panic!("{error}"));
            if let Some(difference) = difference(&kernel, &emulated, &frames) {
                failures.push(format!(
                    "set {number}, {set:?}, kernel and {arm}, seed {seed}:\n{difference}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
