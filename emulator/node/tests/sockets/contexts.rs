//! What programs may read and write at the hooks of sockets, and behind pointers to sockets: each offset,
//! width and direction, by the running kernel's verifier and by the checked engine.

use twinpath_bpf::{Program, ProgramSource};
use twinpath_machine::isa::{Insn, encode};
use twinpath_machine::{AttachType, Environment, HelperId, ProgramType};
use twinpath_node::{
    AttachError, AttachMode, Family, Flow, Helpers, Protocol, TestRun, TestRunError, layout,
};

use super::asm::{Width, alu_k, cond, exit, jump_k, ldx, mov, movr, op, st, stx};
use super::hooks;
use super::place::{skip, turn};
use super::recorder::call;
use super::sides::{Emulated, at};

/// Beyond the largest of the structures.
const END: i16 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// An access through r1.
fn access(direction: Direction, width: Width, offset: i16) -> [Insn; 2] {
    let access = match direction {
        Direction::Read => ldx(width, 2, 1, offset),
        Direction::Write => stx(width, 1, offset, 2),
    };
    [mov(2, 1), access]
}

/// Every access, in words when both sides disagree.
fn differences(
    mut kernel: impl FnMut(&[Insn]) -> bool,
    mut emulator: impl FnMut(&[Insn]) -> bool,
    program: impl Fn([Insn; 2]) -> Vec<Insn>,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut allowed = 0;
    for offset in 0..END {
        for width in Width::ALL {
            for direction in [Direction::Read, Direction::Write] {
                let insns = program(access(direction, width, offset));
                let expected = kernel(&insns);
                allowed += u32::from(expected);
                if expected != emulator(&insns) {
                    let verb = if expected { "allows" } else { "refuses" };
                    let bytes = width.bytes();
                    found.push(format!(
                        "the kernel {verb}: {direction:?} of {bytes} bytes at {offset}"
                    ));
                }
            }
        }
    }
    assert!(
        allowed > 0,
        "the kernel allows nothing: {:?}",
        program(access(Direction::Read, Width::W, 0))
    );
    found
}

/// Makes the calls that meet a hook.
fn meet(emulated: &mut Emulated, hook: AttachType) {
    use AttachType as A;
    let (family, near, far) = match hook {
        A::CgroupInet6Bind
        | A::CgroupInet6Connect
        | A::CgroupInet6PostBind
        | A::CgroupUdp6Sendmsg
        | A::CgroupUdp6Recvmsg
        | A::CgroupInet6Getpeername
        | A::CgroupInet6Getsockname => (Family::V6, "[::1]:7000", "[::1]:7001"),
        _ => (Family::V4, "127.0.0.1:7000", "127.0.0.1:7001"),
    };
    let task = emulated.task;
    let mut calls = emulated.world.sockets();
    let Ok(id) = calls.open(task, family, Protocol::Udp) else {
        return;
    };
    // What a call returns does not matter, only whether programs run to their end.
    let _ = calls.bind(id, at(near));
    let _ = calls.send(id, Some(at(near)), b"x");
    let _ = calls.receive(id);
    let _ = calls.connect(id, at(far));
    let _ = calls.local_name(id);
    let _ = calls.peer_name(id);
    let _ = calls.close(id);
}

/// Whether a program runs to its end at a hook.
fn runs_at(emulated: &mut Emulated, hook: AttachType, insns: &[Insn]) -> bool {
    let kind = hooks::program_type(hook);
    let program = emulated.attach(hook, kind, insns.to_vec());
    emulated.world.take_socket_runs();
    meet(emulated, hook);
    let runs = emulated.world.take_socket_runs();
    assert!(
        emulated
            .world
            .detach_cgroup(emulated.task.cgroup, hook, program)
    );
    assert!(!runs.is_empty(), "{hook}: nothing ran");
    runs.iter().all(|run| run.result.is_ok())
}

fn ended(mut insns: Vec<Insn>, verdict: i32) -> Vec<Insn> {
    insns.extend([mov(0, verdict), exit()]);
    insns
}

#[test]
fn contexts_of_hooks() {
    if skip("contexts of hooks") {
        return;
    }
    let _turn = turn();
    let mut emulated = Emulated::new();
    let mut failures = String::new();
    for (kind, hook) in hooks::all() {
        let found = differences(
            |insns| kernel_takes(kind, hook as u32, insns),
            |insns| runs_at(&mut emulated, hook, insns),
            |access| ended(access.to_vec(), 1),
        );
        failures += &report(&hook.to_string(), &found);
    }
    assert!(failures.is_empty(), "{failures}");
}

/// What the emulator lacks of the context is a fault by name; apart from that it allows what the kernel does.
#[test]
fn the_context_of_sock_ops() {
    if skip("the context of sock_ops") {
        return;
    }
    let _turn = turn();
    let (kind, hook) = (ProgramType::SockOps, AttachType::CgroupSockOps);
    let layout = layout(kind, Some(hook)).unwrap();
    let mut found = Vec::new();
    for offset in 0..END * 2 {
        for width in Width::ALL {
            for direction in [Direction::Read, Direction::Write] {
                let program = ended(access(direction, width, offset).to_vec(), 1);
                let (at, bytes) = (offset as u32, width.bytes() as u32);
                let allows = layout.field_at(at).is_some_and(|field| {
                    let widths = match direction {
                        Direction::Read => field.read,
                        Direction::Write => field.write,
                    };
                    widths.contains(bytes) && field.covers(at, bytes)
                });
                if allows != kernel_takes(kind, hook as u32, &program) {
                    found.push(format!(
                        "{direction:?} of {bytes} bytes at {offset}: here {allows}"
                    ));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn report(name: &str, found: &[String]) -> String {
    if found.is_empty() {
        String::new()
    } else {
        format!("== {name}\n{}\n", found.join("\n"))
    }
}

#[test]
fn the_context_of_sk_lookup() {
    if skip("the context of sk_lookup") {
        return;
    }
    let _turn = turn();
    let mut emulated = Emulated::new();
    let node = emulated.node;
    let found = differences(
        |insns| kernel_takes(ProgramType::SkLookup, AttachType::SkLookup as u32, insns),
        |insns| {
            let program = emulated.add_program(ProgramType::SkLookup, insns.to_vec());
            emulated.world.attach_sk_lookup(node, program).unwrap();
            emulated.world.sockets().find(node, flow(), 1);
            emulated.world.detach_sk_lookups(node);
            let runs = emulated.world.take_socket_runs();
            assert_eq!(runs.len(), 1);
            runs[0].result.is_ok()
        },
        |access| ended(access.to_vec(), 1),
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn flow() -> Flow {
    Flow {
        protocol: Protocol::Tcp,
        local: at("127.0.0.1:80"),
        remote: at("127.0.0.1:4000"),
    }
}

/// The socket of the context: `struct bpf_sock` of a full socket.
#[test]
fn the_socket_of_a_call() {
    if skip("the socket of a call") {
        return;
    }
    let _turn = turn();
    let mut emulated = Emulated::new();
    let hook = AttachType::CgroupInet4Connect;
    let found = differences(
        |insns| kernel_takes(ProgramType::CgroupSockAddr, hook as u32, insns),
        |insns| runs_at(&mut emulated, hook, insns),
        |access| {
            const SK: i16 = 64;
            let mut insns = vec![ldx(Width::D, 1, 1, SK)];
            insns.extend(access);
            ended(insns, 1)
        },
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Looks a listener up as a tc program, with r6 the socket; `view` makes r1 out of r6, and the access
/// happens unless it is null.
fn looked_up(helper: HelperId, view: Option<HelperId>, access: &[Insn]) -> Vec<Insn> {
    const TUPLE: i16 = -16;
    let loopback = i32::from_le_bytes([127, 0, 0, 1]);
    let ports = i32::from_le_bytes([0x0f, 0xa0, 0, 80]);
    let mut insns = vec![
        st(Width::W, 10, TUPLE, loopback),
        st(Width::W, 10, TUPLE + 4, loopback),
        st(Width::W, 10, TUPLE + 8, ports),
        movr(2, 10),
        alu_k(true, op::ADD, 2, i32::from(TUPLE), 0),
        mov(3, 12),
        mov(4, -1),
        mov(5, 0),
        call(helper),
        jump_k(true, cond::JNE, 0, 0, 2),
        mov(0, 2),
        exit(),
        movr(6, 0),
        movr(1, 6),
    ];
    if let Some(view) = view {
        insns.extend([call(view), movr(1, 0)]);
        insns.push(jump_k(true, cond::JEQ, 1, 0, access.len() as i16));
    }
    insns.extend(access);
    insns.extend([movr(1, 6), call(HelperId::SK_RELEASE)]);
    ended(insns, 0)
}

/// What pointers from lookups and from helpers that look at a socket in another way show.
#[test]
fn sockets_behind_pointers() {
    if skip("sockets behind pointers") {
        return;
    }
    let _turn = turn();
    let kind = ProgramType::SchedCls;
    let mut emulated = Emulated::new();
    let task = emulated.task;
    let mut calls = emulated.world.sockets();
    let listener = calls.open(task, Family::V4, Protocol::Tcp).unwrap();
    calls.bind(listener, at("127.0.0.1:80")).unwrap();
    calls.listen(listener, 8).unwrap();
    let mut failures = String::new();
    for (helper, view) in [
        (HelperId::SK_LOOKUP_TCP, None),
        (HelperId::SKC_LOOKUP_TCP, None),
        (HelperId::SKC_LOOKUP_TCP, Some(HelperId::SK_FULLSOCK)),
        (HelperId::SKC_LOOKUP_TCP, Some(HelperId::TCP_SOCK)),
        (HelperId::SK_LOOKUP_TCP, Some(HelperId::GET_LISTENER_SOCK)),
    ] {
        let found = differences(
            |insns| kernel_takes(kind, 0, insns),
            |insns| {
                let run = TestRun {
                    program: emulated.add_program(kind, insns.to_vec()),
                    node: emulated.node,
                    data: &[0; 64],
                    context: None,
                    checksum_complete: false,
                };
                match emulated.world.test_run(run) {
                    Ok(result) => {
                        assert_eq!(result.returned, 0, "the lookup finds nothing");
                        true
                    }
                    Err(TestRunError::Fault(_)) => false,
                    Err(error) => panic!("{error}"),
                }
            },
            |access| looked_up(helper, view, &access),
        );
        failures += &report(&format!("{helper} {view:?}"), &found);
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The helpers that are about sockets.
const HELPERS: &[HelperId] = &[
    HelperId::GET_SOCKET_COOKIE,
    HelperId::GET_SOCKET_UID,
    HelperId::GET_NETNS_COOKIE,
    HelperId::SETSOCKOPT,
    HelperId::GETSOCKOPT,
    HelperId::BIND,
    HelperId::SOCK_MAP_UPDATE,
    HelperId::SOCK_HASH_UPDATE,
    HelperId::SK_LOOKUP_TCP,
    HelperId::SK_LOOKUP_UDP,
    HelperId::SKC_LOOKUP_TCP,
    HelperId::SK_RELEASE,
    HelperId::SK_ASSIGN,
    HelperId::SK_FULLSOCK,
    HelperId::TCP_SOCK,
    HelperId::GET_LISTENER_SOCK,
    HelperId::SK_STORAGE_GET,
    HelperId::SK_STORAGE_DELETE,
    HelperId::GET_LOCAL_STORAGE,
    HelperId::GET_RETVAL,
    HelperId::SET_RETVAL,
    HelperId::SKB_CGROUP_ID,
    HelperId::SKB_ANCESTOR_CGROUP_ID,
    HelperId::SKB_UNDER_CGROUP,
    HelperId::SK_CGROUP_ID,
    HelperId::SK_ANCESTOR_CGROUP_ID,
    HelperId::SOCK_MAP_UPDATE,
    HelperId::SOCK_HASH_UPDATE,
    HelperId::TCP_CHECK_SYNCOOKIE,
    HelperId::TCP_GEN_SYNCOOKIE,
    HelperId::TCP_RAW_GEN_SYNCOOKIE_IPV4,
    HelperId::TCP_RAW_GEN_SYNCOOKIE_IPV6,
    HelperId::TCP_RAW_CHECK_SYNCOOKIE_IPV4,
    HelperId::TCP_RAW_CHECK_SYNCOOKIE_IPV6,
    HelperId::SKC_TO_TCP6_SOCK,
    HelperId::SKC_TO_TCP_SOCK,
    HelperId::SKC_TO_TCP_TIMEWAIT_SOCK,
    HelperId::SKC_TO_TCP_REQUEST_SOCK,
    HelperId::SKC_TO_UDP6_SOCK,
    HelperId::SKC_TO_UNIX_SOCK,
    HelperId::SKC_TO_MPTCP_SOCK,
];

/// Whether the kernel's verifier takes a program.
fn kernel_takes(kind: ProgramType, hook: u32, insns: &[Insn]) -> bool {
    let instructions = encode(insns);
    let source = ProgramSource::new("contexts", kind as u32, &instructions).for_hook(hook);
    Program::load_without_log(&source).is_ok()
}

/// Whether the kernel has a helper for programs of a type; if so, the verifier complains of something else.
fn kernel_has(kind: ProgramType, hook: Option<AttachType>, helper: HelperId) -> bool {
    let insns = encode(&[call(helper), mov(0, 1), exit()]);
    let attach = hook.map_or(0, |hook| hook as u32);
    let source = ProgramSource::new("contexts", kind as u32, &insns).for_hook(attach);
    match Program::load(&source) {
        Ok(_) => true,
        Err(refusal) => !["cannot use helper", "unknown func", "invalid func"]
            .iter()
            .any(|text| refusal.log.contains(text)),
    }
}

/// Whether the emulator has it.
fn emulator_has(
    emulated: &mut Emulated,
    kind: ProgramType,
    hook: Option<AttachType>,
    helper: HelperId,
) -> bool {
    if !Helpers.provides(helper, kind) {
        return false;
    }
    let Some(hook) = hook.filter(|hook| *hook != AttachType::SkLookup) else {
        return true;
    };
    let insns = vec![call(helper), mov(0, 1), exit()];
    let program = emulated.add_program(kind, insns);
    let cgroup = emulated.task.cgroup;
    let attached = emulated
        .world
        .attach_cgroup(cgroup, hook, program, AttachMode::Multi);
    match attached {
        Ok(()) => emulated.world.detach_cgroup(cgroup, hook, program),
        Err(AttachError::Helper { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Which programs may call which helpers.
#[test]
fn helpers_of_program_types() {
    if skip("helpers of program types") {
        return;
    }
    let _turn = turn();
    use ProgramType as P;
    let packets = [
        P::Xdp,
        P::SchedCls,
        P::SchedAct,
        P::SocketFilter,
        P::LwtIn,
        P::LwtXmit,
    ];
    let filters = [AttachType::CgroupInetIngress, AttachType::CgroupInetEgress];
    let all = (packets.into_iter().map(|kind| (kind, None)))
        .chain(filters.map(|hook| (P::CgroupSkb, Some(hook))))
        .chain(hooks::all().map(|(kind, hook)| (kind, Some(hook))))
        .chain([
            (P::SkLookup, Some(AttachType::SkLookup)),
            (P::SockOps, Some(AttachType::CgroupSockOps)),
        ]);
    let mut emulated = Emulated::new();
    let mut failures = String::new();
    for (kind, hook) in all {
        for helper in HELPERS.iter().copied() {
            let expected = kernel_has(kind, hook, helper);
            if expected != emulator_has(&mut emulated, kind, hook, helper) {
                let verb = if expected { "has" } else { "has not" };
                failures += &format!("{kind} {hook:?}: the kernel {verb} {helper}\n");
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
