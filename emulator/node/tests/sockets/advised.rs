//! `sk_lookup` programs in the way of connections and datagrams, on both sides. The programs and where
//! things go are random; `TWINPATH_CASES` says how many (60), `TWINPATH_SEED` which.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use twinpath_bpf::{Map, MapShape, Program, ProgramSource, Refusal, link};
use twinpath_machine::isa::{Insn, encode, pseudo};
use twinpath_machine::{
    AttachType, HelperId as H, Map as GuestMap, MapDef, MapType, ProgramType, Random,
};
use twinpath_node::Family::{V4, V6};
use twinpath_node::Protocol::{Tcp, Udp};

use super::asm::{Width, alu_k, cond, exit, jump_k, lddw, ldx, mov, movr, op, st, stx};
use super::place::{in_namespace, namespace, settle, skip, turn};
use super::recorder::{Ports, call};
use super::script::{Setting, Slot, Step};
use super::sides::{Emulated, Lines, add_array, at, emulator_step, kernel_step};

/// Bytes of what a program writes down: for each call of it a number, then what it saw.
const SIZE: usize = 64;
const SAW: i16 = 32;

/// Sockets that programs choose, by their place in the map.
const CHOSEN: Slot = 8;

fn setup() -> Vec<Step> {
    let mut steps = Vec::new();
    let sockets = [
        (V4, Tcp, None, "127.0.0.1:7000"),
        (V6, Tcp, None, "[::]:7001"),
        (V6, Tcp, Some(Setting::V6Only), "[::1]:7002"),
        (V4, Tcp, None, "0.0.0.0:7003"),
        (V4, Udp, None, "127.0.0.1:7000"),
        (V6, Udp, None, "[::]:7001"),
        (V6, Udp, Some(Setting::V6Only), "[::1]:7002"),
        (V4, Udp, Some(Setting::Device(10)), "0.0.0.0:7003"),
    ];
    for (slot, (family, protocol, setting, address)) in sockets.into_iter().enumerate() {
        steps.push(Step::Open(slot, family, protocol));
        steps.extend(setting.map(|setting| Step::Set(slot, setting)));
        steps.push(Step::Bind(slot, at(address)));
        if protocol == Tcp {
            steps.push(Step::Listen(slot));
        }
    }
    steps
}

/// A connection or a datagram to somewhere, and what arrives at each socket.
fn exchange(protocol: twinpath_node::Protocol, to: SocketAddr) -> Vec<Step> {
    const CLIENT: Slot = 20;
    const CHILD: Slot = 21;
    let family = if to.is_ipv4() { V4 } else { V6 };
    let mut steps = vec![Step::Open(CLIENT, family, protocol)];
    if protocol == Tcp {
        steps.push(Step::Connect(CLIENT, to));
        steps.extend((0..4).map(|slot| Step::Accept(slot, CHILD)));
    } else {
        steps.push(Step::Send(CLIENT, Some(to)));
        steps.extend((4..CHOSEN).map(Step::Receive));
    }
    steps.extend([Step::Close(CHILD), Step::Close(CLIENT)]);
    steps
}

#[derive(Debug, Clone)]
struct Advice {
    /// Sockets to choose, if any, with the flags; at most three.
    choices: Vec<(Option<Slot>, i32)>,
    sees: (Width, i16),
    verdict: i32,
}

impl Advice {
    /// r6 is the context, r9 what is written down, r7 a socket.
    fn program(&self, records: i32, sockets: i32) -> Vec<Insn> {
        let lookup = |map: i32, key: i32| {
            let mut insns = vec![st(Width::W, 10, -4, key)];
            insns.extend(lddw(1, pseudo::MAP_FD, u64::from(map as u32)));
            insns.extend([movr(2, 10), alu_k(true, op::ADD, 2, -4, 0)]);
            insns.push(call(H::MAP_LOOKUP_ELEM));
            insns
        };
        let mut insns = vec![movr(6, 1)];
        insns.extend(lookup(records, 0));
        insns.extend([jump_k(true, cond::JNE, 0, 0, 2), mov(0, 1), exit()]);
        let (width, offset) = self.sees;
        insns.extend([
            movr(9, 0),
            ldx(width, 1, 6, offset),
            stx(Width::D, 9, SAW, 1),
        ]);
        for (index, (socket, flags)) in self.choices.iter().enumerate() {
            let result = index as i16 * 8;
            let assign = [movr(1, 6), mov(3, *flags), call(H::SK_ASSIGN)];
            match socket {
                None => {
                    insns.push(mov(2, 0));
                    insns.extend(assign);
                    insns.push(stx(Width::D, 9, result, 0));
                }
                Some(slot) => {
                    insns.extend(lookup(sockets, *slot as i32));
                    insns.push(jump_k(true, cond::JEQ, 0, 0, 8));
                    insns.extend([movr(7, 0), movr(2, 0)]);
                    insns.extend(assign);
                    insns.extend([stx(Width::D, 9, result, 0), movr(1, 7)]);
                    insns.push(call(H::SK_RELEASE));
                }
            }
        }
        insns.extend([mov(0, self.verdict), exit()]);
        insns
    }
}

#[derive(Debug, Clone)]
struct Case {
    advice: Vec<Advice>,
    steps: Vec<Step>,
}

/// What a program wrote down. A port that nobody chose is another one on each side.
fn seen(advice: &Advice, value: &[u8]) -> String {
    const LOCAL_PORT: i16 = 60;
    const LAST_CHOSEN: i64 = 7003;
    let numbers = value.chunks(8).take(5);
    let numbers = numbers.map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
    let mut numbers: Vec<_> = numbers.collect();
    let last = match advice.sees {
        (_, LOCAL_PORT) => LAST_CHOSEN,
        (_, upper) if upper == LOCAL_PORT + 1 => LAST_CHOSEN >> 8,
        _ => i64::MAX - 1,
    };
    let seen = &mut numbers[SAW as usize / 8];
    *seen = (*seen).min(last + 1);
    format!("{numbers:x?}")
}

fn in_kernel(case: &Case) -> Lines {
    let mut sockets = BTreeMap::new();
    let mut ports = Ports::default();
    for step in setup() {
        assert_eq!(kernel_step(&mut sockets, &mut ports, step), "done");
    }
    let shape = MapShape {
        kind: MapType::SockMap as u32,
        key_size: 4,
        value_size: 8,
        max_entries: CHOSEN as u32,
        flags: 0,
    };
    let chosen = Map::create("chosen", shape).unwrap();
    for slot in 0..CHOSEN {
        let fd = sockets[&slot].as_fd().as_raw_fd() as u64;
        let (key, fd) = ((slot as u32).to_ne_bytes(), fd.to_ne_bytes());
        chosen.update(&key, &fd, 0).unwrap();
    }
    let hook = AttachType::SkLookup as u32;
    let attach = |advice: &Advice| {
        let seen = Map::create("seen", MapShape::array(SIZE as u32, 1)).unwrap();
        let insns = encode(&advice.program(seen.as_raw_fd(), chosen.as_raw_fd()));
        let source = ProgramSource::new("advice", ProgramType::SkLookup as u32, &insns);
        let program = Program::load(&source.for_hook(hook))
            .unwrap_or_else(|Refusal { error, log }| panic!("{advice:?}: {error}: {log}"));
        (seen, program)
    };
    let here = namespace();
    let attached: Vec<_> = case.advice.iter().map(attach).collect();
    let link = |(_, program): &(Map, Program)| {
        link(program.as_fd(), here.as_raw_fd() as u32, hook, 0).unwrap()
    };
    let links: Vec<_> = attached.iter().map(link).collect();
    let step = |step: &Step| {
        if matches!(step, Step::Accept(..) | Step::Receive(_)) {
            settle();
        }
        let line = kernel_step(&mut sockets, &mut ports, *step);
        format!("{step:?}: {line}")
    };
    let mut lines: Lines = case.steps.iter().map(step).collect();
    settle();
    drop(links);
    for (advice, (map, ..)) in case.advice.iter().zip(&attached) {
        let value = map.lookup(&[0; 4]).unwrap();
        lines.push(seen(advice, &value.unwrap()));
    }
    lines
}

fn in_emulator(case: &Case) -> Lines {
    let mut emulated = Emulated::new();
    let mut sockets = BTreeMap::new();
    let mut ports = Ports::default();
    for step in setup() {
        let line = emulator_step(&mut emulated, &mut sockets, &mut ports, step);
        assert_eq!(line, "done");
    }
    let machine = &mut emulated.world.machine;
    let def = MapDef::new(MapType::SockMap, 4, 8, CHOSEN as u32);
    let mut chosen = GuestMap::new(def, &mut machine.memory, 1).unwrap();
    for slot in 0..CHOSEN {
        let key = (slot as u32).to_ne_bytes();
        chosen.set_socket(&key, sockets[&slot], 0).unwrap();
    }
    let chosen = machine.maps.push(chosen);
    let mut maps = Vec::new();
    for advice in &case.advice {
        let map = add_array(&mut emulated.world.machine, SIZE);
        let insns = advice.program(map.0 as i32, chosen.0 as i32);
        let program = emulated.add_program(ProgramType::SkLookup, insns);
        let node = emulated.node;
        emulated.world.attach_sk_lookup(node, program).unwrap();
        maps.push(map);
    }
    let mut lines = Lines::new();
    for step in &case.steps {
        let line = emulator_step(&mut emulated, &mut sockets, &mut ports, *step);
        lines.push(format!("{step:?}: {line}"));
    }
    for (advice, map) in case.advice.iter().zip(maps) {
        emulated.map = map;
        let machine = &mut emulated.world.machine;
        let address = machine.maps[map].lookup(&[0; 4], twinpath_machine::Cpu(0));
        lines.push(seen(
            advice,
            machine.memory.raw(address.unwrap(), SIZE as u32),
        ));
    }
    lines
}

/// What is read of `struct bpf_sk_lookup`: family, protocol, addresses, the local port, the device.
const SEES: &[(Width, i16)] = &[
    (Width::W, 8),
    (Width::B, 8),
    (Width::W, 12),
    (Width::W, 16),
    (Width::H, 18),
    (Width::B, 19),
    (Width::W, 32),
    (Width::W, 40),
    (Width::B, 43),
    (Width::W, 56),
    (Width::B, 59),
    (Width::W, 60),
    (Width::H, 60),
    (Width::B, 61),
    (Width::W, 64),
    (Width::B, 64),
];

fn random_case(random: &mut Random) -> Case {
    let mut below = |end: u64| random.next_u64() % end;
    let advice = (0..1 + below(2)).map(|_| Advice {
        choices: (0..below(4))
            .map(|_| {
                let socket = (below(6) != 0).then(|| below(CHOSEN as u64) as Slot);
                (socket, [0, 0, 0, 1, 1, 2, 3, 4][below(8) as usize])
            })
            .collect(),
        sees: SEES[below(SEES.len() as u64) as usize],
        verdict: i32::from(below(6) != 0),
    });
    let advice = advice.collect();
    let hosts = ["127.0.0.1", "127.0.0.2", "10.1.0.1", "[::1]", "[fd00:1::1]"];
    let steps = (0..2).flat_map(|_| {
        let host = hosts[below(5) as usize];
        let to = at(&format!(
            "{host}:{}",
            [80, 7000, 7001, 7002][below(4) as usize]
        ));
        exchange(if below(2) == 0 { Tcp } else { Udp }, to)
    });
    let steps = steps.collect();
    Case { advice, steps }
}

#[test]
fn programs_choose_sockets() {
    if skip("sk_lookup") {
        return;
    }
    let _turn = turn();
    let variable = |name: &str, default: u64| {
        let value = std::env::var(name).ok();
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let cases = variable("TWINPATH_CASES", 60);
    let mut random = Random::new(variable("TWINPATH_SEED", 1));
    let mut failures = String::new();
    for number in 0..cases {
        let case = random_case(&mut random);
        let kernel = in_namespace(|| in_kernel(&case));
        let emulator = in_emulator(&case);
        if let Err(text) = super::sides::difference(&kernel, &emulator) {
            failures += &format!("== {number}: {:?}, {:?}\n{text}", case.advice, case.steps);
        }
    }
    assert!(failures.is_empty(), "{failures}");
    eprintln!("{cases} cases agree");
}
