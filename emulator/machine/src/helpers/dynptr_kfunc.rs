//! The kernel's functions on dynptrs (`bpf_dynptr_*` in `kernel/bpf/helpers.c`).

use super::{Call, Dynptr, DynptrData, HelperId};
use crate::errno::Errno;
use crate::fault::Access;
use crate::memory::{Checked, Object, ObjectKind};
use crate::program::ProgramType;

/// The functions of this module. Slices of packets are the environment's.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::DYNPTR_SLICE,
    HelperId::DYNPTR_SLICE_RDWR,
    HelperId::DYNPTR_ADJUST,
    HelperId::DYNPTR_IS_NULL,
    HelperId::DYNPTR_IS_RDONLY,
    HelperId::DYNPTR_SIZE,
    HelperId::DYNPTR_CLONE,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    match call.helper {
        HelperId::DYNPTR_SLICE => slice(call, false).transpose(),
        HelperId::DYNPTR_SLICE_RDWR => slice(call, true).transpose(),
        HelperId::DYNPTR_ADJUST => Some(adjust(call)),
        HelperId::DYNPTR_IS_NULL => Some(ask(call, |dynptr| {
            u64::from(dynptr.data == DynptrData::Null)
        })),
        HelperId::DYNPTR_IS_RDONLY => Some(ask(call, |dynptr| {
            u64::from(dynptr.data != DynptrData::Null && dynptr.read_only)
        })),
        HelperId::DYNPTR_SIZE => Some(ask(call, |dynptr| match dynptr.data {
            // An error as the function's type has it, 32 bits.
            DynptrData::Null => u64::from(-Errno::EINVAL.get() as u32),
            _ => u64::from(dynptr.size),
        })),
        HelperId::DYNPTR_CLONE => Some(clone(call)),
        _ => None,
    }
}

fn ask(call: &mut Call<'_>, answer: fn(&Dynptr) -> u64) -> Checked<u64> {
    Ok(answer(&call.dynptr(1)?))
}

/// `bpf_dynptr_adjust(p, start, end)`
fn adjust(call: &mut Call<'_>) -> Checked<u64> {
    let dynptr = call.dynptr(1)?;
    let (start, end) = (call.arg(2) as u32, call.arg(3) as u32);
    let errno = |errno: Errno| u64::from(-errno.get() as u32);
    if dynptr.data == DynptrData::Null || start > end {
        return Ok(errno(Errno::EINVAL));
    }
    if end > dynptr.size {
        return Ok(errno(Errno::ERANGE));
    }
    call.change_dynptr(&dynptr, |dynptr| {
        dynptr.offset += start;
        dynptr.size = end - start;
    });
    Ok(0)
}

/// `bpf_dynptr_clone(p, clone)`
fn clone(call: &mut Call<'_>) -> Checked<u64> {
    let dynptr = call.dynptr(1)?;
    call.put_dynptr(2, dynptr)?;
    Ok(match dynptr.data {
        DynptrData::Null => u64::from(-Errno::EINVAL.get() as u32),
        _ => 0,
    })
}

/// `bpf_dynptr_slice(p, offset, buffer, size)`; none when it is a packet's.
fn slice(call: &mut Call<'_>, writable: bool) -> Checked<Option<u64>> {
    let Some(asked) = call.asked_slice(writable)? else {
        call.machine.memory.note_null(call.helper, call.at);
        return Ok(Some(0));
    };
    let Some(address) = asked.dynptr.address() else {
        return Ok(None);
    };
    let at = address + call.arg(2) as u32;
    Ok(Some(call.slice(&asked.dynptr, at, asked.len, writable)))
}

/// Whether programs of a type may write packets, without which the verifier refuses
/// `bpf_dynptr_slice_rdwr` of any dynptr (`may_access_direct_pkt_data`).
pub const fn may_write_packets(kind: ProgramType) -> bool {
    use ProgramType as P;
    matches!(
        kind,
        P::Xdp | P::SchedCls | P::SchedAct | P::LwtXmit | P::SkSkb | P::SkMsg | P::CgroupSockopt
    )
}

/// What a call asks a slice of.
#[derive(Debug, Clone, Copy)]
pub struct AskedSlice {
    /// The dynptr.
    pub dynptr: Dynptr,
    /// Where in the dynptr's data the slice begins, in bytes.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
    /// Guest address of the program's buffer for bytes that do not lie in a row.
    pub buffer: Option<u32>,
}

impl Call<'_> {
    /// What `bpf_dynptr_slice` or `bpf_dynptr_slice_rdwr` is asked for; none when the answer is null
    /// wherever the data are.
    ///
    /// # Errors
    /// When an argument is not what it should be.
    pub fn asked_slice(&mut self, writable: bool) -> Checked<Option<AskedSlice>> {
        if writable && !may_write_packets(self.program.kind) {
            let problem = format!("{} programs may not write packets", self.program.kind);
            return Err(self.refuse(1, problem));
        }
        let dynptr = self.dynptr(1)?;
        let len = self.size(4)?;
        let buffer = match self.arg(3) {
            0 => None,
            _ => Some(self.range(3, len, Access::Write)?),
        };
        let offset = self.arg(2) as u32;
        let refused = dynptr.data == DynptrData::Null
            || (writable && dynptr.read_only)
            || dynptr.check(offset, len).is_err();
        Ok((!refused).then(|| AskedSlice {
            dynptr,
            offset: dynptr.offset + offset,
            len,
            buffer,
        }))
    }

    /// A pointer to a slice of the packet, which a helper that moves the packet makes stale.
    pub fn packet_slice(&mut self, address: u32, len: u32, writable: bool) -> u64 {
        let slice = Object::new(ObjectKind::Packet, address, len, self.at);
        let slice = if writable { slice } else { slice.read_only() };
        self.machine.memory.push_packet_slice(slice).0
    }

    /// A pointer to a copy of a slice in the program's buffer.
    pub fn copied_slice(&mut self, buffer: u32, len: u32, writable: bool) -> u64 {
        let kind = ObjectKind::Buffer("the copy of a slice of a dynptr");
        let copy = Object::new(kind, buffer, len, self.at);
        let copy = if writable { copy } else { copy.read_only() };
        self.machine.memory.push(copy).0
    }
}
