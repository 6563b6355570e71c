//! `struct bpf_sock` and `struct bpf_tcp_sock`: behind pointers to sockets, and as the context of
//! `cgroup/sock` programs (`bpf_sock_is_valid_access`, `sock_filter_is_valid_access`).

use twinpath_machine::AttachType;
use twinpath_machine::memory::{Field, Layout, Memory, Widths};

use crate::socket::Socket;
use crate::types::Ifindex;

/// Bytes of `struct bpf_sock`.
pub(crate) const SOCK_SIZE: u32 = 80;
/// Bytes of `struct bpf_tcp_sock`.
pub(crate) const TCP_SOCK_SIZE: u32 = 112;

const NAME: &str = "bpf_sock";

/// A field that is read whole.
const fn whole(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 4, Widths::W4, Widths::NONE)
}

/// A field that is read and written whole.
const fn written(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 4, Widths::W4, Widths::W4)
}

/// A field that is read whole or from its start.
const fn start(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 4, Widths::UP_TO_4, Widths::NONE).reach(1)
}

/// A field that is read whole or in part.
const fn read(name: &'static str, at: u16, size: u16) -> Field {
    Field::plain(name, at, size, Widths::UP_TO_4, Widths::NONE)
}

const FAMILY: Field = start("family", 4);
const TYPE: Field = start("type", 8);
const PROTOCOL: Field = start("protocol", 12);
const SRC_IP4: Field = read("src_ip4", 24, 4);
const SRC_IP6: Field = read("src_ip6", 28, 16);
const SRC_PORT: Field = start("src_port", 44);
/// Two bytes and two of padding, which can be read with them.
const DST_PORT: Field = read("dst_port", 48, 4).reach(2);
const DST_IP4: Field = read("dst_ip4", 52, 4);
const DST_IP6: Field = read("dst_ip6", 56, 16);
const STATE: Field = start("state", 72);
const RX_QUEUE: Field = start("rx_queue_mapping", 76);

/// Behind a pointer to what every kind of socket has (`struct sock_common`).
pub(crate) static COMMON: Layout = Layout {
    name: NAME,
    size: SOCK_SIZE,
    fields: &[
        whole("bound_dev_if", 0),
        FAMILY,
        SRC_IP4,
        SRC_IP6,
        SRC_PORT,
        DST_PORT,
        DST_IP4,
        DST_IP6,
        STATE,
        RX_QUEUE,
    ],
};

/// Behind a pointer to a full socket.
pub(crate) static FULL: Layout = Layout {
    name: NAME,
    size: SOCK_SIZE,
    fields: &[
        whole("bound_dev_if", 0),
        FAMILY,
        TYPE,
        PROTOCOL,
        whole("mark", 16),
        whole("priority", 20),
        SRC_IP4,
        SRC_IP6,
        SRC_PORT,
        DST_PORT,
        DST_IP4,
        DST_IP6,
        STATE,
        RX_QUEUE,
    ],
};

/// For `cgroup/sock_create` and `cgroup/sock_release`.
static CREATE: Layout = Layout {
    name: NAME,
    size: SOCK_SIZE,
    fields: &[
        written("bound_dev_if", 0),
        FAMILY,
        TYPE,
        PROTOCOL,
        written("mark", 16),
        written("priority", 20),
        DST_PORT,
        DST_IP4,
        DST_IP6,
        STATE,
        RX_QUEUE,
    ],
};

/// For `cgroup/post_bind4`.
static POST_BIND4: Layout = Layout {
    name: NAME,
    size: SOCK_SIZE,
    fields: &[
        FAMILY, TYPE, PROTOCOL, SRC_IP4, SRC_PORT, DST_PORT, DST_IP4, DST_IP6, STATE, RX_QUEUE,
    ],
};

/// For `cgroup/post_bind6`.
static POST_BIND6: Layout = Layout {
    name: NAME,
    size: SOCK_SIZE,
    fields: &[
        FAMILY, TYPE, PROTOCOL, SRC_IP6, SRC_PORT, DST_PORT, DST_IP4, DST_IP6, STATE, RX_QUEUE,
    ],
};

/// Behind a pointer from `bpf_tcp_sock` (`bpf_tcp_sock_is_valid_access`).
pub(crate) static TCP: Layout = Layout {
    name: "bpf_tcp_sock",
    size: TCP_SOCK_SIZE,
    fields: &[
        whole("snd_cwnd", 0),
        whole("srtt_us", 4),
        whole("rtt_min", 8),
        whole("snd_ssthresh", 12),
        whole("rcv_nxt", 16),
        whole("snd_nxt", 20),
        whole("snd_una", 24),
        whole("mss_cache", 28),
        whole("ecn_flags", 32),
        whole("rate_delivered", 36),
        whole("rate_interval_us", 40),
        whole("packets_out", 44),
        whole("retrans_out", 48),
        whole("total_retrans", 52),
        whole("segs_in", 56),
        whole("data_segs_in", 60),
        whole("segs_out", 64),
        whole("data_segs_out", 68),
        whole("lost_out", 72),
        whole("sacked_out", 76),
        Field::plain("bytes_received", 80, 8, Widths::W8, Widths::NONE),
        Field::plain("bytes_acked", 88, 8, Widths::W8, Widths::NONE),
        whole("dsack_dups", 96),
        whole("delivered", 100),
        whole("delivered_ce", 104),
        whole("icsk_retransmits", 108),
    ],
};

/// Behind pointers from `bpf_skc_to_*`: the kernel's own structures, of which nothing is here. They can
/// be given to helpers.
pub(crate) static KERNEL: Layout = Layout {
    name: "the kernel's own structure of a socket",
    size: 0,
    fields: &[],
};

/// The context of `cgroup/sock` programs.
pub(super) fn layout(attach: AttachType) -> Option<&'static Layout> {
    Some(match attach {
        AttachType::CgroupInetSockCreate | AttachType::CgroupInetSockRelease => &CREATE,
        AttachType::CgroupInet4PostBind => &POST_BIND4,
        AttachType::CgroupInet6PostBind => &POST_BIND6,
        _ => return None,
    })
}

/// Writes `struct bpf_sock`: what `bpf_sock_convert_ctx_access` would load.
pub(crate) fn write_sock(memory: &mut Memory, at: u32, socket: &Socket) {
    let bytes = memory.raw_mut(at, SOCK_SIZE);
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    let options = &socket.options;
    put(
        0,
        &options.bound_device.map_or(0, Ifindex::get).to_le_bytes(),
    );
    put(4, &socket.family.number().to_le_bytes());
    put(8, &socket.protocol.socket_type().to_le_bytes());
    put(12, &socket.protocol.number().to_le_bytes());
    put(16, &options.mark.to_le_bytes());
    put(20, &options.priority.to_le_bytes());
    put(24, &socket.local.v4.octets());
    put(28, &socket.local.v6.octets());
    put(44, &u32::from(socket.local_port).to_le_bytes());
    put(48, &socket.remote_port.to_be_bytes());
    put(50, &[0; 2]);
    put(52, &socket.remote.v4.octets());
    put(56, &socket.remote.v6.octets());
    put(72, &(socket.state as u32).to_le_bytes());
    put(76, &u32::MAX.to_le_bytes());
}

/// Takes over what a `cgroup/sock_create` program wrote into its context.
pub(crate) fn read_sock(memory: &Memory, at: u32, socket: &mut Socket) {
    let bytes = memory.raw(at, SOCK_SIZE);
    let get =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    socket.options.bound_device = Ifindex::new(get(0));
    socket.options.mark = get(16);
    socket.options.priority = get(20);
}

/// Writes `struct bpf_tcp_sock` of a TCP socket.
pub(crate) fn write_tcp_sock(memory: &mut Memory, at: u32, socket: &Socket) {
    let tcp = &socket.tcp;
    let bytes = memory.raw_mut(at, TCP_SOCK_SIZE);
    bytes.fill(0);
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(0, tcp.congestion_window);
    put(8, tcp.least_round_trip_us);
    put(12, tcp.slow_start_threshold);
    put(28, tcp.segment_size);
}
