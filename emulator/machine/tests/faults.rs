//! What a fault looks like to people: a golden file for each kind.
//!
//! The programs have the source lines that a compiler would give them.
#![allow(clippy::unwrap_used)] // A test that cannot set itself up has failed.

#[path = "isa/asm.rs"]
#[allow(dead_code)] // The instruction set's tests use all of it.
mod asm;
#[path = "faults/rig.rs"]
mod rig;

use asm::{Width::*, alu_k, call, call_local, cond, exit, ja, jump_k, ldx, mov, movr, op, st, stx};
use rig::{Rig, helper, line};
use twinpath_machine::memory::UninitializedRead;
use twinpath_machine::{MapDef, MapType};

macro_rules! golden {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "faults/golden" }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

fn flows() -> MapDef {
    MapDef::new(MapType::Hash, 4, 16, 8).named("flows")
}

/// Looks key 1 up in map 0; r0 is the value.
fn lookup(rig: &mut Rig) {
    rig.line(30, "flow = bpf_map_lookup_elem(&flows, &key);");
    rig.push(&[
        st(W, 10, -4, 1),
        movr(2, 10),
        alu_k(true, op::ADD, 2, -4, 0),
    ]);
    rig.map(1, 0);
    rig.push(&[call(helper::MAP_LOOKUP_ELEM)]);
}

#[test]
fn outside_of_a_map_value() {
    let mut rig = Rig::new(&[flows()]);
    rig.entry(0, &1u32.to_le_bytes());
    lookup(&mut rig);
    rig.line(31, "if (!flow)");
    rig.push(&[jump_k(true, cond::JEQ, 0, 0, 1)]);
    rig.line(33, "total += flow->bytes;");
    rig.push(&[ldx(W, 2, 0, 14), exit()]);
    golden!("outside_of_a_map_value", rig.fault());
}

#[test]
fn into_a_read_only_map() {
    let mut constants = MapDef::new(MapType::Array, 4, 16, 1).named(".rodata");
    constants.flags.0 = twinpath_machine::MapFlags::RDONLY_PROG;
    let mut rig = Rig::new(&[constants]);
    rig.line(8, "((__u32 *)&limit)[0] = 7;");
    rig.push(&[
        st(W, 10, -4, 0),
        movr(2, 10),
        alu_k(true, op::ADD, 2, -4, 0),
    ]);
    rig.map(1, 0);
    rig.push(&[call(helper::MAP_LOOKUP_ELEM), st(W, 0, 0, 7), exit()]);
    golden!("into_a_read_only_map", rig.fault());
}

#[test]
fn after_a_failed_lookup() {
    let mut rig = Rig::new(&[flows()]);
    lookup(&mut rig);
    rig.line(31, "flow->packets++;");
    rig.push(&[ldx(D, 2, 0, 8), exit()]);
    golden!("after_a_failed_lookup", rig.fault());
}

#[test]
fn outside_of_the_frame() {
    let mut rig = Rig::new(&[]);
    rig.line(12, "buffer[index] = 0;");
    rig.push(&[
        movr(3, 10),
        alu_k(true, op::ADD, 3, -520, 0),
        st(D, 3, 0, 0),
        exit(),
    ]);
    golden!("outside_of_the_frame", rig.fault());
}

#[test]
fn a_frame_that_is_gone() {
    let mut rig = Rig::new(&[]);
    rig.line(20, "return *make_local();");
    rig.push(&[call_local(2), ldx(W, 0, 0, 0), exit()]);
    rig.function("make_local");
    rig.line(15, "return &local;");
    rig.push(&[movr(0, 10), alu_k(true, op::ADD, 0, -8, 0), exit()]);
    golden!("a_frame_that_is_gone", rig.fault());
}

#[test]
fn behind_the_packet() {
    let mut rig = Rig::new(&[]);
    rig.line(40, "void *data = (void *)(long)ctx->data;");
    rig.push(&[ldx(W, 2, 1, 0)]);
    rig.line(44, "proto = eth->h_proto;");
    rig.push(&[ldx(H, 3, 2, 63), exit()]);
    golden!("behind_the_packet", rig.fault());
}

#[test]
fn a_packet_that_moved() {
    let mut rig = Rig::new(&[]);
    rig.line(40, "void *data = (void *)(long)ctx->data;");
    rig.push(&[ldx(W, 6, 1, 0)]);
    rig.line(42, "bpf_xdp_adjust_head(ctx, -8);");
    rig.push(&[mov(2, -8), call(helper::XDP_ADJUST_HEAD)]);
    rig.line(44, "proto = eth->h_proto;");
    rig.push(&[ldx(H, 3, 6, 12), exit()]);
    golden!("a_packet_that_moved", rig.fault());
}

#[test]
fn stack_that_was_never_written() {
    let mut rig = Rig::new(&[flows()]);
    rig.entry(0, &1u32.to_le_bytes());
    rig.line(25, "struct flow flow = {};");
    rig.push(&[st(D, 10, -24, 0), st(W, 10, -4, 1)]);
    rig.line(27, "bpf_map_update_elem(&flows, &key, &flow, BPF_ANY);");
    rig.push(&[
        movr(2, 10),
        alu_k(true, op::ADD, 2, -4, 0),
        movr(3, 10),
        alu_k(true, op::ADD, 3, -24, 0),
    ]);
    rig.push(&[mov(4, 0)]);
    rig.map(1, 0);
    rig.push(&[call(helper::MAP_UPDATE_ELEM), exit()]);
    golden!("stack_that_was_never_written_warning", rig.warning());
    rig.machine
        .memory
        .set_uninitialized_read(UninitializedRead::Fault);
    golden!("stack_that_was_never_written", rig.fault());

    // The program's own load, behind an immediate of two slots.
    let mut rig = Rig::new(&[flows()]);
    rig.map(1, 0);
    rig.line(29, "return key;");
    rig.push(&[ldx(W, 0, 10, -4), exit()]);
    golden!("stack_that_was_never_written_load", rig.warning());
}

#[test]
fn helper_arguments() {
    // A map of the wrong type.
    let mut rig = Rig::new(&[
        MapDef::new(MapType::ProgArray, 4, 4, 4).named("jumps"),
        flows(),
    ]);
    rig.line(50, "bpf_ringbuf_output(&flows, &key, 4, 0);");
    rig.push(&[
        st(W, 10, -4, 1),
        movr(2, 10),
        alu_k(true, op::ADD, 2, -4, 0),
        mov(3, 4),
        mov(4, 0),
    ]);
    rig.map(1, 1);
    rig.push(&[call(helper::RINGBUF_OUTPUT), exit()]);
    golden!("argument_map_type", rig.fault());

    // No map at all.
    let mut rig = Rig::new(&[]);
    rig.line(51, "bpf_map_lookup_elem(0, &key);");
    rig.push(&[
        movr(2, 10),
        mov(1, 0),
        call(helper::MAP_LOOKUP_ELEM),
        exit(),
    ]);
    golden!("argument_no_map", rig.fault());

    // Something else than the context.
    let mut rig = Rig::new(&[MapDef::new(MapType::ProgArray, 4, 4, 4).named("jumps")]);
    rig.line(52, "bpf_tail_call(&key, &jumps, 0);");
    rig.push(&[movr(1, 10), mov(3, 0)]);
    rig.map(2, 0);
    rig.push(&[call(helper::TAIL_CALL), exit()]);
    golden!("argument_context", rig.fault());

    // A size that is larger than what it is the size of.
    let mut rig = Rig::new(&[MapDef::new(MapType::RingBuf, 0, 0, 4096).named("events")]);
    rig.line(
        53,
        "bpf_ringbuf_output(&events, &event, sizeof(event) * 2, 0);",
    );
    rig.push(&[
        st(D, 10, -8, 1),
        movr(2, 10),
        alu_k(true, op::ADD, 2, -8, 0),
        mov(3, 16),
        mov(4, 0),
    ]);
    rig.map(1, 0);
    rig.push(&[call(helper::RINGBUF_OUTPUT), exit()]);
    golden!("argument_size", rig.fault());
}

#[test]
fn context_fields() {
    for (name, text, insn) in [
        ("field_not_writable", "ctx->data = 0;", st(W, 1, 0, 0)),
        (
            "field_width",
            "x = *(__u16 *)&ctx->rx_queue_index;",
            ldx(H, 2, 1, 16),
        ),
        (
            "field_missing",
            "x = *(__u32 *)((void *)ctx + 24);",
            ldx(W, 2, 1, 24),
        ),
    ] {
        let mut rig = Rig::new(&[]);
        rig.line(60, text);
        rig.push(&[insn, exit()]);
        golden!(name, rig.fault());
    }
}

#[test]
fn the_end_of_the_budget() {
    let mut rig = Rig::new(&[]);
    rig.line(70, "while (!done)");
    rig.push(&[mov(0, 0), ja(-2), exit()]);
    golden!("budget", rig.fault());
}

#[test]
fn what_is_not_given_back() {
    let mut rig = Rig::new(&[MapDef::new(MapType::RingBuf, 0, 0, 4096).named("events")]);
    rig.line(80, "event = bpf_ringbuf_reserve(&events, 16, 0);");
    rig.push(&[mov(2, 16), mov(3, 0)]);
    rig.map(1, 0);
    rig.push(&[call(helper::RINGBUF_RESERVE)]);
    rig.line(82, "return XDP_PASS;");
    rig.push(&[mov(0, 2), exit()]);
    golden!("leak_record", rig.fault());

    let mut locked = MapDef::new(MapType::Hash, 4, 16, 8).named("flows");
    locked.lock = Some(0);
    let mut rig = Rig::new(&[locked]);
    rig.entry(0, &1u32.to_le_bytes());
    lookup(&mut rig);
    rig.line(84, "bpf_spin_lock(&flow->lock);");
    rig.push(&[movr(6, 0), movr(1, 0), call(helper::SPIN_LOCK)]);
    let mut also = rig.clone_program();
    rig.line(86, "return XDP_PASS;");
    rig.push(&[mov(0, 2), exit()]);
    golden!("leak_lock", rig.fault());
    also.line(85, "now = bpf_ktime_get_ns();");
    also.push(&[call(helper::KTIME_GET_NS), exit()]);
    golden!("locked", also.fault());

    let mut rig = Rig::new(&[]);
    rig.line(
        90,
        "sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple), -1, 0);",
    );
    rig.push(&[call(helper::SK_LOOKUP_TCP)]);
    rig.line(91, "return XDP_PASS;");
    rig.push(&[mov(0, 2), exit()]);
    golden!("leak_socket", rig.fault());
}

#[test]
fn what_was_given_back() {
    let mut rig = Rig::new(&[MapDef::new(MapType::RingBuf, 0, 0, 4096).named("events")]);
    rig.line(80, "event = bpf_ringbuf_reserve(&events, 16, 0);");
    rig.push(&[mov(2, 16), mov(3, 0)]);
    rig.map(1, 0);
    rig.push(&[
        call(helper::RINGBUF_RESERVE),
        movr(6, 0),
        movr(1, 0),
        mov(2, 0),
    ]);
    rig.line(84, "bpf_ringbuf_submit(event, 0);");
    rig.push(&[call(helper::RINGBUF_SUBMIT)]);
    rig.line(85, "event->kind = 1;");
    rig.push(&[stx(W, 6, 0, 0), exit()]);
    golden!("released", rig.fault());
}

#[test]
fn numbers_and_references() {
    let mut rig = Rig::new(&[flows()]);
    rig.line(95, "x = *(__u32 *)0xdeadbeef000;");
    rig.push(&asm::lddw(2, 0, 0xdead_beef_0000));
    rig.push(&[ldx(W, 0, 2, 0), exit()]);
    golden!("through_a_number", rig.fault());

    let mut rig = Rig::new(&[flows()]);
    rig.line(96, "x = *(__u32 *)&flows;");
    rig.map(2, 0);
    rig.push(&[ldx(W, 0, 2, 0), exit()]);
    golden!("through_a_map", rig.fault());
}

/// A variable that each CPU has a value of, read without asking for one, and written.
#[test]
fn variables_of_the_kernel() {
    let mut rig = Rig::new(&[]);
    rig.line(98, "x = *(__u32 *)&cpu_number;");
    rig.variable(2, "cpu_number");
    rig.push(&[ldx(W, 0, 2, 0), exit()]);
    golden!("through_a_variable", rig.fault());

    let mut rig = Rig::new(&[]);
    rig.line(99, "*(__u32 *)bpf_this_cpu_ptr(&cpu_number) = 1;");
    rig.variable(1, "cpu_number");
    rig.push(&[call(helper::THIS_CPU_PTR), st(W, 0, 0, 1), exit()]);
    golden!("into_a_variable", rig.fault());

    let mut rig = Rig::new(&[]);
    rig.line(97, "x = bpf_per_cpu_ptr(&key, 0);");
    rig.push(&[movr(1, 10), mov(2, 0), call(helper::PER_CPU_PTR), exit()]);
    golden!("argument_variable", rig.fault());
}

#[test]
fn too_deep_and_unsupported() {
    let mut rig = Rig::new(&[]);
    rig.line(100, "return again();");
    rig.push(&[call_local(0)]);
    rig.function("again");
    rig.push(&[call_local(-1), exit()]);
    golden!("call_depth", rig.fault());

    let mut rig = Rig::new(&[]);
    rig.line(101, "bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);");
    rig.push(&[call(69), exit()]);
    golden!("unsupported", rig.fault());
}

/// Without line info and names, what is known is said.
#[test]
fn without_source_lines() {
    let mut rig = Rig::new(&[]);
    rig.push(&[mov(2, 0), ldx(D, 0, 2, 8), exit()]);
    golden!("without_source_lines", rig.fault());
    assert_eq!(line(0).line, 0);
}

#[test]
fn argument_string() {
    let mut rig = Rig::new(&[flows()]);
    rig.entry(0, &1u32.to_le_bytes());
    lookup(&mut rig);
    rig.line(33, "bpf_snprintf(text, sizeof(text), flow->name, 0, 0);");
    rig.push(&[
        movr(1, 10),
        alu_k(true, op::ADD, 1, -16, 0),
        mov(2, 8),
        movr(3, 0),
        mov(4, 0),
        mov(5, 0),
        call(helper::SNPRINTF),
        exit(),
    ]);
    golden!("argument_string", rig.fault());
}

#[test]
fn argument_dynptr() {
    let mut rig = Rig::new(&[]);
    rig.line(70, "bpf_dynptr_read(&port, sizeof(port), &packet, 34, 0);");
    rig.push(&[
        st(D, 10, -16, 0),
        st(D, 10, -8, 0),
        movr(1, 10),
        alu_k(true, op::ADD, 1, -24, 0),
        mov(2, 2),
        movr(3, 10),
        alu_k(true, op::ADD, 3, -16, 0),
        mov(4, 34),
        mov(5, 0),
        call(helper::DYNPTR_READ),
        exit(),
    ]);
    golden!("argument_dynptr", rig.fault());
}
