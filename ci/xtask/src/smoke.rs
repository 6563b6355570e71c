//! A first run of each program in the kernel, on frames that need no map to be filled: it does
//! something, and a drop leaves an event. What the programs do is for the scenarios to say.

use aya::Ebpf;
use aya::maps::RingBuf;
use aya::programs::{Program, ProgramError, TestRun, TestRunOptions};
use twinpath_abi::{DropReason, DropRecord, FromBytes, NotifyType, map, program};

use crate::error::Error;
use crate::kernel;

/// A frame for a program, what it returns, and why it drops.
struct Case {
    program: &'static str,
    name: &'static str,
    ethertype: [u8; 2],
    action: u32,
    reason: Option<DropReason>,
}

const CASES: [Case; 3] = [
    Case {
        program: program::XDP_ENTRY,
        name: "neither IPv4 nor IPv6",
        ethertype: [0x88, 0xb5],
        action: 2, // XDP_PASS
        reason: None,
    },
    Case {
        program: program::XDP_ENTRY,
        name: "IPv6 without an IPv6 header",
        ethertype: [0x86, 0xdd],
        action: 1, // XDP_DROP
        reason: Some(DropReason::InvalidPacket),
    },
    Case {
        program: program::FROM_CONTAINER,
        name: "a device of no endpoint",
        ethertype: [0x08, 0x00],
        action: 2, // TC_ACT_SHOT
        reason: Some(DropReason::UnknownSender),
    },
];

/// Runs the cases on an object whose programs are loaded.
pub fn run(ebpf: &mut Ebpf) -> Result<(), Error> {
    for case in &CASES {
        let action = act(ebpf, case).map_err(|error| Error::Load {
            object: case.program.to_owned(),
            detail: kernel::chain(&error),
        })?;
        expect(case, "action", case.action, action)?;
        expect(case, "event", case.reason, event(ebpf, case)?)?;
    }
    Ok(())
}

fn act(ebpf: &mut Ebpf, case: &Case) -> Result<u32, ProgramError> {
    let mut frame = [0; 64];
    if let Some(ethertype) = frame.get_mut(12..14) {
        ethertype.copy_from_slice(&case.ethertype);
    }
    let options = TestRunOptions {
        data_in: Some(&frame),
        ..TestRunOptions::new()
    };
    let result = match ebpf.program_mut(case.program) {
        Some(Program::Xdp(program)) => program.test_run(options)?,
        Some(Program::SchedClassifier(program)) => program.test_run(options)?,
        _ => return Err(ProgramError::NotLoaded),
    };
    Ok(result.return_value)
}

/// The reason in the event that the last run left, if it left one.
fn event(ebpf: &mut Ebpf, case: &Case) -> Result<Option<DropReason>, Error> {
    let map = ebpf.map_mut(map::EVENTS).ok_or_else(|| Error::Load {
        object: case.program.to_owned(),
        detail: format!("no map {}", map::EVENTS),
    })?;
    let mut events = RingBuf::try_from(map).map_err(|error| Error::Load {
        object: case.program.to_owned(),
        detail: kernel::chain(&error),
    })?;
    let Some(event) = events.next() else {
        return Ok(None);
    };
    let record = DropRecord::read_from_bytes(&event).map_err(|_| {
        mismatch(
            case,
            "a drop record".to_owned(),
            format!("{} bytes", event.len()),
        )
    })?;
    expect(
        case,
        "event type",
        NotifyType::Drop as u8,
        record.notify.head.r#type,
    )?;
    Ok(DropReason::from_code(record.notify.head.subtype))
}

fn expect<T: PartialEq + std::fmt::Debug>(
    case: &Case,
    what: &str,
    expected: T,
    got: T,
) -> Result<(), Error> {
    if expected == got {
        Ok(())
    } else {
        Err(mismatch(
            case,
            format!("{what} {expected:?}"),
            format!("{got:?}"),
        ))
    }
}

fn mismatch(case: &Case, expected: String, got: String) -> Error {
    Error::Smoke {
        program: case.program,
        case: case.name,
        expected,
        got,
    }
}
