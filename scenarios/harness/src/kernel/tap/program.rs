//! The taps' instructions.

use std::os::fd::BorrowedFd;

use twinpath_machine::AttachType;

use super::asm::{Assembler, Condition, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Register, Width};
use super::record::{
    BEFORE, BEGUN, BEGUN_BEFORE, CB, CODE, FAR_END, HEAD, IFINDEX, LENGTH, MARK, MAX_PACKET,
    PRIORITY, TAP, TC_INDEX, TUNNEL_KEY, TUNNEL_KEYS, TUNNEL_RESULTS, VLAN_CONTROL, VLAN_PRESENT,
    VLAN_PROTOCOL,
};

/// `bpf_perf_event_output`
const PERF_EVENT_OUTPUT: i32 = 25;
/// `bpf_skb_get_tunnel_key`
const SKB_GET_TUNNEL_KEY: i32 = 20;
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
/// `__sk_buff.mark`
const SKB_MARK: i16 = 8;
/// `__sk_buff.vlan_present`
const SKB_VLAN_PRESENT: i16 = 20;
/// `__sk_buff.vlan_tci`
const SKB_VLAN_TCI: i16 = 24;
/// `__sk_buff.vlan_proto`
const SKB_VLAN_PROTO: i16 = 28;
/// `__sk_buff.priority`
const SKB_PRIORITY: i16 = 32;
/// `__sk_buff.ifindex`
const SKB_IFINDEX: i16 = 40;
/// `__sk_buff.tc_index`
const SKB_TC_INDEX: i16 = 44;
/// `__sk_buff.cb`
const SKB_CB: i16 = 48;
/// Words of `__sk_buff.cb`.
const CB_WORDS: i16 = 5;

/// The context.
const CONTEXT: Register = R6;
/// What the program returned.
const RESULT: Register = R7;
/// How many program runs had begun before.
const RUN: Register = R9;

/// Bytes of the value of [`Output::counts`].
pub const COUNTS: usize = LOST_AND_RUNS + HEAD;
/// Where the number of runs stands in it.
const RUNS: i16 = 8;
/// Where the head of the next record stands in it.
const LOST_AND_RUNS: usize = 16;

/// What a tap watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// An XDP program.
    Xdp {
        /// Whether it takes packets in several fragments.
        fragments: bool,
        /// Where it runs: at a device, or at entries of a map.
        hook: AttachType,
    },
    /// A tc program.
    Skb,
    /// A program at a hook of sockets, of which the packet is not recorded, if there is one.
    Socket(AttachType),
}

/// The maps that a tap writes to.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// A perf event array.
    pub records: BorrowedFd<'a>,
    /// An array whose only value has two `u64`, how many records were lost, and how many program runs have begun, and
    /// behind them the head of the record that is being made. There, and not on the stack, as what a tap has on the stack
    /// the programs that it calls have not.
    pub counts: BorrowedFd<'a>,
}

/// A program that calls the function behind its end, with its own context, and records how that found the packet, what
/// it returned and how it left the packet. It returns the same.
///
/// Nothing in it branches: the verifier would go through the function once for each way there.
pub fn around(number: u32, watched: Watched, output: Output<'_>) -> Vec<u8> {
    let mut code = Assembler::default();
    code.copy(CONTEXT, R1);
    // All runs happen on one CPU, and one inside another counts in the other's program.
    code.map_value(R2, output.counts);
    code.load(Width::D, RUN, R2, RUNS);
    code.copy(R3, RUN);
    code.add(R3, 1);
    code.store(Width::D, R2, RUNS, R3);

    if !matches!(watched, Watched::Socket(_)) {
        let mut tap = Tap::new(&mut code, [RESULT, R8], number, output);
        tap.set(BEFORE, 1);
        tap.store(BEGUN_BEFORE, RUN);
        tap.packet(watched);
        tap.send();
    }

    code.copy(R1, CONTEXT);
    code.call_behind();
    code.copy(RESULT, R0);

    let mut tap = Tap::new(&mut code, [R8, RUN], number, output);
    tap.store(BEGUN_BEFORE, RUN);
    tap.code.load(Width::D, R1, tap.base, RUNS);
    tap.store(BEGUN, R1);
    tap.store(CODE, RESULT);
    tap.packet(watched);
    tap.send();
    code.copy(R0, RESULT);
    code.exit();
    code.finish()
}

/// The XDP program of the far ends: records each frame and takes it off the wire.
pub fn far_end(output: Output<'_>) -> Vec<u8> {
    let mut code = Assembler::default();
    code.copy(CONTEXT, R1);
    let mut tap = Tap::new(&mut code, [R7, R8], FAR_END, output);
    tap.copy(IFINDEX, Width::W, XDP_MD_INGRESS_IFINDEX);
    tap.xdp_length();
    tap.send();
    code.set(R0, XDP_DROP);
    code.exit();
    code.finish()
}

/// The socket filter of packet sockets: records each frame, but for those of one device, and has the socket not take
/// it.
pub fn received(number: u32, but: Option<u32>, output: Output<'_>) -> Vec<u8> {
    let mut code = Assembler::default();
    code.copy(CONTEXT, R1);
    let mut tap = Tap::new(&mut code, [R7, R8], number, output);
    tap.copy(IFINDEX, Width::W, SKB_IFINDEX);
    let not_this = but.map(|ifindex| {
        // The last one copied is still there.
        tap.code.jump_if(R1, Condition::Equal, ifindex as i32)
    });
    tap.skb();
    tap.send();
    if let Some(jump) = not_this {
        code.land(jump);
    }
    code.set(R0, 0);
    code.exit();
    code.finish()
}

/// Makes a record and sends it.
struct Tap<'c, 'o> {
    code: &'c mut Assembler,
    /// Points to the value of [`Output::counts`].
    base: Register,
    /// Holds the packet's length from when that is known.
    length: Register,
    output: Output<'o>,
}

impl<'c, 'o> Tap<'c, 'o> {
    /// Starts the record's head, and takes two registers that survive calls.
    fn new(
        code: &'c mut Assembler,
        [base, length]: [Register; 2],
        number: u32,
        output: Output<'o>,
    ) -> Self {
        code.map_value(base, output.counts);
        let mut tap = Self {
            code,
            base,
            length,
            output,
        };
        for at in (0..HEAD as i16).step_by(8) {
            let at = tap.at(at);
            tap.code.store_value(Width::D, base, at, 0);
        }
        tap.code.set_word(R1, number);
        tap.store(TAP, R1);
        tap
    }

    const fn at(&self, at: i16) -> i16 {
        LOST_AND_RUNS as i16 + at
    }

    fn set(&mut self, at: i16, value: i32) {
        let at = self.at(at);
        self.code.store_value(Width::W, self.base, at, value);
    }

    fn store(&mut self, at: i16, from: Register) {
        let at = self.at(at);
        self.code.store(Width::W, self.base, at, from);
    }

    /// Copies a field of the context, by way of R1.
    fn copy(&mut self, at: i16, width: Width, field: i16) {
        self.code.load(Width::W, R1, CONTEXT, field);
        let at = self.at(at);
        self.code.store(width, self.base, at, R1);
    }

    fn packet(&mut self, watched: Watched) {
        match watched {
            Watched::Xdp { .. } => self.xdp_length(),
            Watched::Skb => {
                self.skb();
                self.metadata();
            }
            Watched::Socket(_) => self.code.set(self.length, 0),
        }
    }

    fn skb(&mut self) {
        self.copy(VLAN_PRESENT, Width::W, SKB_VLAN_PRESENT);
        self.copy(VLAN_PROTOCOL, Width::H, SKB_VLAN_PROTO);
        self.copy(VLAN_CONTROL, Width::H, SKB_VLAN_TCI);
        self.code.load(Width::W, self.length, CONTEXT, SKB_LEN);
    }

    fn metadata(&mut self) {
        self.copy(MARK, Width::W, SKB_MARK);
        self.copy(PRIORITY, Width::W, SKB_PRIORITY);
        self.copy(TC_INDEX, Width::W, SKB_TC_INDEX);
        for word in 0..CB_WORDS {
            self.copy(CB + 4 * word, Width::W, SKB_CB + 4 * word);
        }
        // Without a flag for IPv4, `BPF_F_TUNINFO_IPV6` for IPv6: a key of the other family is none.
        for family in 0..TUNNEL_KEYS.len() {
            let key = self.at(TUNNEL_KEYS[family]);
            self.code.copy(R1, CONTEXT);
            self.code.copy(R2, self.base);
            self.code.add(R2, i32::from(key));
            self.code.set(R3, TUNNEL_KEY);
            self.code.set(R4, family as i32);
            self.code.call(SKB_GET_TUNNEL_KEY);
            // 1 for success, 0 for an error, which is negative.
            self.code.shift_right(R0, 63);
            self.code.invert(R0);
            self.code.set(R1, 1);
            self.code.and_register(R0, R1);
            self.store(TUNNEL_RESULTS[family], R0);
        }
    }

    fn xdp_length(&mut self) {
        self.code.copy(R1, CONTEXT);
        self.code.call(XDP_GET_BUFF_LEN);
        self.code.copy(self.length, R0);
    }

    /// Sends the record, and counts it if that fails. What is too long goes without the packet and counts as lost.
    fn send(&mut self) {
        let code = &mut *self.code;
        // All ones where it is too long.
        code.set(R1, MAX_PACKET as i32);
        code.subtract_register(R1, self.length);
        code.shift_right_signed(R1, 63);
        code.copy(R2, R1);
        code.shift_right(R2, 63);
        code.atomic_add(self.base, R2);
        code.invert(R1);
        code.and_register(self.length, R1);
        self.store(LENGTH, self.length);

        let head = self.at(0);
        let code = &mut *self.code;
        // The upper half of the flags is how much of the packet is to follow the head.
        code.copy(R3, self.length);
        code.shift_left(R3, 32);
        code.set_word(R1, CURRENT_CPU);
        code.or_register(R3, R1);
        code.copy(R1, CONTEXT);
        code.map(R2, self.output.records);
        code.copy(R4, self.base);
        code.add(R4, i32::from(head));
        code.set(R5, HEAD as i32);
        code.call(PERF_EVENT_OUTPUT);
        // An error is negative.
        code.shift_right(R0, 63);
        code.copy(R2, R0);
        code.atomic_add(self.base, R2);
    }
}
