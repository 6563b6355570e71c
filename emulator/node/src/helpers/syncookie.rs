//! Helpers that make and check SYN cookies (`bpf_tcp_gen_syncookie`, `bpf_tcp_raw_check_syncookie_*`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::{Access, Call, Checked, Errno, SocketId};

use super::{Answer, answer, size};
use crate::net::Net;
use crate::socket::{Family, Protocol, Segment, Socket, State};

const IPV4_LEN: u32 = 20;
const IPV6_LEN: u32 = 40;
const TCP_LEN: u32 = 20;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The headers behind two arguments.
struct Headers<'a> {
    ip: &'a [u8],
    tcp: &'a [u8],
}

impl Headers<'_> {
    fn flags(&self) -> u8 {
        self.tcp[13]
    }

    /// Bytes of the TCP header with its options.
    fn tcp_len(&self) -> usize {
        usize::from(self.tcp[12] >> 4) * 4
    }

    /// The number in a word of the TCP header.
    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([
            self.tcp[at],
            self.tcp[at + 1],
            self.tcp[at + 2],
            self.tcp[at + 3],
        ])
    }

    fn segment(&self, family: Family, sequence: u32) -> Segment {
        let (source, destination): (IpAddr, IpAddr) = match family {
            Family::V6 => {
                let ip = |at: usize| {
                    let octets: [u8; 16] = std::array::from_fn(|byte| self.ip[at + byte]);
                    Ipv6Addr::from(octets).into()
                };
                (ip(8), ip(24))
            }
            _ => {
                let ip = |at: usize| {
                    let octets: [u8; 4] = std::array::from_fn(|byte| self.ip[at + byte]);
                    Ipv4Addr::from(octets).into()
                };
                (ip(12), ip(16))
            }
        };
        Segment {
            source,
            destination,
            source_port: [self.tcp[0], self.tcp[1]],
            destination_port: [self.tcp[2], self.tcp[3]],
            sequence,
        }
    }

    /// `__cookie_v4_check`, `__cookie_v6_check`
    fn is_answer_to_cookie(&self, net: &Net, family: Family, now_ns: u64) -> bool {
        let segment = self.segment(family, self.word(4).wrapping_sub(1));
        let cookie = self.word(8).wrapping_sub(1);
        net.sockets.check_cookie(&segment, cookie, now_ns).is_some()
    }

    /// A cookie with the segment size above it.
    fn make_cookie(&self, net: &Net, family: Family, size: u16, now_ns: u64) -> u64 {
        let segment = self.segment(family, self.word(4));
        let (cookie, size) = net.sockets.make_cookie(&segment, size, now_ns);
        u64::from(cookie) | u64::from(size) << 32
    }

    /// What the options say about the segment size, at most `limit` unless that is 0
    /// (`tcp_parse_mss_option`); 0 for nothing.
    fn segment_size(&self, limit: u16) -> u16 {
        const END: u8 = 0;
        const NONE: u8 = 1;
        const SIZE: u8 = 2;
        let mut options = self
            .tcp
            .get(TCP_LEN as usize..self.tcp_len())
            .unwrap_or_default();
        let mut found = 0;
        loop {
            options = match options {
                [] | [END, ..] => return found,
                [NONE, rest @ ..] => rest,
                [kind, len, ..] if *len >= 2 && usize::from(*len) <= options.len() => {
                    let (option, rest) = options.split_at(usize::from(*len));
                    if let (SIZE, &[high, low]) = (*kind, &option[2..]) {
                        let size = u16::from_be_bytes([high, low]);
                        found = match size {
                            0 => found,
                            size if limit != 0 => size.min(limit),
                            size => size,
                        };
                    }
                    rest
                }
                _ => return found,
            };
        }
    }
}

/// The segment size that a SYN without options stands for.
const fn default_size(family: Family) -> u16 {
    match family {
        Family::V6 => 1280 - 60,
        _ => 536,
    }
}

/// `bpf_tcp_raw_gen_syncookie_ipv4`
pub(super) fn raw_make_v4<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    raw_make(net, call, Family::V4)
}

/// `bpf_tcp_raw_gen_syncookie_ipv6`
pub(super) fn raw_make_v6<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    raw_make(net, call, Family::V6)
}

fn raw_make(net: &Net, call: &mut Call<'_>, family: Family) -> Checked<u64> {
    let ip_len = if family == Family::V6 {
        IPV6_LEN
    } else {
        IPV4_LEN
    };
    let ip = call.range(1, ip_len, Access::Read)?;
    let tcp_len = call.size(3)?;
    let tcp = call.range(2, tcp_len, Access::Read)?;
    let memory = &call.machine.memory;
    let headers = Headers {
        ip: memory.raw(ip, ip_len),
        tcp: memory.raw(tcp, tcp_len),
    };
    if tcp_len < TCP_LEN || tcp_len as usize != headers.tcp_len() {
        return Ok(Errno::EINVAL.into());
    }
    let size = match headers.segment_size(0) {
        0 => default_size(family),
        size => size,
    };
    let now = call.machine.clock.monotonic_ns();
    Ok(headers.make_cookie(net, family, size, now))
}

/// `bpf_tcp_raw_check_syncookie_ipv4`
pub(super) fn raw_check_v4<S>(
    _subject: &mut S,
    net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    raw_check(net, call, Family::V4)
}

/// `bpf_tcp_raw_check_syncookie_ipv6`
pub(super) fn raw_check_v6<S>(
    _subject: &mut S,
    net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    raw_check(net, call, Family::V6)
}

fn raw_check(net: &Net, call: &mut Call<'_>, family: Family) -> Checked<u64> {
    let ip_len = if family == Family::V6 {
        IPV6_LEN
    } else {
        IPV4_LEN
    };
    let ip = call.range(1, ip_len, Access::Read)?;
    let tcp = call.range(2, TCP_LEN, Access::Read)?;
    let memory = &call.machine.memory;
    let headers = Headers {
        ip: memory.raw(ip, ip_len),
        tcp: memory.raw(tcp, TCP_LEN),
    };
    let now = call.machine.clock.monotonic_ns();
    let good = headers.is_answer_to_cookie(net, family, now);
    Ok(if good { 0 } else { Errno::EACCES.into() })
}

/// The socket and the headers that the other helpers take.
struct Arguments {
    socket: SocketId,
    ip: (u32, u32),
    tcp: (u32, u32),
}

fn arguments(net: &Net, call: &mut Call<'_>) -> Checked<Arguments> {
    let (socket, ..) = net.socket_argument(call, 1)?;
    let ip_len = size(call, 3)?;
    let ip = call.range(2, ip_len, Access::Read)?;
    let tcp_len = size(call, 5)?;
    let tcp = call.range(4, tcp_len, Access::Read)?;
    Ok(Arguments {
        socket,
        ip: (ip, ip_len),
        tcp: (tcp, tcp_len),
    })
}

fn listener(net: &Net, id: SocketId) -> Result<&Socket, Errno> {
    let socket = net.sockets.get(id);
    let listens =
        |socket: &&Socket| socket.state == State::Listen && socket.protocol == Protocol::Tcp;
    socket.filter(listens).ok_or(Errno::EINVAL)
}

/// The family of a packet to a listener, by the version in its header.
fn family(socket: &Socket, ip: &[u8]) -> Result<Family, Errno> {
    match ip[0] >> 4 {
        4 if !socket.is_v6_only() => Ok(Family::V4),
        6 if ip.len() >= IPV6_LEN as usize && socket.family == Family::V6 => Ok(Family::V6),
        4 | 6 => Err(Errno::EINVAL),
        _ => Err(Errno::EPROTONOSUPPORT),
    }
}

/// `bpf_tcp_check_syncookie`
pub(super) fn check<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let arguments = arguments(net, call)?;
    Ok(answer(check_cookie(net, call, &arguments)))
}

fn check_cookie(net: &Net, call: &Call<'_>, arguments: &Arguments) -> Answer {
    let memory = &call.machine.memory;
    let headers = Headers {
        ip: memory.raw(arguments.ip.0, arguments.ip.1),
        tcp: memory.raw(arguments.tcp.0, arguments.tcp.1),
    };
    if arguments.tcp.1 < TCP_LEN {
        return Err(Errno::EINVAL);
    }
    let socket = listener(net, arguments.socket)?;
    if net.sockets.syn_cookies(socket.node()) == 0 {
        return Err(Errno::EINVAL);
    }
    if headers.flags() & (ACK | RST | SYN) != ACK {
        return Err(Errno::ENOENT);
    }
    if arguments.ip.1 < IPV4_LEN {
        return Err(Errno::EINVAL);
    }
    let now = call.machine.clock.monotonic_ns();
    if !net.sockets.made_cookies_lately(socket, now) {
        return Err(Errno::ENOENT);
    }
    let family = family(socket, headers.ip)?;
    if headers.is_answer_to_cookie(net, family, now) {
        Ok(0)
    } else {
        Err(Errno::ENOENT)
    }
}

/// `bpf_tcp_gen_syncookie`
pub(super) fn make<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let arguments = arguments(net, call)?;
    let made = make_cookie(net, call, &arguments);
    if made.is_ok() {
        let now = call.machine.clock.monotonic_ns();
        net.sockets.note_cookie(arguments.socket, now);
    }
    Ok(answer(made))
}

fn make_cookie(net: &Net, call: &Call<'_>, arguments: &Arguments) -> Answer {
    let memory = &call.machine.memory;
    let headers = Headers {
        ip: memory.raw(arguments.ip.0, arguments.ip.1),
        tcp: memory.raw(arguments.tcp.0, arguments.tcp.1),
    };
    let tcp_len = arguments.tcp.1;
    if tcp_len < TCP_LEN || tcp_len as usize != headers.tcp_len() {
        return Err(Errno::EINVAL);
    }
    let socket = listener(net, arguments.socket)?;
    if net.sockets.syn_cookies(socket.node()) == 0 {
        return Err(Errno::ENOENT);
    }
    if headers.flags() & (SYN | ACK | FIN | RST) != SYN || arguments.ip.1 < IPV4_LEN {
        return Err(Errno::EINVAL);
    }
    let family = family(socket, headers.ip)?;
    if !net.sockets.wants_cookies(socket) {
        return Err(Errno::ENOENT);
    }
    let size = match headers.segment_size(socket.options.max_segment as u16) {
        0 => default_size(family),
        size => size,
    };
    let now = call.machine.clock.monotonic_ns();
    Ok(headers.make_cookie(net, family, size, now))
}
