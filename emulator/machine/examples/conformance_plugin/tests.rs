//! The protocol: what runners give and what they read.
#![allow(clippy::unwrap_used)] // A test that cannot set itself up has failed.

mod edges;

use super::{Options, run};

/// r0 = 1; exit
const ONE: &str = "b7 00 00 00 01 00 00 00 95 00 00 00 00 00 00 00";
/// r0 = r2; exit
const LENGTH: &str = "bf20000000000000 9500000000000000";
/// r0 = r1; exit
const ADDRESS: &str = "bf10000000000000 9500000000000000";
/// r0 = *(u8 *)(r1 + 1); exit
const SECOND_BYTE: &str = "7110010000000000 9500000000000000";
/// r0 = -1; exit
const MINUS_ONE: &str = "b7000000ffffffff 9500000000000000";
/// *(u64 *)(r10 - 512) = 7; r0 = *(u64 *)(r10 - 512); exit
const WHOLE_STACK: &str = "7a0a00fe07000000 79a000fe00000000 9500000000000000";
/// *(u64 *)(r10 - 4) = 7; r0 = 0; exit
const BEYOND_THE_STACK: &str = "7a0afcff07000000 b700000000000000 9500000000000000";
/// r1 = 9; call helper 5; r0 = 2; exit
const HELPER: &str = "b701000009000000 8500000005000000 b700000002000000 9500000000000000";
/// r2 = 5; callx r2; r0 = 2; exit
const HELPER_BY_REGISTER: &str =
    "b702000005000000 8d02000000000000 b700000002000000 9500000000000000";
/// call kfunc 42; exit
const KFUNC: &str = "852000002a000000 9500000000000000";
/// *(u64 *)(r10 - 8) = 3; r6 = 4; call +3; r1 = *(u64 *)(r10 - 8); r0 += r1; exit;
/// *(u64 *)(r10 - 8) = 50; r6 = 0; r0 = 10; exit
const LOCAL_CALL: &str = "7a0af8ff03000000 b706000004000000 8510000003000000 79a1f8ff00000000 \
    0f10000000000000 9500000000000000 7a0af8ff32000000 b706000000000000 b70000000a000000 \
    9500000000000000";
/// r1 = r10; r1 += -8; *(u64 *)r1 = 3; r2 = 1; lock *(u64 *)r1 += r2; r0 = *(u64 *)r1; exit
const ATOMIC: &str = "bfa1000000000000 07010000f8ffffff 7a01000003000000 b702000001000000 \
    db21000000000000 7910000000000000 9500000000000000";
/// *(u64 *)(r10 - 8) = r1; r3 = *(u64 *)(r10 - 8); r4 = r3; r4 += 1; r0 = *(u8 *)r4; r4 -= r3; r0 += r4; exit
const KEPT_POINTER: &str = "7b1af8ff00000000 79a3f8ff00000000 bf34000000000000 0704000001000000 \
    7140000000000000 1f34000000000000 0f40000000000000 9500000000000000";
/// if r1 == 0 goto -1
const ENDLESS: &str = "1501ffff00000000 9500000000000000";

/// Arguments, standard input, and the result or a part of the reason.
type Case<'a> = (&'a [&'a str], &'a str, Result<u64, &'a str>);

const CASES: &[Case<'_>] = &[
    // How runners give memory and options.
    (&[], ONE, Ok(1)),
    (&[""], ONE, Ok(1)),
    (&["", ""], ONE, Ok(1)),
    (&["", "--debug"], ONE, Ok(1)),
    (&["--debug", "aa bb"], LENGTH, Ok(2)),
    (&["aa  bb  cc "], LENGTH, Ok(3)),
    (&["AAbbCC", "", "--debug"], LENGTH, Ok(3)),
    (&["0xaa 0xBB"], SECOND_BYTE, Ok(0xbb)),
    (&["\naa\n bb\n"], LENGTH, Ok(2)),
    (&["--program", LENGTH, "aa", "--debug"], "", Ok(1)),
    (&["--program=b7000000010000009500000000000000"], "", Ok(1)),
    // How they give programs.
    (
        &[],
        "B7 00 00 00  01 00 00 00\r\n95 00 00 00 00 00 00 00\n\n",
        Ok(1),
    ),
    (
        &[],
        "0xb7 0x00 0x00 0x00 0x01 0x00 0x00 0x00 9500000000000000",
        Ok(1),
    ),
    (&[], "", Err("an empty program")),
    (&[], "b7 00 00", Err("3 bytes after the last slot")),
    (&[], "b7 00 0", Err("half a byte")),
    (&[], "b7 zz", Err("no hexadecimal digit")),
    // What a program finds.
    (&[], LENGTH, Ok(0)),
    (&[], ADDRESS, Ok(0)),
    (&[""], ADDRESS, Ok(0)),
    (&["11 22"], SECOND_BYTE, Ok(0x22)),
    (&["11 22"], KEPT_POINTER, Ok(0x23)),
    (&[], MINUS_ONE, Ok(u64::MAX)),
    (&[], WHOLE_STACK, Ok(7)),
    (&[], HELPER, Ok(2)),
    (&[], HELPER_BY_REGISTER, Ok(2)),
    (&[], LOCAL_CALL, Ok(13)),
    (&[], ATOMIC, Ok(4)),
    // What is refused, as the kernel does.
    (&[], BEYOND_THE_STACK, Err("outside the frame of 512 bytes")),
    (&[], KFUNC, Err("kernel function")),
    (&[], ENDLESS, Err("budget")),
];

fn outcome(args: &[&str], input: &str) -> Result<u64, String> {
    let options = Options::parse(args.iter().map(|arg| (*arg).to_owned()))?;
    run(&options, &mut input.as_bytes()).map(|outcome| outcome.result)
}

fn check(args: &[&str], input: &str, want: Result<u64, &str>) {
    for engine in [
        &["--engine", "checked"][..],
        &["--engine=rbpf"],
        &["--engine rbpf"],
    ] {
        let got = outcome(&[args, engine].concat(), input);
        match (&got, want) {
            (Ok(got), Ok(want)) => assert_eq!(*got, want, "{args:?} {engine:?} {input:.200}"),
            (Err(got), Err(want)) if got.contains(want) => {}
            _ => panic!("{args:?} {engine:?} {input:.200}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn programs() {
    for (args, input, want) in CASES {
        check(args, input, *want);
    }
}

#[test]
fn long_programs() {
    let add = "0700000001000000";
    let program = |adds| format!("b700000000000000 {} 9500000000000000", add.repeat(adds));
    check(&[], &program(20_000), Ok(20_000));
    // More than rbpf's jumps reach.
    assert_eq!(outcome(&[], &program(500_000)), Ok(500_000));
}

#[test]
fn objects() {
    let object = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects");
        let bytes = std::fs::read(format!("{folder}/{name}.bpf.o")).unwrap();
        bytes
            .iter()
            .map(|byte| format!("{byte:02x} "))
            .collect::<String>()
    };
    check(&["aa bb", "", "--elf"], &object("unnamed"), Ok(8));
    check(&["--elf"], &object("unnamed"), Ok(6));
    check(&["--elf"], ONE, Err("ELF"));
}

#[test]
fn arguments() {
    for (args, want) in [
        (
            &["--engine", "jit"][..],
            "engine \"jit\" is not checked or rbpf",
        ),
        (&["--fast"], "unknown option \"--fast\""),
        (&["aa", "bb"], "unexpected argument \"bb\""),
        (&["a"], "memory: half a byte"),
    ] {
        let got = outcome(args, ONE).unwrap_err();
        assert!(got.contains(want), "{args:?}: {got}");
    }
}
