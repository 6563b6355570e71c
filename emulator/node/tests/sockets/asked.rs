//! What programs on packets ask about sockets, by test runs on both sides: lookups and what the found
//! socket shows at every width, SYN cookies made and checked, `bpf_sk_assign`. The questions are random;
//! `TWINPATH_CASES` says how many (150), `TWINPATH_SEED` which.

use std::fmt::Write;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use twinpath_bpf::{Map, MapShape, Program, ProgramSource, Refusal, TestInput};
use twinpath_machine::isa::{Insn, encode, pseudo};
use twinpath_machine::maps::Value;
use twinpath_machine::{Cpu, HelperId as H, MapId, ProgramType, Random};
use twinpath_node::Family::{V4, V6};
use twinpath_node::Protocol::{Tcp, Udp};
use twinpath_node::TestRun;

use super::asm::{Width, alu_k, be, cond, exit, jump_k, lddw, ldx, mov, movr, op, st, stx};
use super::place::{in_namespace, skip, turn};
use super::recorder::{Ports, call, tuple};
use super::script::{Setting, Step};
use super::sides::{Emulated, add_array, at, emulator_step, kernel_step};

/// Where things are in the map's value.
const SIZE: usize = 384;
const FOUND: i16 = 0;
const MADE: i16 = 8;
const CHECKED: i16 = 16;
const ASSIGNED: i16 = 24;
const SHOWN: i16 = 32;
const IP: i16 = 128;
const SYN: i16 = 192;
const ACK: i16 = 256;
const TUPLE: i16 = 320;

/// Sockets of all kinds, on both sides.
fn steps() -> Vec<Step> {
    let near = at("127.0.0.1:80");
    let mut steps = Vec::new();
    let mut open = |slot, family, protocol, setting: Option<Setting>, address: &str| {
        steps.push(Step::Open(slot, family, protocol));
        steps.extend(setting.map(|setting| Step::Set(slot, setting)));
        steps.push(Step::Bind(slot, at(address)));
        if protocol == Tcp && at(address).port() < 100 {
            steps.push(Step::Listen(slot));
        }
    };
    open(0, V4, Tcp, None, "127.0.0.1:80");
    open(1, V6, Tcp, None, "[::]:81");
    open(2, V6, Tcp, Some(Setting::V6Only), "[::]:82");
    open(3, V4, Udp, None, "127.0.0.1:80");
    open(4, V6, Udp, None, "[::]:81");
    open(5, V4, Udp, Some(Setting::Device(10)), "0.0.0.0:83");
    open(6, V4, Tcp, Some(Setting::ReusePort), "0.0.0.0:84");
    open(7, V4, Tcp, None, "127.0.0.1:7005");
    open(8, V4, Tcp, None, "127.0.0.1:7006");
    open(9, V6, Tcp, None, "[::1]:7007");
    for (slot, far, child) in [(7, near, 17), (8, near, 18), (9, at("[::1]:81"), 19)] {
        let listener = if far == near { 0 } else { 1 };
        steps.extend([Step::Connect(slot, far), Step::Accept(listener, child)]);
    }
    // Time-wait.
    steps.extend([Step::Close(8), Step::Close(18)]);
    steps
}

/// One program, and what it works on.
#[derive(Debug, Clone)]
struct Question {
    kind: ProgramType,
    asks: Asks,
    ip: Vec<u8>,
    syn: Vec<u8>,
    ack: Vec<u8>,
    /// What is added to the cookie before it comes back.
    wrong: i32,
    /// `net.ipv4.tcp_syncookies`
    mode: u8,
}

#[derive(Debug, Clone)]
enum Asks {
    Lookup {
        helper: H,
        from: SocketAddr,
        to: SocketAddr,
        len: i32,
        netns: i32,
        flags: i32,
        shows: (Width, i16),
        assign: Option<i32>,
    },
    Raw(H, H),
}

impl Question {
    fn value(&self) -> Vec<u8> {
        let mut value = vec![0; SIZE];
        let mut put = |at: i16, bytes: &[u8]| {
            value[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        };
        put(IP, &self.ip);
        put(SYN, &self.syn);
        put(ACK, &self.ack);
        if let Asks::Lookup { from, to, .. } = &self.asks {
            put(TUPLE, &tuple(*to, *from));
        }
        value
    }

    /// r6 is the context, r9 the map's value, r7 the socket.
    fn program(&self, map: i32) -> Vec<Insn> {
        let mut insns = vec![movr(6, 1), st(Width::W, 10, -4, 0)];
        insns.extend(lddw(1, pseudo::MAP_FD, u64::from(map as u32)));
        insns.extend([movr(2, 10), add(2, -4), call(H::MAP_LOOKUP_ELEM)]);
        insns.extend([jump_k(true, cond::JNE, 0, 0, 2), mov(0, 0), exit()]);
        insns.push(movr(9, 0));
        match &self.asks {
            Asks::Raw(make, check) => {
                insns.extend(pointer(1, IP));
                insns.extend(pointer(2, SYN));
                insns.extend([mov(3, self.syn.len() as i32), call(*make)]);
                insns.extend(self.answer());
                insns.extend(pointer(1, IP));
                insns.extend(pointer(2, ACK));
                insns.extend([call(*check), stx(Width::D, 9, CHECKED, 0)]);
            }
            Asks::Lookup {
                helper,
                len,
                netns,
                flags,
                shows: (width, offset),
                assign,
                ..
            } => {
                insns.push(movr(1, 6));
                insns.extend(pointer(2, TUPLE));
                insns.extend([mov(3, *len), mov(4, *netns), mov(5, *flags), call(*helper)]);
                insns.extend([jump_k(true, cond::JNE, 0, 0, 2), mov(0, 0), exit()]);
                insns.extend([movr(7, 0), st(Width::D, 9, FOUND, 1)]);
                insns.extend([ldx(*width, 1, 7, *offset), stx(Width::D, 9, SHOWN, 1)]);
                self.cookies(&mut insns);
                if let Some(flags) = assign {
                    insns.extend([movr(1, 6), movr(2, 7), mov(3, *flags)]);
                    insns.extend([call(H::SK_ASSIGN), stx(Width::D, 9, ASSIGNED, 0)]);
                }
                insns.extend([movr(1, 7), call(H::SK_RELEASE)]);
            }
        }
        insns.extend([mov(0, 0), exit()]);
        insns
    }

    /// Makes a cookie, and checks what the other end would answer.
    fn cookies(&self, insns: &mut Vec<Insn>) {
        let headers = |tcp: i16, len: usize| {
            let mut insns = vec![movr(1, 7)];
            insns.extend(pointer(2, IP));
            insns.push(mov(3, self.ip.len() as i32));
            insns.extend(pointer(4, tcp));
            insns.push(mov(5, len as i32));
            insns
        };
        insns.extend(headers(SYN, self.syn.len()));
        insns.push(call(H::TCP_GEN_SYNCOOKIE));
        insns.extend(self.answer());
        insns.extend(headers(ACK, self.ack.len()));
        insns.extend([call(H::TCP_CHECK_SYNCOOKIE), stx(Width::D, 9, CHECKED, 0)]);
    }

    /// Notes r0, which may be a cookie, and answers it.
    fn answer(&self) -> [Insn; 4] {
        [
            stx(Width::D, 9, MADE, 0),
            alu_k(false, op::ADD, 0, self.wrong.wrapping_add(1), 0),
            be(0, 32),
            stx(Width::W, 9, ACK + 8, 0),
        ]
    }
}

fn add(register: u8, number: i32) -> Insn {
    alu_k(true, op::ADD, register, number, 0)
}

fn pointer(register: u8, offset: i16) -> [Insn; 2] {
    [movr(register, 9), add(register, i32::from(offset))]
}

/// What a program found out. A cookie itself is the kernel's secret.
fn show(value: &[u8]) -> String {
    let number = |at: i16| {
        let at = at as usize;
        i64::from_le_bytes(value[at..at + 8].try_into().unwrap())
    };
    let made = number(MADE);
    let mut text = format!("found {} shown {:#x} ", number(FOUND), number(SHOWN));
    let _ = match made {
        ..=0 => write!(text, "made {made}"),
        _ => write!(text, "size {}", made >> 32),
    };
    let (checked, assigned) = (number(CHECKED), number(ASSIGNED));
    let _ = write!(text, " checked {checked} assigned {assigned}");
    text
}

const DATA: [u8; 64] = [0; 64];

fn kernel(questions: &[Question]) -> Vec<String> {
    in_namespace(|| {
        let mut sockets = Default::default();
        for step in steps() {
            let line = kernel_step(&mut sockets, &mut Ports::default(), step);
            assert_eq!(line, "done", "{step:?}");
        }
        let map = Map::create("asked", MapShape::array(SIZE as u32, 1)).unwrap();
        let answer = |question: &Question| {
            let mode = question.mode.to_string();
            std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", mode).unwrap();
            map.update(&[0; 4], &question.value(), 0).unwrap();
            let insns = encode(&question.program(map.as_raw_fd()));
            let source = ProgramSource::new("asked", question.kind as u32, &insns);
            let program = Program::load(&source)
                .unwrap_or_else(|Refusal { error, log }| panic!("{question:?}: {error}: {log}"));
            program.test_run(TestInput::packet(&DATA)).unwrap();
            show(&map.lookup(&[0; 4]).unwrap().unwrap())
        };
        questions.iter().map(answer).collect()
    })
}

fn emulator(questions: &[Question]) -> Vec<String> {
    let mut emulated = Emulated::new();
    let mut sockets = Default::default();
    for step in steps() {
        let line = emulator_step(&mut emulated, &mut sockets, &mut Ports::default(), step);
        assert_eq!(line, "done", "{step:?}");
    }
    emulated.map = add_array(&mut emulated.world.machine, SIZE);
    let map = emulated.map;
    let answer = |question: &Question| {
        let node = emulated.node;
        emulated.world.set_syn_cookies(node, question.mode);
        set(&mut emulated, map, &question.value());
        let run = TestRun {
            program: emulated.add_program(question.kind, question.program(map.0 as i32)),
            node,
            data: &DATA,
            context: None,
            checksum_complete: false,
        };
        match emulated.world.test_run(run) {
            Ok(_) => show(&emulated.value()[..SIZE]),
            Err(error) => error.to_string(),
        }
    };
    questions.iter().map(answer).collect()
}

fn set(emulated: &mut Emulated, map: MapId, value: &[u8]) {
    let machine = &mut emulated.world.machine;
    let map = &mut machine.maps[map];
    map.update(&mut machine.memory, &[0; 4], Value::Host(value), 0, Cpu(0))
        .unwrap();
}

struct Generator(Random);

impl Generator {
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn usually<T>(&mut self, usual: T, else_of: &[T]) -> T
    where
        T: Copy,
    {
        if self.chance(8) {
            self.pick(else_of)
        } else {
            usual
        }
    }

    /// A TCP header with some options.
    fn tcp(&mut self, flags: u8, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len).map(|_| self.0.next_u64() as u8).collect();
        let mut put = |at: usize, part: &[u8]| {
            for (byte, new) in bytes.iter_mut().skip(at).zip(part) {
                *byte = *new;
            }
        };
        put(0, &[0x1f, 0x40, 0, 80, 1, 2, 3, 4]);
        let words = self.usually((len / 4) as u8, &[5, 6, 4, 15]);
        put(12, &[words << 4, flags]);
        let mut place = 20;
        while place < len {
            let [high, low] = self
                .pick(&[0, 1, 535, 536, 1219, 1220, 1300, 1440, 1460, 8940, 65535u16])
                .to_be_bytes();
            let option: &[u8] = match self.below(6) {
                0 => &[1],
                1 => &[3, 3, 7],
                2 => &[8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
                3 => &self.pick(&[[2, 3, 1], [0, 2, 4], [9, 0, 2], [9, 1, 2]]),
                _ => &[2, 4, high, low],
            };
            put(place, option);
            place += option.len();
        }
        bytes
    }

    fn ip(&mut self, version: u8) -> Vec<u8> {
        let usual = if version == 4 { 20 } else { 40 };
        let mut bytes = vec![0; self.usually(usual, &[16, 19, 20, 24, 39, 40, 60])];
        bytes[0] = version << 4 | 5;
        let addresses = if version == 4 { 12..20 } else { 8..40 };
        for at in addresses.filter(|at| *at < bytes.len()).collect::<Vec<_>>() {
            bytes[at] = at as u8;
        }
        bytes
    }

    fn lookup(&mut self, kind: ProgramType) -> Asks {
        const HOSTS4: &[&str] = &["127.0.0.1", "127.0.0.1", "127.0.0.2", "10.1.0.1"];
        const HOSTS6: &[&str] = &["[::1]", "[::1]", "[::ffff:127.0.0.1]", "[fd00:1::1]"];
        const PORTS: &[u16] = &[80, 80, 81, 81, 82, 83, 84, 7005, 7006, 7007, 99];
        let v6 = self.chance(2);
        let mut host = |ports: &[u16]| {
            let host = self.pick(if v6 { HOSTS6 } else { HOSTS4 });
            at(&format!("{host}:{}", self.pick(ports)))
        };
        let (to, from) = (host(PORTS), host(&[7005, 7006, 7007, 80, 81, 9999]));
        let helper = self.pick(&[H::SK_LOOKUP_TCP, H::SKC_LOOKUP_TCP, H::SK_LOOKUP_UDP]);
        let shows = match helper {
            H::SKC_LOOKUP_TCP => self.pick(COMMON),
            _ if self.chance(2) => self.pick(COMMON),
            _ => self.pick(FULL),
        };
        // What remembers an IPv4 connection has no IPv6 addresses, and Linux shows what lay there.
        let words = matches!(shows.1, 28..44 | 56..72);
        let shows = match words && !v6 && to.port() == 7006 {
            true => (Width::W, 4),
            false => shows,
        };
        Asks::Lookup {
            helper,
            from,
            to,
            len: self.usually(if v6 { 36 } else { 12 }, &[4, 12, 16, 36]),
            netns: self.usually(-1, &[-7, 0, 3, i32::MAX, i32::MIN]),
            flags: self.usually(0, &[1, -1]),
            shows,
            assign: (kind != ProgramType::Xdp && self.chance(3)).then(|| self.usually(0, &[1, 2])),
        }
    }

    fn question(&mut self) -> Question {
        let kind = self.pick(&[ProgramType::Xdp, ProgramType::SchedCls]);
        let mut version = self.pick(&[4, 6]);
        let asks = match self.below(4) {
            0 if version == 4 => Asks::Raw(
                H::TCP_RAW_GEN_SYNCOOKIE_IPV4,
                H::TCP_RAW_CHECK_SYNCOOKIE_IPV4,
            ),
            0 => Asks::Raw(
                H::TCP_RAW_GEN_SYNCOOKIE_IPV6,
                H::TCP_RAW_CHECK_SYNCOOKIE_IPV6,
            ),
            _ => self.lookup(kind),
        };
        if matches!(asks, Asks::Lookup { .. }) {
            version = self.usually(version, &[0, 5, 15]);
        }
        let len = self
            .usually(20, &[16, 19])
            .max(self.pick(&[0, 0, 24, 32, 40, 60]));
        let flags = self.usually(2, &[0, 0x12, 0x10, 3, 6, 0xc2, 0x42]);
        let syn = self.tcp(flags, len);
        let mut ack = syn.clone();
        ack.resize(ack.len().max(20), 0);
        ack[7] += 1;
        ack[13] = self.usually(0x10, &[0x12, 0x14, 0x18, 0, 2]);
        if self.chance(8) {
            ack[1] ^= 1;
        }
        if matches!(asks, Asks::Lookup { .. }) && self.chance(10) {
            ack.truncate(19);
        }
        Question {
            kind,
            ip: self.ip(version),
            asks,
            syn,
            ack,
            wrong: self.usually(0, &[1, -1, 2, 3, 4, 1 << 20, 1 << 24, 2 << 24, 1 << 31]),
            mode: self.pick(&[0, 1, 2, 2, 2, 2]),
        }
    }
}

/// What may be read of every socket, in part and whole: family, addresses, ports, state.
const COMMON: &[(Width, i16)] = &[
    (Width::W, 0),
    (Width::W, 4),
    (Width::H, 4),
    (Width::B, 4),
    (Width::W, 24),
    (Width::H, 24),
    (Width::H, 26),
    (Width::B, 24),
    (Width::B, 27),
    (Width::W, 28),
    (Width::W, 40),
    (Width::H, 42),
    (Width::B, 43),
    (Width::W, 44),
    (Width::H, 44),
    (Width::B, 44),
    (Width::W, 48),
    (Width::H, 48),
    (Width::B, 48),
    (Width::B, 49),
    (Width::W, 52),
    (Width::H, 54),
    (Width::B, 55),
    (Width::W, 56),
    (Width::W, 68),
    (Width::B, 71),
    (Width::W, 72),
    (Width::H, 72),
    (Width::B, 72),
];

/// What only full sockets show: type and protocol, mark, priority.
const FULL: &[(Width, i16)] = &[
    (Width::W, 8),
    (Width::H, 8),
    (Width::B, 8),
    (Width::W, 12),
    (Width::B, 12),
    (Width::W, 16),
    (Width::W, 20),
];

#[test]
fn packets_ask_about_sockets() {
    if skip("questions about sockets") {
        return;
    }
    let _turn = turn();
    // Sockets age in the kernel, so that no namespace answers for long.
    const AT_ONCE: usize = 150;
    let variable = |name: &str, default: usize| {
        let value = std::env::var(name).ok();
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    };
    let (cases, seed) = (
        variable("TWINPATH_CASES", 150),
        variable("TWINPATH_SEED", 1),
    );
    let mut generator = Generator(Random::new(seed as u64));
    let questions: Vec<_> = (0..cases).map(|_| generator.question()).collect();
    let mut failures = Vec::new();
    let mut answers = std::collections::BTreeSet::new();
    for some in questions.chunks(AT_ONCE) {
        let (expected, got) = (kernel(some), emulator(some));
        for (question, (expected, got)) in some.iter().zip(expected.into_iter().zip(got)) {
            if expected != got {
                let text = format!("{question:02x?}\n  kernel:   {expected}\n  emulator: {got}");
                failures.push(text);
            }
            answers.insert(expected);
        }
    }
    eprintln!("{cases} questions, {} different answers", answers.len());
    let shown = failures.iter().take(10).cloned().collect::<Vec<_>>();
    let count = failures.len();
    assert!(
        count == 0,
        "{count} of {cases} differ:\n{}",
        shown.join("\n")
    );
}
