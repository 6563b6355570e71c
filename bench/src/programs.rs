//! The programs that are measured.

use twinpath_machine::isa::{Insn, LD_IMM64, pseudo};
use twinpath_machine::{MapDef, MapType};

use crate::arms::{self, Arm};
use crate::datapath::Datapath;

/// Makes the ways of running a program; true for those of the kernel too.
pub type Arms = fn(bool) -> Vec<Arm>;

/// Every program by name.
pub fn all() -> [(&'static str, Arms); 7] {
    [
        ("alu", |kernel| arms::of(&alu(), kernel)),
        ("parse", |kernel| arms::of(&parse(), kernel)),
        ("hash_million", |kernel| arms::of(&hash_million(), kernel)),
        ("lpm_million", |kernel| arms::of(&lpm_million(), kernel)),
        ("xdp_entry_service", |kernel| {
            arms::of_datapath(&Datapath::new("xdp_entry", "service/tcp4.toml", 0), kernel)
        }),
        ("xdp_entry_pass", |kernel| {
            arms::of_datapath(&Datapath::new("xdp_entry", "service/tcp4.toml", 1), kernel)
        }),
        ("from_container", |kernel| {
            arms::of_datapath(
                &Datapath::new("from_container", "endpoint/delivery4.toml", 0),
                kernel,
            )
        }),
    ]
}

/// A program with what it needs.
#[derive(Debug)]
pub struct Bench {
    /// Its name in reports.
    pub name: &'static str,
    /// The instructions; a reference to a map holds the map's place in `maps`.
    pub insns: Vec<Insn>,
    /// The maps.
    pub maps: Vec<MapDef>,
    /// What is in them: map, key, value.
    pub entries: Vec<(usize, Vec<u8>, Vec<u8>)>,
    /// The packet.
    pub packet: Vec<u8>,
}

const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

const EXIT: Insn = insn(0x95, 0, 0, 0, 0);

/// An IPv4 packet for TCP to this address.
fn packet(to: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0; 64];
    packet[12..14].copy_from_slice(&[8, 0]);
    packet[14] = 0x45;
    packet[22..24].copy_from_slice(&[64, 6]);
    packet[26..30].copy_from_slice(&[10, 0, 0, 1]);
    packet[30..34].copy_from_slice(&to);
    packet
}

/// A thousand arithmetic instructions.
pub fn alu() -> Bench {
    let mut insns = vec![
        insn(0xb7, 0, 0, 0, 1),
        insn(0xb7, 2, 0, 0, 7),
        insn(0xb7, 3, 0, 0, 3),
    ];
    let round = [
        insn(0x07, 0, 0, 0, 13),
        insn(0x0f, 2, 0, 0, 0),
        insn(0xaf, 3, 2, 0, 0),
        insn(0x67, 0, 0, 0, 5),
        insn(0x77, 2, 0, 0, 3),
        insn(0x4c, 0, 3, 0, 0),
        insn(0x54, 2, 0, 0, 0x7fff_ffff),
        insn(0x1f, 3, 0, 0, 0),
        insn(0x27, 2, 0, 0, 31),
        insn(0xbf, 4, 3, 0, 0),
    ];
    while insns.len() < 999 {
        insns.push(round[(insns.len() - 3) % round.len()]);
    }
    insns.push(EXIT);
    Bench {
        name: "alu",
        insns,
        maps: vec![],
        entries: vec![],
        packet: packet([10, 0, 0, 2]),
    }
}

/// XDP: parses Ethernet and IPv4, and looks the destination up under `prefix` bytes and the address.
fn lookup(map: MapDef, prefix: Option<u32>) -> Vec<Insn> {
    let key_size = map.key_size as i32;
    let mut insns = vec![
        // data, data_end; drop (r0 = 1) what is shorter than 34 bytes.
        insn(0x61, 6, 1, 0, 0),
        insn(0x61, 7, 1, 4, 0),
        insn(0xb7, 0, 0, 0, 1),
        insn(0xbf, 2, 6, 0, 0),
        insn(0x07, 2, 0, 0, 34),
        insn(0x3d, 7, 2, 1, 0),
        EXIT,
        // Another EtherType than IPv4 passes (2), and so do options.
        insn(0xb7, 0, 0, 0, 2),
        insn(0x69, 2, 6, 12, 0),
        insn(0x15, 2, 0, 1, 0x0008),
        EXIT,
        insn(0x71, 2, 6, 14, 0),
        insn(0x15, 2, 0, 1, 0x45),
        EXIT,
        // A time to live of 1 or 0 is dropped.
        insn(0x71, 2, 6, 22, 0),
        insn(0x25, 2, 0, 2, 1),
        insn(0xb7, 0, 0, 0, 1),
        EXIT,
        insn(0x61, 3, 6, 30, 0),
        insn(0x63, 10, 3, -4, 0),
    ];
    if let Some(bits) = prefix {
        insns.push(insn(0x62, 10, 0, -8, bits as i32));
    }
    insns.extend([
        insn(LD_IMM64, 1, pseudo::MAP_FD, 0, 0),
        insn(0, 0, 0, 0, 0),
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -key_size),
        insn(0x85, 0, 0, 0, 1),
        insn(0x55, 0, 0, 2, 0),
        insn(0xb7, 0, 0, 0, 2),
        EXIT,
        // Count, and drop.
        insn(0x79, 2, 0, 0, 0),
        insn(0x07, 2, 0, 0, 1),
        insn(0x7b, 0, 2, 0, 0),
        insn(0xb7, 0, 0, 0, 1),
        EXIT,
    ]);
    insns
}

/// A header parse with one lookup in an array-like hash of a few entries.
pub fn parse() -> Bench {
    let map = MapDef::new(MapType::Hash, 4, 8, 64).named("few");
    Bench {
        name: "parse",
        insns: lookup(map.clone(), None),
        entries: (0..16u8)
            .map(|n| (0, vec![10, 0, 0, n], vec![0; 8]))
            .collect(),
        maps: vec![map],
        packet: packet([10, 0, 0, 2]),
    }
}

/// The same with a million entries.
pub fn hash_million() -> Bench {
    let map = MapDef::new(MapType::Hash, 4, 8, 1 << 20).named("many");
    Bench {
        name: "hash_million",
        insns: lookup(map.clone(), None),
        entries: (0..1_000_000u32)
            .map(|n| (0, (n << 8 | 0x0a).to_le_bytes().to_vec(), vec![0; 8]))
            .collect(),
        maps: vec![map],
        packet: packet([10, 0x3f, 0x42, 0x0d]),
    }
}

/// The same with a million prefixes of 24 to 32 bits.
pub fn lpm_million() -> Bench {
    let mut map = MapDef::new(MapType::LpmTrie, 8, 8, 1 << 20).named("prefixes");
    map.flags.0 = twinpath_machine::MapFlags::NO_PREALLOC;
    let prefix = |n: u32| {
        let bits = 24 + n % 9;
        let address = (0x0a00_0000 | n.wrapping_mul(17) & 0x00ff_ffff) & (u32::MAX << (32 - bits));
        let mut key = bits.to_le_bytes().to_vec();
        key.extend(address.to_be_bytes());
        (0, key, vec![0; 8])
    };
    Bench {
        name: "lpm_million",
        insns: lookup(map.clone(), Some(32)),
        entries: (0..1_000_000).map(prefix).collect(),
        maps: vec![map],
        packet: packet([10, 7, 9, 33]),
    }
}

/// Updates an entry of a hash map that is there.
pub fn update() -> Bench {
    let map = MapDef::new(MapType::Hash, 4, 8, 64).named("few");
    let mut insns = vec![
        insn(0x62, 10, 0, -4, 7),
        insn(0x7a, 10, 0, -16, 1),
        insn(LD_IMM64, 1, pseudo::MAP_FD, 0, 0),
        insn(0, 0, 0, 0, 0),
    ];
    insns.extend(stack_pointers());
    insns.extend([insn(0xb7, 4, 0, 0, 0), insn(0x85, 0, 0, 0, 2), EXIT]);
    small("update", insns, vec![map])
}

/// Writes eight bytes into a ring buffer, which is full after a while.
pub fn ring_buffer() -> Bench {
    let map = MapDef::new(MapType::RingBuf, 0, 0, 4096).named("events");
    let insns = vec![
        insn(0x7a, 10, 0, -16, 1),
        insn(LD_IMM64, 1, pseudo::MAP_FD, 0, 0),
        insn(0, 0, 0, 0, 0),
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -16),
        insn(0xb7, 3, 0, 0, 8),
        insn(0xb7, 4, 0, 0, 0),
        insn(0x85, 0, 0, 0, 130),
        insn(0xb7, 0, 0, 0, 0),
        EXIT,
    ];
    small("ring_buffer", insns, vec![map])
}

/// Calls a function of the program, which calls another one.
pub fn calls() -> Bench {
    let call = |distance| insn(0x85, 0, pseudo::CALL, 0, distance);
    let insns = vec![call(1), EXIT, call(1), EXIT, insn(0xb7, 0, 0, 0, 2), EXIT];
    small("calls", insns, vec![])
}

/// Tail calls the program of its name, itself, until the limit stops it. [`Rig`](crate::rig::Rig) fills the map.
pub fn tail_call() -> Bench {
    let map = MapDef::new(MapType::ProgArray, 4, 4, 1).named("programs");
    let insns = vec![
        insn(LD_IMM64, 2, pseudo::MAP_FD, 0, 0),
        insn(0, 0, 0, 0, 0),
        insn(0xb7, 3, 0, 0, 0),
        insn(0x85, 0, 0, 0, 12),
        insn(0xb7, 0, 0, 0, 2),
        EXIT,
    ];
    small("tail_call", insns, vec![map])
}

/// r2 and r3 point to the key and the value on the stack.
fn stack_pointers() -> [Insn; 4] {
    [
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -4),
        insn(0xbf, 3, 10, 0, 0),
        insn(0x07, 3, 0, 0, -16),
    ]
}

fn small(name: &'static str, insns: Vec<Insn>, maps: Vec<MapDef>) -> Bench {
    Bench {
        name,
        insns,
        maps,
        entries: vec![],
        packet: packet([10, 0, 0, 2]),
    }
}
