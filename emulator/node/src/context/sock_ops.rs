//! `struct bpf_sock_ops`, the context of `sock_ops` programs (`sock_ops_is_valid_access`,
//! `sock_ops_convert_ctx_access`).

use twinpath_machine::memory::{Field, FieldValue, Layout, Memory, Widths};

use crate::socket::{Callback, Socket};

/// Bytes of the structure.
const SIZE: u32 = 224;
const REPLY: usize = 4;

const fn whole(name: &'static str, at: u16, size: u16) -> Field {
    Field::plain(name, at, size, Widths::W4, Widths::NONE)
}

/// Counters and segments of a connection, which is none of segments here.
const fn missing(name: &'static str, at: u16) -> Field {
    whole(name, at, 4).with(FieldValue::Unsupported)
}

const fn missing_long(name: &'static str, at: u16) -> Field {
    Field::plain(name, at, 8, Widths::W8, Widths::NONE).with(FieldValue::Unsupported)
}

pub(super) static SOCK_OPS: Layout = Layout {
    name: "bpf_sock_ops",
    size: SIZE,
    fields: &[
        whole("op", 0, 4),
        Field::plain("reply", REPLY as u16, 4, Widths::W4, Widths::W4),
        whole("replylong", 8, 12),
        whole("family", 20, 4),
        whole("remote_ip4", 24, 4),
        whole("local_ip4", 28, 4),
        whole("remote_ip6", 32, 16),
        whole("local_ip6", 48, 16),
        whole("remote_port", 64, 4),
        whole("local_port", 68, 4),
        whole("is_fullsock", 72, 4),
        missing("snd_cwnd", 76),
        missing("srtt_us", 80),
        whole("bpf_sock_ops_cb_flags", 84, 4),
        whole("state", 88, 4),
        missing("rtt_min", 92),
        missing("snd_ssthresh", 96),
        missing("rcv_nxt", 100),
        missing("snd_nxt", 104),
        missing("snd_una", 108),
        missing("mss_cache", 112),
        missing("ecn_flags", 116),
        missing("rate_delivered", 120),
        missing("rate_interval_us", 124),
        missing("packets_out", 128),
        missing("retrans_out", 132),
        missing("total_retrans", 136),
        missing("segs_in", 140),
        missing("data_segs_in", 144),
        missing("segs_out", 148),
        missing("data_segs_out", 152),
        missing("lost_out", 156),
        missing("sacked_out", 160),
        Field::plain("sk_txhash", 164, 4, Widths::W4, Widths::W4).with(FieldValue::Unsupported),
        missing_long("bytes_received", 168),
        missing_long("bytes_acked", 176),
        Field::object("sk", 184),
        missing_long("skb_data", 192),
        missing_long("skb_data_end", 200),
        missing("skb_len", 208),
        Field::plain("skb_tcp_flags", 212, 4, Widths::UP_TO_4, Widths::NONE)
            .reach(1)
            .with(FieldValue::Unsupported),
        missing_long("skb_hwtstamp", 216),
    ],
};

/// Writes the structure: what happens to a socket, and the reply so far. `sk` is the guest address of a
/// full socket's `struct bpf_sock`.
pub(crate) fn write_sock_ops(
    memory: &mut Memory,
    at: u32,
    (callback, reply): (Callback, u32),
    socket: &Socket,
    sk: Option<u32>,
) {
    let bytes = memory.raw_mut(at, SIZE);
    bytes.fill(0);
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &(callback as u32).to_le_bytes());
    put(REPLY, &reply.to_le_bytes());
    put(20, &socket.family.number().to_le_bytes());
    put(24, &socket.remote.v4.octets());
    put(28, &socket.local.v4.octets());
    put(32, &socket.remote.v6.octets());
    put(48, &socket.local.v6.octets());
    // The upper half, in network byte order.
    put(66, &socket.remote_port.to_be_bytes());
    put(68, &u32::from(socket.local_port).to_le_bytes());
    put(72, &u32::from(sk.is_some()).to_le_bytes());
    if sk.is_some() {
        put(84, &socket.options.callbacks().to_le_bytes());
    }
    put(88, &(socket.state as u32).to_le_bytes());
    put(184, &u64::from(sk.unwrap_or(0)).to_le_bytes());
}

/// What the program replies.
pub(crate) fn read_reply(memory: &Memory, at: u32) -> u32 {
    let bytes = memory.raw(at, SIZE);
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[REPLY + byte]))
}
