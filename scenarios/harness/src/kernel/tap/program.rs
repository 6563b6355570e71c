//! The taps' instructions.

use std::os::fd::BorrowedFd;

use super::asm::{
    Assembler, Condition, FP, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Register, Width,
};
use super::record::{
    BEGUN, BEGUN_BEFORE, CODE, FAR_END, HEAD, IFINDEX, LENGTH, MAX_PACKET, TAP, VLAN_CONTROL,
    VLAN_PRESENT, VLAN_PROTOCOL,
};

/// `bpf_perf_event_output`
const PERF_EVENT_OUTPUT: i32 = 25;
/// `bpf_xdp_get_buff_len`, which counts all fragments.
const XDP_GET_BUFF_LEN: i32 = 188;
/// `BPF_F_CURRENT_CPU`
const CURRENT_CPU: u32 = 0xffff_ffff;
/// `XDP_DROP`
const XDP_DROP: i32 = 1;
/// `xdp_md.ingress_ifindex`
const XDP_MD_INGRESS_IFINDEX: i16 = 12;
/// `__sk_buff.len`
const SKB_LEN: i16 = 0;
/// `__sk_buff.vlan_present`
const SKB_VLAN_PRESENT: i16 = 20;
/// `__sk_buff.vlan_tci`
const SKB_VLAN_TCI: i16 = 24;
/// `__sk_buff.vlan_proto`
const SKB_VLAN_PROTO: i16 = 28;
/// `__sk_buff.ifindex`
const SKB_IFINDEX: i16 = 40;

/// Where the record's head starts on the stack.
const BASE: i16 = -(HEAD as i16);
/// The context.
const CONTEXT: Register = R6;
/// What the program returned.
const RESULT: Register = R7;
/// How many program runs had begun before.
const BEFORE: Register = R9;
/// Where the number of runs stands in the counts.
const RUNS: i16 = 8;
/// The packet's length.
const PACKET_LENGTH: Register = R8;

/// What a tap watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// An XDP program.
    Xdp {
        /// Whether it takes packets in several fragments.
        fragments: bool,
    },
    /// A tc program.
    Skb,
}

/// The maps that a tap writes to.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// A perf event array.
    pub records: BorrowedFd<'a>,
    /// An array with two `u64` in its only value: how many records were lost, and how many program runs have begun.
    pub counts: BorrowedFd<'a>,
}

/// A program that calls the function behind its end, with its own context, and records what that returned and how
/// it left the packet. It returns the same.
pub fn around(number: u32, watched: Watched, output: Output<'_>) -> Vec<u8> {
    let mut code = Assembler::default();
    code.copy(CONTEXT, R1);
    // All runs happen on one CPU, and one inside another counts in the other's program.
    code.map_value(R2, output.counts);
    code.load(Width::D, BEFORE, R2, RUNS);
    code.copy(R3, BEFORE);
    code.add(R3, 1);
    code.store(Width::D, R2, RUNS, R3);
    code.call_behind();
    code.copy(RESULT, R0);
    start_head(&mut code, number);
    code.store(Width::W, FP, BASE + BEGUN_BEFORE, BEFORE);
    code.map_value(R2, output.counts);
    code.load(Width::D, R3, R2, RUNS);
    code.store(Width::W, FP, BASE + BEGUN, R3);
    code.store(Width::W, FP, BASE + CODE, RESULT);
    match watched {
        Watched::Xdp { .. } => xdp_length(&mut code),
        Watched::Skb => skb(&mut code),
    }
    send(&mut code, output);
    code.copy(R0, RESULT);
    code.exit();
    code.finish()
}

/// The XDP program of the far ends: records each frame and takes it off the wire.
pub fn far_end(output: Output<'_>) -> Vec<u8> {
    let mut code = Assembler::default();
    code.copy(CONTEXT, R1);
    start_head(&mut code, FAR_END);
    code.load(Width::W, R1, CONTEXT, XDP_MD_INGRESS_IFINDEX);
    code.store(Width::W, FP, BASE + IFINDEX, R1);
    xdp_length(&mut code);
    send(&mut code, output);
    code.set(R0, XDP_DROP);
    code.exit();
    code.finish()
}

/// The socket filter of packet sockets: records each frame, but for those of one device, and has the socket not take
/// it.
pub fn received(number: u32, but: Option<u32>, output: Output<'_>) -> Vec<u8> {
    let mut code = Assembler::default();
    code.copy(CONTEXT, R1);
    start_head(&mut code, number);
    code.load(Width::W, R1, CONTEXT, SKB_IFINDEX);
    code.store(Width::W, FP, BASE + IFINDEX, R1);
    let not_this = but.map(|ifindex| code.jump_if(R1, Condition::Equal, ifindex as i32));
    skb(&mut code);
    send(&mut code, output);
    if let Some(jump) = not_this {
        code.land(jump);
    }
    code.set(R0, 0);
    code.exit();
    code.finish()
}

fn skb(code: &mut Assembler) {
    code.load(Width::W, R1, CONTEXT, SKB_VLAN_PRESENT);
    code.store(Width::W, FP, BASE + VLAN_PRESENT, R1);
    code.load(Width::W, R1, CONTEXT, SKB_VLAN_PROTO);
    code.store(Width::H, FP, BASE + VLAN_PROTOCOL, R1);
    code.load(Width::W, R1, CONTEXT, SKB_VLAN_TCI);
    code.store(Width::H, FP, BASE + VLAN_CONTROL, R1);
    code.load(Width::W, PACKET_LENGTH, CONTEXT, SKB_LEN);
}

fn xdp_length(code: &mut Assembler) {
    code.copy(R1, CONTEXT);
    code.call(XDP_GET_BUFF_LEN);
    code.copy(PACKET_LENGTH, R0);
}

/// Starts the record's head on the stack.
fn start_head(code: &mut Assembler, number: u32) {
    for at in [TAP, IFINDEX, VLAN_PROTOCOL, BEGUN_BEFORE] {
        code.store_value(Width::D, FP, BASE + at, 0);
    }
    code.set_word(R1, number);
    code.store(Width::W, FP, BASE + TAP, R1);
}

/// Sends the record, and counts it if that fails.
fn send(code: &mut Assembler, output: Output<'_>) {
    code.store(Width::W, FP, BASE + LENGTH, PACKET_LENGTH);
    let too_long = code.jump_if(PACKET_LENGTH, Condition::Above, MAX_PACKET as i32);
    // The upper half of the flags is how much of the packet is to follow the head.
    code.copy(R3, PACKET_LENGTH);
    code.shift_left(R3, 32);
    code.set_word(R1, CURRENT_CPU);
    code.or_register(R3, R1);
    code.copy(R1, CONTEXT);
    code.map(R2, output.records);
    code.copy(R4, FP);
    code.add(R4, i32::from(BASE));
    code.set(R5, HEAD as i32);
    code.call(PERF_EVENT_OUTPUT);
    let sent = code.jump_if(R0, Condition::Equal, 0);
    code.land(too_long);
    code.map_value(R1, output.counts);
    code.set(R2, 1);
    code.atomic_add(R1, R2);
    code.land(sent);
}
