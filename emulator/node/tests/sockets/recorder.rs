//! Programs that write down what they see, then do something.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use twinpath_machine::isa::{CALL, Insn, pseudo};
use twinpath_machine::{AttachType, HelperId, ProgramType};

use super::asm::{
    Width, alu_k, alu_x, cond, exit, insn, jump_k, lddw, ldx, mov, movr, op, st, stx,
};
use super::hooks::{self, Field, Kind};

/// What a program does besides writing down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Ip4(Ipv4Addr),
    Ip6(Ipv6Addr),
    Port(u16),
    Source4(Ipv4Addr),
    Source6(Ipv6Addr),
    /// Writes a field of `struct bpf_sock`: its offset and the value.
    Sock(i16, u32),
    /// `bpf_set_retval`
    Return(i32),
    /// `bpf_get_retval`
    Returned,
    /// `bpf_bind`
    Bind(SocketAddr),
    /// `bpf_setsockopt` of a number: level, name, value.
    Set(i32, i32, i32),
    /// `bpf_setsockopt` of bytes.
    SetBytes(i32, i32, &'static [u8]),
    /// `bpf_getsockopt` into so many bytes, at most 8.
    Get(i32, i32, i32),
    /// Reads a part of the context.
    Read(Width, i16),
    /// Reads a part of the context's socket.
    ReadSocket(Width, i16),
    /// Writes eight bytes into the context.
    Long(i16, u64),
    /// `bpf_get_socket_cookie`: whether it is one.
    Cookie,
    /// `bpf_get_netns_cookie`: whether it is one.
    Netns,
    /// A lookup by a helper, from the second to the first, in the namespace of this number.
    Find(HelperId, SocketAddr, SocketAddr, i32),
    /// `bpf_sk_storage_get` with these flags; the value is counted up.
    Storage(i32),
    /// `bpf_sk_storage_delete`
    Forget,
    /// `bpf_get_local_storage`; the value is counted up.
    Local,
    /// `bpf_sock_map_update` under a key, with flags.
    IntoMap(u32, i32),
    /// `bpf_sock_hash_update` likewise.
    IntoHash(u32, i32),
    /// Replies to a `sock_ops` callback.
    Reply(u32),
    /// At most eight bytes of the packet: from where, and how many.
    Packet(i32, i32),
    /// `bpf_skb_cgroup_id` and `bpf_get_socket_uid`: whether there is one, and which.
    Owner,
}

/// The maps of a program, by number or descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Maps {
    pub records: i32,
    pub sockets: i32,
    pub cgroups: i32,
    /// A sockmap and a sockhash.
    pub by_index: i32,
    pub by_key: i32,
}

/// A program for a hook: what it does, and what it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    pub hook: AttachType,
    pub actions: Vec<Action>,
    pub verdict: i32,
}

/// Bytes of a record, and where the first one begins.
const RECORD_SHIFT: i32 = 8;
const FIRST: i16 = 8;
const RECORDS: i32 = 24;
/// Where the results of actions are.
const RESULTS: i16 = FIRST + ((RECORDS as i16) << RECORD_SHIFT);
/// Two numbers for each action.
const RESULT: i16 = 16;
const MAX_RESULTS: i16 = 96;
/// Bytes of the map's value.
pub const SIZE: usize = (RESULTS + MAX_RESULTS * RESULT) as usize;

pub fn call(helper: HelperId) -> Insn {
    insn(CALL, 0, 0, 0, helper.0 as i32)
}

impl Recorder {
    /// A program that only looks, and lets the call go on.
    pub fn new(hook: AttachType) -> Self {
        Self {
            hook,
            actions: Vec::new(),
            verdict: 1,
        }
    }

    pub fn does(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    pub fn returns(mut self, verdict: i32) -> Self {
        self.verdict = verdict;
        self
    }

    pub fn program_type(&self) -> ProgramType {
        hooks::program_type(self.hook)
    }

    /// Linux 6.18 takes a positive number at `socket()` for success, has no socket, and crashes at the
    /// next call; and it crashes when an IPv4 socket is bound to an IPv6 address by `bpf_bind`.
    pub fn assert_harmless(&self) {
        let harmful = |action: &Action| match self.hook {
            AttachType::CgroupInetSockCreate => matches!(action, Action::Return(1..)),
            AttachType::CgroupInet4Connect => {
                matches!(action, Action::Bind(address) if address.is_ipv6())
            }
            _ => false,
        };
        assert!(
            !self.actions.iter().any(harmful),
            "{self:?} crashes the kernel"
        );
    }

    /// The program, with a map of this number or descriptor.
    pub fn program(&self, maps: Maps) -> Vec<Insn> {
        let sk = match self.program_type() {
            ProgramType::CgroupSockAddr => Some(SK),
            ProgramType::SockOps => Some(SK_OF_OPS),
            _ => None,
        };
        let mut insns = vec![movr(6, 1)];
        if self.program_type() == ProgramType::CgroupSkb {
            // The namespace's own socket, which tells of groups when it likes.
            let local_port = 136;
            insns.push(ldx(Width::W, 2, 6, local_port));
            insns.push(jump_k(true, cond::JNE, 2, ICMPV6, 2));
            insns.extend([mov(0, 1), exit()]);
        }
        insns.extend([st(Width::W, 10, -4, 0), movr(2, 10)]);
        insns.push(alu_k(true, op::ADD, 2, -4, 0));
        insns.extend(lddw(1, pseudo::MAP_FD, maps.records as u32 as u64));
        insns.push(call(HelperId::MAP_LOOKUP_ELEM));
        insns.extend([jump_k(true, cond::JNE, 0, 0, 2), mov(0, 1), exit()]);
        insns.push(movr(9, 0));
        let record = self.record();
        insns.push(ldx(Width::W, 7, 9, 0));
        insns.push(jump_k(true, cond::JGE, 7, RECORDS, record.len() as i16));
        insns.extend(record);
        for (index, action) in self.actions.iter().enumerate() {
            act(&mut insns, *action, RESULTS + index as i16 * RESULT);
            use_maps(
                &mut insns,
                (*action, sk),
                maps,
                RESULTS + index as i16 * RESULT,
            );
        }
        insns.extend([mov(0, self.verdict), exit()]);
        insns
    }

    fn record(&self) -> Vec<Insn> {
        let mut insns = vec![movr(8, 7), alu_k(true, op::LSH, 8, RECORD_SHIFT, 0)];
        insns.extend([alu_x(true, op::ADD, 8, 9, 0), alu_k(true, op::ADD, 7, 1, 0)]);
        insns.push(stx(Width::W, 9, 0, 7));
        insns.push(st(Width::W, 8, FIRST, self.hook as i32));
        let mut to = FIRST + 4;
        for field in hooks::context(self.hook) {
            insns.extend([ldx(Width::W, 1, 6, field.offset), stx(Width::W, 8, to, 1)]);
            to += 4;
        }
        if self.program_type() == ProgramType::CgroupSockAddr {
            insns.push(ldx(Width::D, 2, 6, SK));
            for field in hooks::SOCKET.concat() {
                insns.extend([ldx(Width::W, 1, 2, field.offset), stx(Width::W, 8, to, 1)]);
                to += 4;
            }
        }
        insns
    }
}

/// Stores a number into a context.
fn put(insns: &mut Vec<Insn>, offset: i16, value: u32) {
    insns.extend([mov(1, value as i32), stx(Width::W, 6, offset, 1)]);
}

fn words(ip: Ipv6Addr) -> [u32; 4] {
    let octets = ip.octets();
    std::array::from_fn(|word| u32::from_le_bytes(octets[word * 4..][..4].try_into().unwrap()))
}

/// The number of a raw socket's protocol, which such a socket has for a port.
const ICMPV6: i32 = 58;
/// Where bytes for helpers lie on the stack.
const BASE: i16 = -64;
/// Where `struct bpf_sock_addr` has its socket.
const SK: i16 = 64;
/// Where `struct bpf_sock_ops` has it.
const SK_OF_OPS: i16 = 184;

/// Puts bytes on the stack and their address into a register.
fn on_stack(insns: &mut Vec<Insn>, register: u8, bytes: &[u8]) {
    for (index, word) in bytes.chunks(4).enumerate() {
        let word = i32::from_le_bytes(word.try_into().unwrap());
        insns.push(st(Width::W, 10, BASE + index as i16 * 4, word));
    }
    insns.push(movr(register, 10));
    insns.push(alu_k(true, op::ADD, register, i32::from(BASE), 0));
}

fn act(insns: &mut Vec<Insn>, action: Action, result: i16) {
    match action {
        Action::Ip4(ip) => put(insns, 4, u32::from_le_bytes(ip.octets())),
        Action::Source4(ip) => put(insns, 40, u32::from_le_bytes(ip.octets())),
        Action::Port(port) => put(insns, 24, u32::from(port.to_be())),
        Action::Sock(offset, value) => put(insns, offset, value),
        Action::Ip6(ip) => {
            for (offset, word) in (8..).step_by(4).zip(words(ip)) {
                put(insns, offset, word);
            }
        }
        Action::Source6(ip) => {
            for (offset, word) in (44..).step_by(4).zip(words(ip)) {
                put(insns, offset, word);
            }
        }
        Action::Return(value) => {
            insns.extend([mov(1, value), call(HelperId::SET_RETVAL)]);
            insns.push(stx(Width::D, 9, result, 0));
        }
        Action::Returned => {
            insns.extend([call(HelperId::GET_RETVAL), stx(Width::D, 9, result, 0)]);
        }
        Action::Bind(address) => {
            let bytes = twinpath_bpf::sockaddr(address);
            on_stack(insns, 2, &bytes);
            insns.extend([movr(1, 6), mov(3, bytes.len() as i32), call(HelperId::BIND)]);
            insns.push(stx(Width::D, 9, result, 0));
        }
        Action::Set(level, name, value) => {
            on_stack(insns, 4, &value.to_le_bytes());
            insns.extend([movr(1, 6), mov(2, level), mov(3, name), mov(5, 4)]);
            insns.extend([call(HelperId::SETSOCKOPT), stx(Width::D, 9, result, 0)]);
        }
        Action::SetBytes(level, name, bytes) => {
            let mut padded = bytes.to_vec();
            padded.resize(bytes.len().next_multiple_of(4), 0);
            on_stack(insns, 4, &padded);
            insns.extend([movr(1, 6), mov(2, level), mov(3, name)]);
            insns.extend([mov(5, bytes.len() as i32), call(HelperId::SETSOCKOPT)]);
            insns.push(stx(Width::D, 9, result, 0));
        }
        Action::Get(level, name, len) => {
            on_stack(insns, 4, &[0xaa; 8]);
            insns.extend([movr(1, 6), mov(2, level), mov(3, name), mov(5, len)]);
            insns.extend([call(HelperId::GETSOCKOPT), stx(Width::D, 9, result, 0)]);
            insns.extend([ldx(Width::D, 1, 10, BASE), stx(Width::D, 9, result + 8, 1)]);
        }
        Action::Read(width, at) => {
            insns.extend([ldx(width, 1, 6, at), stx(Width::D, 9, result, 1)]);
        }
        Action::ReadSocket(width, at) => {
            insns.extend([ldx(Width::D, 2, 6, SK), ldx(width, 1, 2, at)]);
            insns.push(stx(Width::D, 9, result, 1));
        }
        Action::Long(at, value) => {
            insns.extend(lddw(1, 0, value));
            insns.push(stx(Width::D, 6, at, 1));
        }
        Action::Cookie | Action::Netns => {
            let helper = match action {
                Action::Cookie => HelperId::GET_SOCKET_COOKIE,
                _ => HelperId::GET_NETNS_COOKIE,
            };
            insns.extend([movr(1, 6), call(helper), mov(1, 0)]);
            insns.extend([jump_k(true, cond::JEQ, 0, 0, 1), mov(1, 1)]);
            insns.push(stx(Width::D, 9, result, 1));
        }
        Action::Find(helper, to, from, netns) => {
            let tuple = tuple(to, from);
            on_stack(insns, 2, &tuple);
            insns.extend([
                movr(1, 6),
                mov(3, tuple.len() as i32),
                mov(4, netns),
                mov(5, 0),
            ]);
            insns.extend([call(helper), mov(8, 0)]);
            let shown = [
                ldx(Width::W, 8, 0, 72),
                alu_k(true, op::LSH, 8, 16, 0),
                ldx(Width::W, 1, 0, 44),
                alu_x(true, op::OR, 8, 1, 0),
                alu_k(true, op::LSH, 8, 8, 0),
                ldx(Width::W, 1, 0, 4),
                alu_x(true, op::OR, 8, 1, 0),
                movr(1, 0),
                call(HelperId::SK_RELEASE),
            ];
            insns.push(jump_k(true, cond::JEQ, 0, 0, shown.len() as i16));
            insns.extend(shown);
            insns.push(stx(Width::D, 9, result, 8));
        }
        Action::Reply(value) => put(insns, 4, value),
        Action::Packet(at, len) => {
            on_stack(insns, 3, &[0xaa; 8]);
            insns.extend([movr(1, 6), mov(2, at), mov(4, len)]);
            insns.extend([call(HelperId::SKB_LOAD_BYTES), stx(Width::D, 9, result, 0)]);
            insns.extend([ldx(Width::D, 1, 10, BASE), stx(Width::D, 9, result + 8, 1)]);
        }
        Action::Owner => {
            insns.extend([movr(1, 6), call(HelperId::SKB_CGROUP_ID), mov(1, 0)]);
            insns.extend([jump_k(true, cond::JEQ, 0, 0, 1), mov(1, 1)]);
            insns.push(stx(Width::D, 9, result, 1));
            insns.extend([movr(1, 6), call(HelperId::GET_SOCKET_UID)]);
            insns.push(stx(Width::D, 9, result + 8, 0));
        }
        Action::Storage(_)
        | Action::Forget
        | Action::Local
        | Action::IntoMap(..)
        | Action::IntoHash(..) => {}
    }
}

/// What an action does with the maps of sockets and cgroups.
fn use_maps(insns: &mut Vec<Insn>, (action, sk): (Action, Option<i16>), maps: Maps, result: i16) {
    let socket = match sk {
        Some(sk) => ldx(Width::D, 2, 6, sk),
        None => movr(2, 6),
    };
    // Of a request there is no socket.
    if sk == Some(SK_OF_OPS) && matches!(action, Action::Storage(_) | Action::Forget) {
        let mut used = Vec::new();
        use_socket(&mut used, (action, socket), maps, result);
        let len = used.len() as i16;
        insns.extend([socket, jump_k(true, cond::JEQ, 2, 0, len - 1)]);
        insns.extend(&used[1..]);
    } else {
        use_socket(insns, (action, socket), maps, result);
    }
}

fn use_socket(insns: &mut Vec<Insn>, (action, socket): (Action, Insn), maps: Maps, result: i16) {
    let count = [
        ldx(Width::D, 1, 0, 0),
        stx(Width::D, 9, result + 8, 1),
        alu_k(true, op::ADD, 1, 1, 0),
        stx(Width::D, 0, 0, 1),
        st(Width::D, 9, result, 1),
    ];
    match action {
        Action::Storage(flags) => {
            insns.push(socket);
            insns.extend(lddw(1, pseudo::MAP_FD, maps.sockets as u32 as u64));
            insns.extend([mov(3, 0), mov(4, flags), call(HelperId::SK_STORAGE_GET)]);
            insns.push(jump_k(true, cond::JEQ, 0, 0, count.len() as i16));
            insns.extend(count);
        }
        Action::Forget => {
            insns.push(socket);
            insns.extend(lddw(1, pseudo::MAP_FD, maps.sockets as u32 as u64));
            insns.extend([
                call(HelperId::SK_STORAGE_DELETE),
                stx(Width::D, 9, result, 0),
            ]);
        }
        Action::IntoMap(key, flags) | Action::IntoHash(key, flags) => {
            let (map, helper) = match action {
                Action::IntoMap(..) => (maps.by_index, HelperId::SOCK_MAP_UPDATE),
                _ => (maps.by_key, HelperId::SOCK_HASH_UPDATE),
            };
            // The result of each callback by itself: eight bits of the error number.
            on_stack(insns, 3, &key.to_le_bytes());
            insns.extend(lddw(2, pseudo::MAP_FD, map as u32 as u64));
            insns.extend([movr(1, 6), mov(4, flags), call(helper)]);
            insns.extend([
                ldx(Width::D, 1, 9, result),
                alu_k(true, op::LSH, 1, 8, 0),
                alu_k(true, op::AND, 0, 0xff, 0),
                alu_x(true, op::OR, 1, 0, 0),
                stx(Width::D, 9, result, 1),
            ]);
        }
        Action::Local => {
            insns.extend(lddw(1, pseudo::MAP_FD, maps.cgroups as u32 as u64));
            insns.extend([mov(2, 0), call(HelperId::GET_LOCAL_STORAGE)]);
            insns.extend(count);
        }
        _ => {}
    }
}

/// `struct bpf_sock_tuple`
pub fn tuple(to: SocketAddr, from: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    for end in [from, to] {
        match end.ip() {
            std::net::IpAddr::V4(ip) => bytes.extend(ip.octets()),
            std::net::IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
    }
    bytes.extend([from, to].iter().flat_map(|end| end.port().to_be_bytes()));
    bytes
}

/// Names for ports that differ from run to run: by the order in which they are met.
#[derive(Debug, Default)]
pub struct Ports(Vec<u16>);

impl Ports {
    pub fn show(&mut self, port: u16) -> String {
        if !(32768..=60999).contains(&port) {
            return port.to_string();
        }
        let known = self.0.iter().position(|other| *other == port);
        let index = known.unwrap_or_else(|| {
            self.0.push(port);
            self.0.len() - 1
        });
        format!("<port {index}>")
    }

    pub fn show_address(&mut self, address: SocketAddr) -> String {
        let port = self.show(address.port());
        format!("{} {port}", address.ip())
    }
}

/// The value of a field as text.
pub fn show(field: &Field, value: u32, ports: &mut Ports) -> String {
    match field.kind {
        Kind::Number => value.to_string(),
        Kind::Ip4 => Ipv4Addr::from(value.to_le_bytes()).to_string(),
        Kind::Word => {
            let [a, b, c, d] = value.to_le_bytes();
            format!("{a:02x}{b:02x}{c:02x}{d:02x}")
        }
        Kind::NetworkPort if value > 0xffff => format!("{value:#x}"),
        Kind::NetworkPort => ports.show((value as u16).swap_bytes()),
        Kind::UpperPort => format!(
            "{:x}{}",
            value & 0xffff,
            ports.show(((value >> 16) as u16).swap_bytes())
        ),
        Kind::HostPort => ports.show(value as u16),
    }
}

/// What programs wrote down, a line for each run, then the results of their actions.
pub fn read(value: &[u8], ports: &mut Ports) -> Vec<String> {
    let word = |at: usize| u32::from_le_bytes(value[at..at + 4].try_into().unwrap());
    let mut lines = Vec::new();
    for record in 0..word(0) as usize {
        let mut at = FIRST as usize + (record << RECORD_SHIFT);
        let hook = AttachType::from_number(word(at)).unwrap();
        let mut fields = hooks::context(hook);
        if hooks::program_type(hook) == ProgramType::CgroupSockAddr {
            fields.extend(hooks::SOCKET.concat());
        }
        let mut line = hook.to_string();
        for field in &fields {
            at += 4;
            let _ = write!(line, " {}={}", field.name, show(field, word(at), ports));
        }
        lines.push(line);
    }
    let numbers = value[RESULTS as usize..].chunks(8);
    let numbers = numbers.map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()));
    let mut line = "results".to_owned();
    for (index, number) in numbers.enumerate().filter(|(_, number)| *number != 0) {
        let _ = write!(line, " {}.{}={number:#x}", index / 2, index % 2);
    }
    lines.push(line);
    lines
}
