//! `bpf_perf_event_output` (`kernel/trace/bpf_trace.c`, `net/core/filter.c`).

use super::{Call, HelperId};
use crate::errno::Errno;
use crate::fault::Access;
use crate::machine::Environment;
use crate::memory::Checked;
use crate::program::ProgramType;

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[HelperId::PERF_EVENT_OUTPUT];

/// `BPF_F_INDEX_MASK`, whose highest value stands for the current CPU.
const INDEX: u64 = u32::MAX as u64;
/// `BPF_F_CTXLEN_MASK`: how many bytes of the packet follow the program's own.
const PACKET: u64 = 0xf_ffff << 32;

pub(super) fn call(call: &mut Call<'_>, environment: &mut dyn Environment) -> Option<Checked<u64>> {
    match call.helper {
        HelperId::PERF_EVENT_OUTPUT => Some(output(call, environment)),
        _ => None,
    }
}

fn output(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    call.context(1)?;
    let map = call.map_for_helper(2)?;
    let flags = call.arg(3);
    let size = call.size(5)?;
    let from = call.range(4, size, Access::Read)?;
    let (allowed, packet) = match has_packet(call.program.kind) {
        true => (INDEX | PACKET, ((flags & PACKET) >> 32) as u32),
        false => (INDEX, 0),
    };
    if flags & !allowed != 0 {
        return Ok(Errno::EINVAL.into());
    }
    let index = match flags & INDEX {
        INDEX => call.cpu.0,
        index => index as u32,
    };
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let mut events = machine.maps[map].take_buffer();
    let start = events.len();
    events.extend_from_slice(machine.memory.raw(from, size));
    let whole = packet == 0 || environment.packet_bytes(machine, packet, &mut events);
    let events = (events, start);
    let done = match whole {
        true => machine.maps[map].send_event(index, call.cpu, events),
        false => machine.maps[map].drop_event(events),
    };
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// Whether the context of a program type is a packet, of which bytes can be sent along.
const fn has_packet(kind: ProgramType) -> bool {
    matches!(
        kind,
        ProgramType::SocketFilter
            | ProgramType::SchedCls
            | ProgramType::SchedAct
            | ProgramType::Xdp
            | ProgramType::CgroupSkb
            | ProgramType::LwtIn
            | ProgramType::LwtOut
            | ProgramType::LwtXmit
            | ProgramType::LwtSeg6Local
            | ProgramType::SkSkb
    )
}
