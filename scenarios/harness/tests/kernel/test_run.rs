//! Single programs over single packets.

use std::collections::BTreeMap;

use std::os::fd::{AsFd, AsRawFd};
use twinpath::kernel::test_run::{Object, TestInput, read_map, run_packets};
use twinpath_bpf::{Map, MapShape, Program, ProgramSource};
use twinpath_machine::ProgramType;

use crate::needs_kernel;
use crate::support::*;

#[test]
fn objects() {
    needs_kernel!();
    let frames = [Order::just(1).frame(60), Order::with(2, GROW, 0).frame(60)];
    let outputs = run_packets(
        "hooks.bpf.o",
        OBJECT,
        "entry",
        frames.iter().map(Vec::as_slice),
    )
    .unwrap();
    assert_eq!(
        outputs.iter().map(|output| output.code).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(outputs[0].packet, frames[0]);
    assert_eq!(outputs[1].packet, with_tag(frames[1].clone(), 7));
}

#[test]
fn maps_last_from_run_to_run() {
    needs_kernel!();
    let globals = BTreeMap::from([("offset_of_count".to_owned(), 4u32.to_ne_bytes().to_vec())]);
    let mut object = Object::load("hooks.bpf.o", OBJECT, &globals).unwrap();
    let program = object.program("from_device").unwrap();
    let frame = Order::just(0).frame(60);
    for _ in 0..3 {
        assert_eq!(program.test_run(TestInput::packet(&frame)).unwrap().code, 0);
    }
    let map = object.map("by_device_of_the_frame").unwrap();
    let contents = read_map(map).unwrap().unwrap();
    assert_eq!(
        contents.entries[&1u32.to_ne_bytes().to_vec()],
        [15u64.to_ne_bytes()]
    );
}

fn source(kind: ProgramType, instructions: &[u8]) -> ProgramSource<'_> {
    ProgramSource::new("test_run", kind as u32, instructions)
}

#[test]
fn contexts_go_in_and_out() {
    needs_kernel!();
    // r0 = skb->mark; skb->mark = r0 + 1; exit
    let code = [
        [0x61, 0x10, 8, 0, 0, 0, 0, 0],
        [0xbf, 0x02, 0, 0, 0, 0, 0, 0],
        [0x07, 0x02, 0, 0, 1, 0, 0, 0],
        [0x63, 0x21, 8, 0, 0, 0, 0, 0],
        [0x95, 0, 0, 0, 0, 0, 0, 0],
    ];
    let program = Program::load(&source(ProgramType::SchedCls, &code.concat())).unwrap();
    let mut context = [0; 192];
    context[8..12].copy_from_slice(&41u32.to_ne_bytes());
    let input = TestInput {
        context: &context,
        ..TestInput::packet(&[0; 14])
    };
    let output = program.test_run(input).unwrap();
    assert_eq!(output.code, 41);
    assert_eq!(output.context[8..12], 42u32.to_ne_bytes());
}

#[test]
fn instructions_can_use_maps() {
    needs_kernel!();
    let map = Map::create("test", MapShape::array(8, 1)).unwrap();
    map.update(&[0; 4], &7u64.to_ne_bytes(), 0).unwrap();
    // r1 = value of the map; r0 = *r1; *r1 = 9; exit
    let mut code = vec![0x18, 0x21, 0, 0];
    code.extend(map.as_fd().as_raw_fd().to_ne_bytes());
    code.extend([0; 8]);
    code.extend([0x79, 0x10, 0, 0, 0, 0, 0, 0]);
    code.extend([0x7a, 0x01, 0, 0, 9, 0, 0, 0]);
    code.extend([0x95, 0, 0, 0, 0, 0, 0, 0]);
    let program = Program::load(&source(ProgramType::SocketFilter, &code)).unwrap();
    assert_eq!(
        program.test_run(TestInput::packet(&[0; 14])).unwrap().code,
        7
    );
    assert_eq!(map.lookup(&[0; 4]).unwrap().unwrap(), 9u64.to_ne_bytes());
    map.delete(&[0; 4]).unwrap_err();
    assert_eq!(map.next_key(None).unwrap().unwrap(), [0; 4]);
    assert_eq!(map.next_key(Some(&[0; 4])).unwrap(), None);
}

#[test]
fn what_the_verifier_refuses_says_why() {
    needs_kernel!();
    let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
    let refusal = Program::load(&source(ProgramType::Xdp, &exit)).unwrap_err();
    assert!(refusal.log.contains("R0 !read_ok"), "{}", refusal.log);
    let frame = [0; 13];
    let pass = [[0xb7, 0, 0, 0, 2, 0, 0, 0], exit].concat();
    let program = Program::load(&source(ProgramType::Xdp, &pass)).unwrap();
    assert_eq!(
        program
            .test_run(TestInput::packet(&frame))
            .unwrap_err()
            .raw_os_error(),
        Some(libc::EINVAL)
    );
}
