//! Random scripts: calls on a handful of sockets with programs in their way, in the kernel and in the
//! emulator. `TWINPATH_CASES` says how many (25), `TWINPATH_SEED` which.

use std::net::SocketAddr;

use twinpath_machine::{AttachType as A, HelperId, Random};
use twinpath_node::Family::{V4, V6};
use twinpath_node::Protocol::{Tcp, Udp};
use twinpath_node::{Family, Protocol, Shutdown};

use super::asm::Width;
use super::hooks::{Field, Kind};
use super::place::{Cgroup, in_namespace, skip};
use super::recorder::{Action, Recorder};
use super::script::{Script, Setting, Slot, Step};
use super::sides::{difference, in_emulator, in_kernel};

const SLOTS: u64 = 6;
const STEPS: u64 = 24;

const ADDRESSES4: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1",
    "127.0.0.1",
    "0.0.0.0",
    "0.0.0.0",
    "127.0.0.2",
    "10.1.0.1",
    "10.1.0.2",
    "10.2.0.1",
    "192.0.2.1",
    "10.1.0.255",
    "224.0.0.5",
    "255.255.255.255",
];
const ADDRESSES6: &[&str] = &[
    "::1",
    "::1",
    "::1",
    "::",
    "::",
    "fd00:1::1",
    "fd00:2::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.0.2",
    "::ffff:0.0.0.0",
    "::ffff:192.0.2.1",
];
const PORTS: &[u16] = &[7000, 7000, 7000, 7001, 7001, 7002, 0, 80];

/// What scripts are about. Which socket of a group gets a flow is the kernel's secret, so that those
/// which share ports exchange nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Exchange,
    Sharing,
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

    fn slot(&mut self) -> Slot {
        self.below(SLOTS) as Slot
    }

    fn address(&mut self, family: Family) -> SocketAddr {
        let family = match self.chance(12) {
            true => self.family(),
            false => family,
        };
        let ip = match family {
            V6 => self.pick(ADDRESSES6),
            _ => self.pick(ADDRESSES4),
        };
        SocketAddr::new(ip.parse().unwrap(), self.pick(PORTS))
    }

    fn family(&mut self) -> Family {
        self.pick(&[V4, V6])
    }

    fn protocol(&mut self) -> Protocol {
        self.pick(&[Tcp, Udp])
    }

    fn script(&mut self) -> Script {
        let about = self.pick(&[About::Exchange, About::Exchange, About::Sharing]);
        let mut slots = [(V4, Tcp); SLOTS as usize];
        let mut steps = Vec::new();
        let (family, protocol) = (self.family(), self.protocol());
        for (slot, kind) in slots.iter_mut().enumerate() {
            // Most of them can meet each other.
            *kind = (
                if self.chance(4) {
                    self.family()
                } else {
                    family
                },
                if self.chance(4) {
                    self.protocol()
                } else {
                    protocol
                },
            );
            steps.push(Step::Open(slot, kind.0, kind.1));
            while self.chance(3) {
                steps.push(Step::Set(slot, self.setting(about)));
            }
            if kind.0 == V6 && self.chance(4) {
                steps.push(Step::Set(slot, Setting::V6Only));
            }
            if self.chance(2) {
                steps.push(Step::Bind(slot, self.address(kind.0)));
            }
            if kind.1 == Tcp && self.chance(2) {
                steps.push(Step::Listen(slot));
            }
        }
        for _ in 0..self.below(STEPS) + 4 {
            let step = self.step(about, &mut slots);
            steps.push(step);
        }
        let programs = (0..self.below(6)).map(|_| self.program()).collect();
        Script::new(programs, steps)
    }

    fn setting(&mut self, about: About) -> Setting {
        let sharing = about == About::Sharing;
        match self.below(6) {
            0 | 1 if sharing => Setting::ReusePort,
            0 | 1 => Setting::ReuseAddress,
            2 => Setting::AnyAddress,
            3 => Setting::AddressWithoutPort,
            4 => Setting::Broadcast,
            _ => Setting::Mark(7),
        }
    }

    fn step(&mut self, about: About, slots: &mut [(Family, Protocol)]) -> Step {
        let slot = self.slot();
        let (family, protocol) = slots[slot];
        let to = self.address(family);
        let exchange = about == About::Exchange;
        match self.below(24) {
            0 => {
                slots[slot] = (self.family(), self.protocol());
                Step::Open(slot, slots[slot].0, slots[slot].1)
            }
            1 => Step::Set(slot, self.setting(about)),
            2 | 3 => Step::Bind(slot, to),
            4 => Step::BindPoor(slot, to),
            5 => Step::Listen(slot),
            6..=9 if exchange => Step::Connect(slot, to),
            10 if exchange => Step::Disconnect(slot),
            11 | 12 if protocol == Tcp => Step::Accept(slot, self.slot()),
            11..=14 if exchange && protocol == Udp => Step::Send(slot, Some(to)),
            13..=15 if exchange => Step::Send(slot, None),
            16..=18 => Step::Receive(slot),
            19 if exchange => {
                let how = [Shutdown::Receive, Shutdown::Send, Shutdown::Both];
                Step::Shutdown(slot, self.pick(&how))
            }
            20 | 21 => Step::LocalName(slot),
            22 => Step::PeerName(slot),
            _ => Step::Close(slot),
        }
    }

    /// A program at a random hook: one that looks, rewrites, refuses, or sets what the call returns.
    fn program(&mut self) -> Recorder {
        let hook = self.pick(HOOKS);
        let mut recorder = Recorder::new(hook);
        let name = hook.to_string();
        let family = if name.contains('6') { V6 } else { V4 };
        let sock_addr = super::hooks::SOCK_ADDR.contains(&hook);
        let to = self.address(family);
        if sock_addr && self.chance(2) && to.is_ipv6() == (family == V6) {
            recorder = recorder.does(match to.ip() {
                std::net::IpAddr::V4(ip) => Action::Ip4(ip),
                std::net::IpAddr::V6(ip) => Action::Ip6(ip),
            });
        }
        if sock_addr && self.chance(2) {
            recorder = recorder.does(Action::Port(to.port()));
        }
        let from = self.address(family).ip();
        match (hook, from) {
            (A::CgroupUdp4Sendmsg, std::net::IpAddr::V4(ip)) if self.chance(3) => {
                recorder = recorder.does(Action::Source4(ip));
            }
            (A::CgroupUdp6Sendmsg, std::net::IpAddr::V6(ip)) if self.chance(3) => {
                recorder = recorder.does(Action::Source6(ip));
            }
            (A::CgroupInet4Connect | A::CgroupInet6Connect, _) if self.chance(4) => {
                let address = self.address(family);
                // An IPv6 address for an IPv4 socket crashes Linux 6.18.
                if address.is_ipv4() || family == V6 {
                    recorder = recorder.does(Action::Bind(address));
                }
            }
            _ => {}
        }
        for _ in 0..self.below(3) {
            recorder = recorder.does(self.helper(hook, family));
        }
        for _ in 0..if sock_addr { self.below(4) } else { 0 } {
            recorder = recorder.does(self.narrow(hook));
        }
        let always = name.contains("recvmsg") || name.contains("name");
        if !always && self.chance(5) {
            // Linux 6.18 takes a positive number at `socket()` for success, has no socket, and crashes at
            // the next call.
            let create = hook == A::CgroupInetSockCreate;
            let positive = if create { -22 } else { 3 };
            let value = self.pick(&[-1, -13, -98, -111, 0, positive]);
            recorder = recorder.does(Action::Return(value));
        }
        let verdicts: &[i32] = match hook {
            _ if always => &[1],
            A::CgroupInet4Bind | A::CgroupInet6Bind => &[1, 1, 1, 3, 3, 2, 0],
            _ => &[1, 1, 1, 1, 0],
        };
        let verdict = self.pick(verdicts);
        recorder.returns(verdict)
    }
}

impl Generator {
    /// A read of a part of a field, or of two words of an address at once.
    fn narrow(&mut self, hook: A) -> Action {
        let ports_of_callers =
            !hook.to_string().contains("recvmsg") && !hook.to_string().contains("name");
        let fields = super::hooks::context(hook);
        let may_be_read = |field: &&Field| match field.kind {
            Kind::Ip4 | Kind::Word => true,
            // Others are drawn by the kernel.
            Kind::NetworkPort => ports_of_callers,
            _ => false,
        };
        let fields: Vec<Field> = fields.iter().filter(may_be_read).copied().collect();
        let field = self.pick(&fields);
        match self.below(4) {
            0 => Action::Read(Width::B, field.offset + self.below(4) as i16),
            1 => Action::Read(Width::H, field.offset + 2 * self.below(2) as i16),
            2 if field.kind == Kind::Word && field.offset % 8 == 0 && field.offset != 56 => {
                Action::Read(Width::D, field.offset)
            }
            2 => Action::Read(Width::W, field.offset),
            _ if self.chance(3) => {
                // Of these the kernel gives the first bytes alone.
                let width = self.pick(&[Width::B, Width::H]);
                Action::ReadSocket(width, self.pick(SOCKET_NUMBERS))
            }
            _ => match (self.pick(SOCKET_ADDRESSES), self.chance(2)) {
                (word, true) => Action::ReadSocket(Width::B, word + self.below(4) as i16),
                (word, false) => Action::ReadSocket(Width::H, word + 2 * self.below(2) as i16),
            },
        }
    }

    /// Programs that are told of TCP sockets, in some scripts.
    fn callbacks(&mut self) -> Vec<Recorder> {
        let number = if self.chance(3) { 1 + self.below(2) } else { 0 };
        let mut callback = |_| {
            let recorder = Recorder::new(A::CgroupSockOps);
            let flags = self.pick(&[0, 0, 1, 2]);
            recorder.does(match self.below(6) {
                0 | 1 => Action::IntoMap(self.below(4) as u32, flags),
                2 | 3 => Action::IntoHash(self.below(6) as u32, flags),
                4 => Action::Reply(self.pick(&[0, 60_000])),
                _ => Action::Storage(self.pick(&[0, 1])),
            })
        };
        (0..number).map(&mut callback).collect()
    }
}

impl Generator {
    /// Programs on packets, in most scripts without TCP.
    fn filters(&mut self, steps: &[Step]) -> Vec<Recorder> {
        let opens_tcp = |step: &Step| matches!(step, Step::Open(_, _, Tcp));
        if self.chance(4) || steps.iter().any(opens_tcp) {
            return Vec::new();
        }
        let mut filter = |_| {
            let hook = self.pick(&[A::CgroupInetEgress, A::CgroupInetIngress]);
            let verdicts: &[i32] = match hook {
                A::CgroupInetEgress => &[1, 1, 1, 0, 2, 3],
                _ => &[1, 1, 1, 0],
            };
            let recorder = Recorder::new(hook).returns(self.pick(verdicts));
            recorder.does(match self.below(3) {
                0 => Action::Owner,
                1 => Action::Local,
                _ => Action::Packet(self.pick(&[28, 48]), 4),
            })
        };
        (0..2).map(&mut filter).collect()
    }
}

/// Options as programs may set them, and some that they may not: level, name.
const OPTIONS: &[(i32, i32)] = &[
    (1, 2),    // SO_REUSEADDR
    (1, 7),    // SO_SNDBUF
    (1, 8),    // SO_RCVBUF
    (1, 9),    // SO_KEEPALIVE
    (1, 12),   // SO_PRIORITY
    (1, 13),   // SO_LINGER
    (1, 18),   // SO_RCVLOWAT
    (1, 36),   // SO_MARK
    (1, 47),   // SO_MAX_PACING_RATE
    (1, 62),   // SO_BINDTOIFINDEX
    (1, 74),   // SO_TXREHASH
    (6, 1),    // TCP_NODELAY
    (6, 2),    // TCP_MAXSEG
    (6, 4),    // TCP_KEEPIDLE
    (6, 5),    // TCP_KEEPINTVL
    (6, 6),    // TCP_KEEPCNT
    (6, 7),    // TCP_SYNCNT
    (6, 10),   // TCP_WINDOW_CLAMP
    (6, 16),   // TCP_THIN_LINEAR_TIMEOUTS
    (6, 18),   // TCP_USER_TIMEOUT
    (6, 25),   // TCP_NOTSENT_LOWAT
    (6, 27),   // TCP_SAVE_SYN
    (6, 44),   // TCP_RTO_MAX_MS
    (6, 1001), // TCP_BPF_IW
    (6, 1003), // TCP_BPF_DELACK_MAX
    (6, 1008), // TCP_BPF_SOCK_OPS_CB_FLAGS
    (0, 1),    // IP_TOS
    (0, 2),    // IP_TTL
    (41, 67),  // IPV6_TCLASS
    (41, 70),  // IPV6_AUTOFLOWLABEL
    (41, 26),  // IPV6_V6ONLY
    (2, 1),
];
const VALUES: &[i32] = &[0, 1, 2, 3, 10, 11, 100, 300, 5000, 70_000, -1, i32::MAX];
/// `TCP_BPF_SOCK_OPS_CB_FLAGS`, with those flags that ask for nothing which the emulator refuses, and what are none.
const CALLBACKS: (i32, i32) = (6, 1008);
const FLAGS: &[i32] = &[0, 1, 2, 3, 300, -1];
/// What of `struct bpf_sock` can be read in parts: family, type, protocol, state; and the words of addresses.
const SOCKET_NUMBERS: &[i16] = &[4, 8, 12, 72];
const SOCKET_ADDRESSES: &[i16] = &[24, 28, 32, 36, 40, 52, 56, 60, 64, 68];
const LOOKUPS: &[HelperId] = &[
    HelperId::SK_LOOKUP_TCP,
    HelperId::SK_LOOKUP_UDP,
    HelperId::SKC_LOOKUP_TCP,
];

impl Generator {
    /// A helper that programs of a hook have.
    fn helper(&mut self, hook: A, family: Family) -> Action {
        let sock_addr = super::hooks::SOCK_ADDR.contains(&hook);
        match self.below(10) {
            0 => Action::Cookie,
            1 => Action::Netns,
            2 => Action::Local,
            _ if !sock_addr => Action::Storage(self.pick(&[0, 1, 1, 2])),
            3 | 4 => Action::Storage(self.pick(&[0, 1, 1, 2])),
            5 => Action::Forget,
            6 => {
                let (level, name) = self.pick(OPTIONS);
                Action::Get(level, name, self.pick(&[4, 4, 4, 8, 2]))
            }
            7 => {
                let names: &[&[u8]] = &[b"cubic", b"reno\0", b"nothing", b"r"];
                let bytes = self.pick(names);
                self.pick(&[Action::SetBytes(6, 13, bytes), Action::Get(6, 13, 8)])
            }
            8 => {
                let (level, name) = self.pick(OPTIONS);
                let values = match (level, name) {
                    CALLBACKS => FLAGS,
                    _ => VALUES,
                };
                Action::Set(level, name, self.pick(values))
            }
            _ => {
                let (to, from) = (self.address(family), self.address(family));
                match to.is_ipv4() == from.is_ipv4() {
                    true => Action::Find(self.pick(LOOKUPS), to, from, self.pick(&[-1, -1, 0, 7])),
                    false => Action::Netns,
                }
            }
        }
    }
}

const HOOKS: &[A] = &[
    A::CgroupInetSockCreate,
    A::CgroupInetSockRelease,
    A::CgroupInet4Bind,
    A::CgroupInet6Bind,
    A::CgroupInet4PostBind,
    A::CgroupInet6PostBind,
    A::CgroupInet4Connect,
    A::CgroupInet6Connect,
    A::CgroupUdp4Sendmsg,
    A::CgroupUdp6Sendmsg,
    A::CgroupUdp4Recvmsg,
    A::CgroupUdp6Recvmsg,
    A::CgroupInet4Getpeername,
    A::CgroupInet6Getpeername,
    A::CgroupInet4Getsockname,
    A::CgroupInet6Getsockname,
];

fn number(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

/// What differs for a script, or nothing.
fn run(cgroup: &Cgroup, script: &Script) -> Result<(), String> {
    let kernel = in_namespace(|| in_kernel(cgroup.fd(), script));
    let emulator = in_emulator(script);
    // Refused by name: packets that are none here.
    let refused = "Unsupported(\"a cgroup/skb program at";
    if emulator.iter().any(|line| line.contains(refused)) {
        return Ok(());
    }
    difference(&kernel, &emulator)
}

/// A script with as few programs and steps as still make a difference.
fn shrink(cgroup: &Cgroup, mut script: Script) -> Script {
    let mut at = 0;
    while at < script.steps.len() + script.programs.len() {
        let mut smaller = script.clone();
        if at < script.programs.len() {
            smaller.programs.remove(at);
        } else {
            smaller.steps.remove(at - script.programs.len());
        }
        if run(cgroup, &smaller).is_err() {
            script = smaller;
        } else {
            at += 1;
        }
    }
    script
}

/// A script in a few lines, as a case has it.
fn show(script: &Script) -> String {
    let programs = script
        .programs
        .iter()
        .map(|program| format!("  {program:?}\n"));
    let steps = script.steps.iter().map(|step| format!("  {step:?}\n"));
    programs.chain(steps).collect()
}

#[test]
fn random_calls_do_what_they_do_in_the_kernel() {
    if skip("random calls") {
        return;
    }
    let cgroup = Cgroup::enter();
    let (cases, seed) = (number("TWINPATH_CASES", 25), number("TWINPATH_SEED", 1));
    let mut failures = String::new();
    let mut count = 0;
    let first = number("TWINPATH_FIRST", 0);
    for case in first..first + cases {
        let mut generator = Generator(Random::new(seed.wrapping_mul(0x1_0000_0000) + case));
        let mut script = generator.script();
        script.programs.extend(generator.callbacks());
        script.programs.extend(generator.filters(&script.steps));
        if run(&cgroup, &script).is_err() {
            let script = shrink(&cgroup, script);
            let text = run(&cgroup, &script)
                .err()
                .unwrap_or_else(|| "  now equal\n".to_owned());
            failures += &format!("== case {case} of seed {seed}: \n{}{text}", show(&script));
            count += 1;
            if count == 8 {
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    eprintln!("{cases} random scripts of seed {seed} agree");
}
