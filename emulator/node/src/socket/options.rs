//! What is set on a socket, and the options that programs set and get (`sol_socket_sockopt`,
//! `sol_tcp_sockopt`, `sol_ip_sockopt`, `sol_ipv6_sockopt` in `net/core/filter.c`).
//!
//! Defaults and limits are those of Linux 6.18 whose settings nobody has changed, at 250 ticks a second.

use std::collections::BTreeMap;

use twinpath_machine::Errno;

use super::socket::Socket;
use super::types::{Family, Protocol, State};
use crate::types::Ifindex;

/// What is set on a socket. A harness sets it before it binds or connects; programs set some of it with
/// `bpf_setsockopt` or through their context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// The device it is bound to (`SO_BINDTODEVICE`).
    pub bound_device: Option<Ifindex>,
    /// `SO_MARK`
    pub mark: u32,
    /// `SO_PRIORITY`
    pub priority: u32,
    /// `SO_REUSEADDR`
    pub reuse_address: bool,
    /// `SO_REUSEPORT`
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`
    pub v6_only: bool,
    /// Whether it may be bound to addresses that the node does not have (`IP_FREEBIND`,
    /// `IP_TRANSPARENT`).
    pub any_address: bool,
    /// Whether binding to an address leaves the port open until the socket connects
    /// (`IP_BIND_ADDRESS_NO_PORT`).
    pub address_without_port: bool,
    /// `SO_BROADCAST`
    pub broadcast: bool,
    /// Room to send in bytes, as the kernel counts it; none until it is set.
    pub(crate) send_buffer: Option<i32>,
    pub(crate) receive_buffer: Option<i32>,
    pub(crate) receive_low_water: i32,
    pub(crate) max_pacing_rate: u32,
    pub(crate) max_segment: i32,
    /// `TCP_WINDOW_CLAMP`, in bytes; 0 for none.
    pub window_clamp: i32,
    pub(crate) tos: u8,
    pub(crate) traffic_class: u8,
    pub(crate) congestion: Congestion,
    /// Options that are numbers and nothing more, where they differ from the default.
    numbers: BTreeMap<(i32, i32), i32>,
}

/// Congestion control algorithms of a stock kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Congestion {
    Cubic,
    Reno,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            bound_device: None,
            mark: 0,
            priority: 0,
            reuse_address: false,
            reuse_port: false,
            v6_only: false,
            any_address: false,
            address_without_port: false,
            broadcast: false,
            send_buffer: None,
            receive_buffer: None,
            receive_low_water: 1,
            max_pacing_rate: u32::MAX,
            max_segment: 0,
            window_clamp: 0,
            tos: 0,
            traffic_class: 0,
            congestion: Congestion::Cubic,
            numbers: BTreeMap::new(),
        }
    }
}

const SOL_IP: i32 = 0;
const SOL_SOCKET: i32 = 1;
const SOL_TCP: i32 = 6;
const SOL_IPV6: i32 = 41;

const SO_REUSEADDR: i32 = 2;
const SO_SNDBUF: i32 = 7;
const SO_RCVBUF: i32 = 8;
const SO_PRIORITY: i32 = 12;
const SO_REUSEPORT: i32 = 15;
const SO_RCVLOWAT: i32 = 18;
const SO_BINDTODEVICE: i32 = 25;
const SO_MARK: i32 = 36;
const SO_MAX_PACING_RATE: i32 = 47;
const SO_BINDTOIFINDEX: i32 = 62;

const TCP_MAXSEG: i32 = 2;
const TCP_WINDOW_CLAMP: i32 = 10;
const TCP_CONGESTION: i32 = 13;
const TCP_SAVED_SYN: i32 = 28;
const TCP_BPF_IW: i32 = 1001;
const TCP_BPF_SNDCWND_CLAMP: i32 = 1002;
const TCP_BPF_DELACK_MAX: i32 = 1003;
const TCP_BPF_RTO_MIN: i32 = 1004;

const IP_TOS: i32 = 1;
const IPV6_TCLASS: i32 = 67;

/// `SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`: of one and of two packets.
const MIN_SEND_BUFFER: i32 = 4608;
const MIN_RECEIVE_BUFFER: i32 = 2304;
/// `net.core.wmem_max`, `net.core.rmem_max`.
const MAX_BUFFER: u32 = 4 << 20;
/// Half of the last number of `net.ipv4.tcp_rmem`.
const MAX_LOW_WATER: i32 = 16 << 20;
/// Ticks a second (`CONFIG_HZ`).
const HZ: u64 = 250;

/// What a number must be, and what it becomes.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// Anything; other than 0 counts as 1.
    Flag,
    Any,
    Range(i32, i32),
    /// Bits.
    Mask(i32),
    /// Milliseconds in a range, kept in ticks.
    Ticks(i32, i32),
    /// On, off, or -1 for the default, which is on.
    Default,
}

/// An option that is a number and nothing more: level, name, default, rule.
type Number = (i32, i32, i32, Check);

#[rustfmt::skip]
const NUMBERS: &[Number] = &[
    (SOL_SOCKET, 9, 0, Check::Flag),                    // SO_KEEPALIVE
    (SOL_SOCKET, 74, 1, Check::Default),                // SO_TXREHASH
    (SOL_SOCKET, 1009, 0, Check::Mask(1)),              // SK_BPF_CB_FLAGS
    (SOL_TCP, 1, 0, Check::Flag),                       // TCP_NODELAY
    (SOL_TCP, 4, 7200, Check::Range(1, 32767)),         // TCP_KEEPIDLE
    (SOL_TCP, 5, 75, Check::Range(1, 32767)),           // TCP_KEEPINTVL
    (SOL_TCP, 6, 9, Check::Range(1, 127)),              // TCP_KEEPCNT
    (SOL_TCP, 7, 6, Check::Range(1, 127)),              // TCP_SYNCNT
    (SOL_TCP, 16, 0, Check::Range(0, 1)),               // TCP_THIN_LINEAR_TIMEOUTS
    (SOL_TCP, 18, 0, Check::Range(0, i32::MAX)),        // TCP_USER_TIMEOUT
    (SOL_TCP, 25, 0, Check::Any),                       // TCP_NOTSENT_LOWAT
    (SOL_TCP, 27, 0, Check::Range(0, 2)),               // TCP_SAVE_SYN
    (SOL_TCP, 44, 120_000, Check::Ticks(1000, 120_000)), // TCP_RTO_MAX_MS
    (SOL_TCP, 1008, 0, Check::Mask(0x7f)),              // TCP_BPF_SOCK_OPS_CB_FLAGS
    (SOL_IPV6, 70, 1, Check::Flag),                     // IPV6_AUTOFLOWLABEL
];

impl Check {
    fn take(self, value: i32) -> Result<i32, Errno> {
        let fits = match self {
            Self::Flag | Self::Any => true,
            Self::Range(low, high) | Self::Ticks(low, high) => (low..=high).contains(&value),
            Self::Mask(mask) => value & !mask == 0,
            Self::Default => (-1..=1).contains(&value),
        };
        if !fits {
            return Err(Errno::EINVAL);
        }
        Ok(match self {
            Self::Flag => i32::from(value != 0),
            Self::Default => value.abs(),
            Self::Ticks(..) => {
                let ticks = (value as u64 * HZ).div_ceil(1000);
                (ticks * 1000 / HZ) as i32
            }
            _ => value,
        })
    }
}

impl SocketOptions {
    /// Of which further callbacks `sock_ops` programs are told (`TCP_BPF_SOCK_OPS_CB_FLAGS`).
    pub(crate) fn callbacks(&self) -> u32 {
        const CALLBACKS: (i32, i32) = (SOL_TCP, 1008);
        self.numbers
            .get(&CALLBACKS)
            .map_or(0, |flags| *flags as u32)
    }
}

/// Sets an option as `bpf_setsockopt` does. `device` finds a device of the socket's namespace by name.
pub(crate) fn set(
    socket: &mut Socket,
    level: i32,
    name: i32,
    bytes: &[u8],
    device: &dyn Fn(&[u8]) -> Option<Ifindex>,
) -> Result<(), Errno> {
    allow(socket, level)?;
    match (level, name) {
        (SOL_SOCKET, SO_BINDTODEVICE) => return bind_to_device(socket, bytes, device),
        (SOL_TCP, TCP_CONGESTION) => return set_congestion(socket, bytes),
        (SOL_TCP, TCP_SAVED_SYN) if bytes.len() >= 4 => return Err(Errno::ENOPROTOOPT),
        _ => {}
    }
    let value = <[u8; 4]>::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    let value = i32::from_le_bytes(value);
    is_for_streams(socket, level, name)?;
    let number = NUMBERS
        .iter()
        .find(|number| (number.0, number.1) == (level, name));
    if let Some(&(_, _, _, check)) = number {
        let value = check.take(value)?;
        socket.options.numbers.insert((level, name), value);
        return Ok(());
    }
    match level {
        SOL_SOCKET => set_socket(socket, name, value),
        SOL_TCP => set_tcp(socket, name, value),
        SOL_IP if name == IP_TOS => set_tos(socket, value),
        SOL_IPV6 if name == IPV6_TCLASS => set_traffic_class(socket, value),
        _ => Err(Errno::EINVAL),
    }
}

/// `SO_TXREHASH` is for streams (`sk_setsockopt`).
fn is_for_streams(socket: &Socket, level: i32, name: i32) -> Result<(), Errno> {
    const SO_TXREHASH: i32 = 74;
    let other = socket.protocol != Protocol::Tcp;
    if other && (level, name) == (SOL_SOCKET, SO_TXREHASH) {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

/// Whether a socket has options of a level.
fn allow(socket: &Socket, level: i32) -> Result<(), Errno> {
    let has = socket.state.is_full()
        && match level {
            SOL_SOCKET => true,
            SOL_TCP => socket.protocol == Protocol::Tcp,
            SOL_IP => socket.family == Family::V4 || !socket.is_v6_only(),
            SOL_IPV6 => socket.family == Family::V6,
            _ => false,
        };
    if has { Ok(()) } else { Err(Errno::EINVAL) }
}

fn set_socket(socket: &mut Socket, name: i32, value: i32) -> Result<(), Errno> {
    let options = &mut socket.options;
    let doubled = |least: i32| ((value as u32).min(MAX_BUFFER) as i32 * 2).max(least);
    match name {
        SO_REUSEADDR => options.reuse_address = value != 0,
        SO_REUSEPORT => options.reuse_port = value != 0,
        SO_PRIORITY => options.priority = value as u32,
        SO_MARK => options.mark = value as u32,
        SO_SNDBUF => options.send_buffer = Some(doubled(MIN_SEND_BUFFER)),
        SO_RCVBUF => options.receive_buffer = Some(doubled(MIN_RECEIVE_BUFFER)),
        SO_RCVLOWAT => set_low_water(socket, value),
        SO_MAX_PACING_RATE => options.max_pacing_rate = value as u32,
        SO_BINDTOIFINDEX if value >= 0 => return bind_to(socket, Ifindex::new(value as u32)),
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

fn set_low_water(socket: &mut Socket, value: i32) {
    let mut value = if value < 0 { i32::MAX } else { value };
    if socket.protocol == Protocol::Tcp {
        let limit = socket
            .options
            .receive_buffer
            .map_or(MAX_LOW_WATER, |size| size / 2);
        value = value.min(limit);
    }
    socket.options.receive_low_water = value.max(1);
}

/// `sock_setbindtodevice`: a name of at most 15 bytes, or none.
fn bind_to_device(
    socket: &mut Socket,
    bytes: &[u8],
    device: &dyn Fn(&[u8]) -> Option<Ifindex>,
) -> Result<(), Errno> {
    let name = &bytes[..bytes.len().min(15)];
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    if name.is_empty() {
        return bind_to(socket, None);
    }
    let device = device(name).ok_or(Errno::ENODEV)?;
    bind_to(socket, Some(device))
}

/// `sock_bindtoindex_locked`.
fn bind_to(socket: &mut Socket, device: Option<Ifindex>) -> Result<(), Errno> {
    if socket.options.bound_device.is_some() && !socket.owner.privileged {
        return Err(Errno::EPERM);
    }
    socket.options.bound_device = device;
    Ok(())
}

fn set_tcp(socket: &mut Socket, name: i32, value: i32) -> Result<(), Errno> {
    const MAX_SEGMENT: std::ops::RangeInclusive<i32> = 88..=32767;
    match name {
        TCP_MAXSEG if value == 0 || MAX_SEGMENT.contains(&value) => {
            socket.options.max_segment = value;
        }
        TCP_WINDOW_CLAMP if value != 0 => {
            socket.options.window_clamp = value.max(MIN_RECEIVE_BUFFER / 2);
        }
        TCP_WINDOW_CLAMP if socket.state == State::Closed => socket.options.window_clamp = 0,
        TCP_BPF_IW if value > 0 => socket.tcp.congestion_window = value as u32,
        TCP_BPF_SNDCWND_CLAMP if value > 0 => socket.tcp.slow_start_threshold = value as u32,
        TCP_BPF_DELACK_MAX | TCP_BPF_RTO_MIN => {
            let ticks = short_delay(value).ok_or(Errno::EINVAL)?;
            let microseconds = (ticks * 1_000_000 / HZ) as i32;
            socket.options.numbers.insert((SOL_TCP, name), microseconds);
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

/// Microseconds in ticks, if they are from two ticks to a fifth of a second.
fn short_delay(microseconds: i32) -> Option<u64> {
    let ticks = (u64::from(microseconds as u32) * HZ).div_ceil(1_000_000);
    (2..=HZ / 5).contains(&ticks).then_some(ticks)
}

/// `sol_tcp_sockopt_congestion`.
fn set_congestion(socket: &mut Socket, bytes: &[u8]) -> Result<(), Errno> {
    if bytes.len() < 2 {
        return Err(Errno::EINVAL);
    }
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = &name[..name.len().min(15)];
    socket.options.congestion = match name {
        b"cdg" => return Err(Errno::ENOTSUPP),
        b"cubic" => Congestion::Cubic,
        b"reno" => Congestion::Reno,
        _ => return Err(Errno::ENOENT),
    };
    Ok(())
}

/// The two lowest bits of a traffic class.
const ECN_MASK: i32 = 3;

/// `__ip_sock_set_tos`.
fn set_tos(socket: &mut Socket, value: i32) -> Result<(), Errno> {
    /// `ip_tos2prio`, in steps of two.
    const PRIORITIES: [u32; 8] = [0, 0, 2, 2, 6, 6, 4, 4];
    let old = socket.options.tos;
    let value = match socket.protocol {
        Protocol::Tcp => value & !ECN_MASK | i32::from(old) & ECN_MASK,
        _ => value,
    };
    if i32::from(old) != value {
        socket.options.tos = value as u8;
        socket.options.priority = PRIORITIES[(value & 0x1e) as usize >> 2];
    }
    Ok(())
}

fn set_traffic_class(socket: &mut Socket, value: i32) -> Result<(), Errno> {
    if !(-1..=0xff).contains(&value) {
        return Err(Errno::EINVAL);
    }
    let value = value.max(0);
    let old = socket.options.traffic_class;
    socket.options.traffic_class = match socket.protocol {
        Protocol::Tcp => (value & !ECN_MASK | i32::from(old) & ECN_MASK) as u8,
        _ => value as u8,
    };
    Ok(())
}

/// Gets an option as `bpf_getsockopt` does: `into` is filled, with zeros behind what the option has.
/// After an error it is all zeros.
pub(crate) fn get(socket: &Socket, level: i32, name: i32, into: &mut [u8]) -> Result<(), Errno> {
    into.fill(0);
    allow(socket, level)?;
    match (level, name) {
        (SOL_TCP, TCP_CONGESTION) => return get_congestion(socket, into),
        _ if into.len() != 4 => return Err(Errno::EINVAL),
        _ => is_for_streams(socket, level, name)?,
    }
    let number = NUMBERS
        .iter()
        .find(|number| (number.0, number.1) == (level, name));
    let value = match number {
        Some(&(_, _, default, _)) => {
            let set = socket.options.numbers.get(&(level, name));
            set.copied().unwrap_or(default)
        }
        None => get_other(socket, level, name).ok_or(Errno::EINVAL)?,
    };
    into.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

fn get_other(socket: &Socket, level: i32, name: i32) -> Option<i32> {
    let options = &socket.options;
    let is_tcp = socket.protocol == Protocol::Tcp;
    Some(match (level, name) {
        (SOL_SOCKET, SO_REUSEADDR) => i32::from(options.reuse_address),
        (SOL_SOCKET, SO_REUSEPORT) => i32::from(options.reuse_port),
        (SOL_SOCKET, SO_PRIORITY) => options.priority as i32,
        (SOL_SOCKET, SO_MARK) => options.mark as i32,
        (SOL_SOCKET, SO_SNDBUF) => {
            let default = if is_tcp { 16384 } else { 212_992 };
            options.send_buffer.unwrap_or(default)
        }
        (SOL_SOCKET, SO_RCVBUF) => {
            let default = if is_tcp { 131_072 } else { 212_992 };
            options.receive_buffer.unwrap_or(default)
        }
        (SOL_SOCKET, SO_RCVLOWAT) => options.receive_low_water,
        (SOL_SOCKET, SO_MAX_PACING_RATE) => options.max_pacing_rate as i32,
        (SOL_SOCKET, SO_BINDTOIFINDEX) => options.bound_device.map_or(0, Ifindex::get) as i32,
        (SOL_TCP, TCP_MAXSEG) => match socket.state {
            State::Closed | State::Listen if options.max_segment != 0 => options.max_segment,
            _ => socket.tcp.segment_size as i32,
        },
        (SOL_TCP, TCP_WINDOW_CLAMP) => options.window_clamp,
        (SOL_TCP, TCP_BPF_DELACK_MAX | TCP_BPF_RTO_MIN) => {
            /// A fifth of a second.
            const DEFAULT: i32 = 200_000;
            options
                .numbers
                .get(&(level, name))
                .copied()
                .unwrap_or(DEFAULT)
        }
        (SOL_IP, IP_TOS) => i32::from(options.tos),
        (SOL_IPV6, IPV6_TCLASS) => i32::from(options.traffic_class),
        _ => return None,
    })
}

/// The algorithm's name, which leaves room for a zero byte.
fn get_congestion(socket: &Socket, into: &mut [u8]) -> Result<(), Errno> {
    const NAME_MAX: usize = 16;
    if into.len() < 2 {
        return Err(Errno::EINVAL);
    }
    let name: &[u8] = match socket.options.congestion {
        Congestion::Cubic => b"cubic",
        Congestion::Reno => b"reno",
    };
    let len = name.len().min(into.len() - 1).min(NAME_MAX);
    into[..len].copy_from_slice(&name[..len]);
    Ok(())
}
