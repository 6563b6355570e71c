//! The hooks of sockets, and what their programs can read.

use twinpath_machine::{AttachType, ProgramType};

/// A field of a context or a socket that programs read.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    pub offset: i16,
    pub kind: Kind,
}

/// How a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    Ip4,
    /// A word of an IPv6 address.
    Word,
    /// A port in network byte order.
    NetworkPort,
    /// A port in network byte order, in the upper half of a word.
    UpperPort,
    /// A port in host byte order.
    HostPort,
}

const fn field(name: &'static str, offset: i16, kind: Kind) -> Field {
    Field { name, offset, kind }
}

const USER4: &[Field] = &[
    field("user_family", 0, Kind::Number),
    field("user_ip4", 4, Kind::Ip4),
    field("user_port", 24, Kind::NetworkPort),
    field("family", 28, Kind::Number),
    field("type", 32, Kind::Number),
    field("protocol", 36, Kind::Number),
];
const USER6: &[Field] = &[
    field("user_family", 0, Kind::Number),
    field("user_ip6", 8, Kind::Word),
    field("user_ip6", 12, Kind::Word),
    field("user_ip6", 16, Kind::Word),
    field("user_ip6", 20, Kind::Word),
    field("user_port", 24, Kind::NetworkPort),
    field("family", 28, Kind::Number),
    field("type", 32, Kind::Number),
    field("protocol", 36, Kind::Number),
];
const SOURCE4: &[Field] = &[field("msg_src_ip4", 40, Kind::Ip4)];
const SOURCE6: &[Field] = &[
    field("msg_src_ip6", 44, Kind::Word),
    field("msg_src_ip6", 48, Kind::Word),
    field("msg_src_ip6", 52, Kind::Word),
    field("msg_src_ip6", 56, Kind::Word),
];

const IDENTITY: &[Field] = &[
    field("family", 4, Kind::Number),
    field("type", 8, Kind::Number),
    field("protocol", 12, Kind::Number),
];
const OWN: &[Field] = &[
    field("bound_dev_if", 0, Kind::Number),
    field("mark", 16, Kind::Number),
    field("priority", 20, Kind::Number),
];
const SRC4: &[Field] = &[field("src_ip4", 24, Kind::Ip4)];
const SRC6: &[Field] = &[
    field("src_ip6", 28, Kind::Word),
    field("src_ip6", 32, Kind::Word),
    field("src_ip6", 36, Kind::Word),
    field("src_ip6", 40, Kind::Word),
];
const SRC_PORT: &[Field] = &[field("src_port", 44, Kind::HostPort)];
// Not `rx_queue_mapping`: on loopback, a rare connection has queue 0 instead of none.
const REMOTE: &[Field] = &[
    field("dst_port", 48, Kind::NetworkPort),
    field("dst_ip4", 52, Kind::Ip4),
    field("dst_ip6", 56, Kind::Word),
    field("dst_ip6", 60, Kind::Word),
    field("dst_ip6", 64, Kind::Word),
    field("dst_ip6", 68, Kind::Word),
    field("state", 72, Kind::Number),
];

/// All that a pointer to a full socket shows.
pub const SOCKET: &[&[Field]] = &[OWN, IDENTITY, SRC4, SRC6, SRC_PORT, REMOTE];
/// What a pointer to any socket shows.
pub const COMMON: &[&[Field]] = &[
    &[
        field("bound_dev_if", 0, Kind::Number),
        field("family", 4, Kind::Number),
    ],
    SRC4,
    SRC6,
    SRC_PORT,
    REMOTE,
];

/// The attach types of `cgroup/sock_addr`.
pub const SOCK_ADDR: &[AttachType] = &[
    AttachType::CgroupInet4Bind,
    AttachType::CgroupInet6Bind,
    AttachType::CgroupInet4Connect,
    AttachType::CgroupInet6Connect,
    AttachType::CgroupUdp4Sendmsg,
    AttachType::CgroupUdp6Sendmsg,
    AttachType::CgroupUdp4Recvmsg,
    AttachType::CgroupUdp6Recvmsg,
    AttachType::CgroupInet4Getpeername,
    AttachType::CgroupInet6Getpeername,
    AttachType::CgroupInet4Getsockname,
    AttachType::CgroupInet6Getsockname,
];

/// What `sock_ops` programs see, as far as it is the same each time.
const SOCK_OPS: &[Field] = &[
    field("op", 0, Kind::Number),
    field("reply", 4, Kind::Number),
    field("args1", 8, Kind::Number),
    field("args3", 16, Kind::Number),
    field("family", 20, Kind::Number),
    field("remote_ip4", 24, Kind::Ip4),
    field("local_ip4", 28, Kind::Ip4),
    field("remote_ip6", 32, Kind::Word),
    field("remote_ip6", 36, Kind::Word),
    field("remote_ip6", 40, Kind::Word),
    field("remote_ip6", 44, Kind::Word),
    field("local_ip6", 48, Kind::Word),
    field("local_ip6", 52, Kind::Word),
    field("local_ip6", 56, Kind::Word),
    field("local_ip6", 60, Kind::Word),
    field("remote_port", 64, Kind::UpperPort),
    field("local_port", 68, Kind::HostPort),
    field("is_fullsock", 72, Kind::Number),
    field("bpf_sock_ops_cb_flags", 84, Kind::Number),
    field("state", 88, Kind::Number),
];

/// What `cgroup/skb` programs see of a packet and its socket, but for what is random.
const SKB: &[Field] = &[
    field("len", 0, Kind::Number),
    field("pkt_type", 4, Kind::Number),
    field("mark", 8, Kind::Number),
    field("protocol", 16, Kind::Number),
    field("vlan_present", 20, Kind::Number),
    field("priority", 32, Kind::Number),
    field("ingress_ifindex", 36, Kind::Number),
    field("ifindex", 40, Kind::Number),
    field("tc_index", 44, Kind::Number),
    field("cb", 48, Kind::Number),
    field("family", 88, Kind::Number),
    field("remote_ip4", 92, Kind::Ip4),
    field("local_ip4", 96, Kind::Ip4),
    field("remote_ip6", 100, Kind::Word),
    field("remote_ip6", 104, Kind::Word),
    field("remote_ip6", 108, Kind::Word),
    field("remote_ip6", 112, Kind::Word),
    field("local_ip6", 116, Kind::Word),
    field("local_ip6", 120, Kind::Word),
    field("local_ip6", 124, Kind::Word),
    field("local_ip6", 128, Kind::Word),
    field("remote_port", 132, Kind::UpperPort),
    field("local_port", 136, Kind::HostPort),
    field("gso_segs", 164, Kind::Number),
    field("gso_size", 176, Kind::Number),
];

/// The attach types of `cgroup/sock`.
pub const SOCK: &[AttachType] = &[
    AttachType::CgroupInetSockCreate,
    AttachType::CgroupInetSockRelease,
    AttachType::CgroupInet4PostBind,
    AttachType::CgroupInet6PostBind,
];

/// All hooks of cgroups with their program types.
pub fn all() -> impl Iterator<Item = (ProgramType, AttachType)> {
    let addresses = SOCK_ADDR
        .iter()
        .map(|hook| (ProgramType::CgroupSockAddr, *hook));
    addresses.chain(SOCK.iter().map(|hook| (ProgramType::CgroupSock, *hook)))
}

pub fn program_type(hook: AttachType) -> ProgramType {
    match hook {
        AttachType::CgroupSockOps => ProgramType::SockOps,
        AttachType::CgroupInetIngress | AttachType::CgroupInetEgress => ProgramType::CgroupSkb,
        _ if SOCK.contains(&hook) => ProgramType::CgroupSock,
        _ => ProgramType::CgroupSockAddr,
    }
}

/// What the context of a hook's program shows.
pub fn context(hook: AttachType) -> Vec<Field> {
    use AttachType as A;
    let parts: &[&[Field]] = match hook {
        A::CgroupSockOps => &[SOCK_OPS],
        A::CgroupInetIngress | A::CgroupInetEgress => &[SKB],
        A::CgroupInetSockCreate | A::CgroupInetSockRelease => &[OWN, IDENTITY, REMOTE],
        A::CgroupInet4PostBind => &[IDENTITY, SRC4, SRC_PORT, REMOTE],
        A::CgroupInet6PostBind => &[IDENTITY, SRC6, SRC_PORT, REMOTE],
        A::CgroupUdp4Sendmsg => &[USER4, SOURCE4],
        A::CgroupUdp6Sendmsg => &[USER6, SOURCE6],
        A::CgroupInet6Bind
        | A::CgroupInet6Connect
        | A::CgroupUdp6Recvmsg
        | A::CgroupInet6Getpeername
        | A::CgroupInet6Getsockname => &[USER6],
        _ => &[USER4],
    };
    parts.concat()
}
