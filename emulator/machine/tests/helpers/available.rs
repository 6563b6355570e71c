//! Which helpers programs have, by their type and licence.

use twinpath_bpf::{Program, ProgramSource};
use twinpath_machine::helpers::provides;
use twinpath_machine::isa::encode;
use twinpath_machine::{HelperId, ProgramType};

use crate::asm::{call, exit, mov};

/// Program types with a place to attach to, as the kernel asks for one.
const TYPES: [(ProgramType, u32); 11] = [
    (ProgramType::SocketFilter, 0),
    (ProgramType::SchedCls, 0),
    (ProgramType::SchedAct, 0),
    (ProgramType::Xdp, 0),
    (ProgramType::CgroupSkb, 0),
    (ProgramType::CgroupSock, 2),
    (ProgramType::CgroupSockAddr, 10),
    (ProgramType::SkLookup, 36),
    (ProgramType::LwtIn, 0),
    (ProgramType::LwtOut, 0),
    (ProgramType::LwtXmit, 0),
];

/// What the verifier says of a call, whose arguments are wrong.
fn verdict(
    (kind, attach): (ProgramType, u32),
    helper: HelperId,
    license: &std::ffi::CStr,
) -> String {
    let instructions = encode(&[call(helper.0 as i32), mov(0, 0), exit()]);
    let mut source = ProgramSource::new("test", kind as u32, &instructions).for_hook(attach);
    source.license = license;
    Program::load(&source).map_or_else(|refusal| refusal.log, |_| String::new())
}

/// Each helper of the machine is one that the kernel gives to all these types, and each helper wants a
/// licence as the kernel does.
#[test]
fn availability() {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    let mut wrong = Vec::new();
    for helper in (1..=211).map(HelperId) {
        for of in TYPES {
            let free = verdict(of, helper, c"GPL");
            let has = !["cannot use helper", "invalid func", "unknown func"]
                .iter()
                .any(|text| free.contains(text));
            if provides(helper) && !has {
                wrong.push(format!("{helper} in {}", of.0));
            }
            let is_gpl_only = verdict(of, helper, c"Proprietary").contains("GPL");
            if has && is_gpl_only != helper.is_gpl_only() {
                wrong.push(format!("{helper} is GPL-only: {is_gpl_only}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
