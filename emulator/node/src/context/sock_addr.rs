//! `struct bpf_sock_addr`, the context of `cgroup/sock_addr` programs (`sock_addr_is_valid_access`).

use std::net::{Ipv4Addr, Ipv6Addr};

use twinpath_machine::AttachType;
use twinpath_machine::memory::{Field, Layout, Memory, Widths};

use crate::socket::{Family, Socket};

/// Bytes of the structure.
pub(crate) const SOCK_ADDR_SIZE: u32 = 72;

const NAME: &str = "bpf_sock_addr";

const fn whole(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 4, Widths::W4, Widths::NONE)
}

const fn ip4(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 4, Widths::UP_TO_4, Widths::W4)
}

/// An IPv6 address: two of its words at a time can be read and written where they are aligned.
const fn ip6(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 16, Widths::UP_TO_8, Widths::of(4 | 8))
}

const USER_FAMILY: Field = whole("user_family", 0);
const USER_IP4: Field = ip4("user_ip4", 4);
const USER_IP6: Field = ip6("user_ip6", 8);
const USER_PORT: Field = ip4("user_port", 24).half();
const FAMILY: Field = whole("family", 28);
const TYPE: Field = whole("type", 32);
const PROTOCOL: Field = whole("protocol", 36);
const SK: Field = Field::object("sk", 64);

static V4: Layout = Layout {
    name: NAME,
    size: SOCK_ADDR_SIZE,
    fields: &[USER_FAMILY, USER_IP4, USER_PORT, FAMILY, TYPE, PROTOCOL, SK],
};

static V6: Layout = Layout {
    name: NAME,
    size: SOCK_ADDR_SIZE,
    fields: &[USER_FAMILY, USER_IP6, USER_PORT, FAMILY, TYPE, PROTOCOL, SK],
};

static SENDMSG4: Layout = Layout {
    name: NAME,
    size: SOCK_ADDR_SIZE,
    fields: &[
        USER_FAMILY,
        USER_IP4,
        USER_PORT,
        FAMILY,
        TYPE,
        PROTOCOL,
        ip4("msg_src_ip4", 40),
        SK,
    ],
};

static SENDMSG6: Layout = Layout {
    name: NAME,
    size: SOCK_ADDR_SIZE,
    fields: &[
        USER_FAMILY,
        USER_IP6,
        USER_PORT,
        FAMILY,
        TYPE,
        PROTOCOL,
        ip6("msg_src_ip6", 44),
        SK,
    ],
};

/// The context of a program of an attach type; none when it is not one of this program type.
pub(super) fn layout(attach: AttachType) -> Option<&'static Layout> {
    use AttachType as A;
    Some(match attach {
        A::CgroupInet4Bind
        | A::CgroupInet4Connect
        | A::CgroupInet4Getpeername
        | A::CgroupInet4Getsockname
        | A::CgroupUdp4Recvmsg => &V4,
        A::CgroupInet6Bind
        | A::CgroupInet6Connect
        | A::CgroupInet6Getpeername
        | A::CgroupInet6Getsockname
        | A::CgroupUdp6Recvmsg => &V6,
        A::CgroupUdp4Sendmsg => &SENDMSG4,
        A::CgroupUdp6Sendmsg => &SENDMSG6,
        _ => return None,
    })
}

/// The addresses of a socket call that a program sees and may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SockAddr {
    /// Which of the addresses the caller gave.
    pub(crate) family: Family,
    pub(crate) ip4: Ipv4Addr,
    pub(crate) ip6: Ipv6Addr,
    pub(crate) port: u16,
    /// What a datagram will be sent from, if it is said; else unspecified.
    pub(crate) source4: Ipv4Addr,
    pub(crate) source6: Ipv6Addr,
}

impl SockAddr {
    /// Writes the structure.
    pub(crate) fn write(&self, memory: &mut Memory, at: u32, socket: &Socket, sk: u32) {
        let bytes = memory.raw_mut(at, SOCK_ADDR_SIZE);
        bytes.fill(0);
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.family.number().to_le_bytes());
        put(4, &self.ip4.octets());
        put(8, &self.ip6.octets());
        put(24, &self.port.to_be_bytes());
        put(28, &socket.family.number().to_le_bytes());
        put(32, &socket.protocol.socket_type().to_le_bytes());
        put(36, &socket.protocol.number().to_le_bytes());
        put(40, &self.source4.octets());
        put(44, &self.source6.octets());
        put(64, &u64::from(sk).to_le_bytes());
    }

    /// Takes over what the program wrote.
    pub(crate) fn read(&mut self, memory: &Memory, at: u32) {
        let bytes = memory.raw(at, SOCK_ADDR_SIZE);
        self.ip4 = Ipv4Addr::from(array::<4>(bytes, 4));
        self.ip6 = Ipv6Addr::from(array::<16>(bytes, 8));
        self.port = u16::from_be_bytes(array(bytes, 24));
        self.source4 = Ipv4Addr::from(array::<4>(bytes, 40));
        self.source6 = Ipv6Addr::from(array::<16>(bytes, 44));
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[at + byte])
}
