//! Helpers that write text: `bpf_trace_printk`, `bpf_trace_vprintk`, `bpf_snprintf`
//! (`kernel/trace/bpf_trace.c`, `kernel/bpf/helpers.c`).

use super::format::{self, Failed, MAX_ARGUMENTS, Out, Prepared, Referred};
use super::{Call, HelperId};
use crate::errno::Errno;
use crate::fault::{Access, FaultKind};
use crate::machine::Printed;
use crate::memory::{Checked, Pointer};

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::TRACE_PRINTK,
    HelperId::TRACE_VPRINTK,
    HelperId::SNPRINTF,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::TRACE_PRINTK => trace_printk(call),
        HelperId::TRACE_VPRINTK => trace_vprintk(call),
        HelperId::SNPRINTF => snprintf(call),
        _ => return None,
    })
}

/// `bpf_trace_printk(fmt, fmt_size, arg1, arg2, arg3)`
fn trace_printk(call: &mut Call<'_>) -> Checked<u64> {
    let format = sized_format(call)?;
    let numbers = [call.arg(3), call.arg(4), call.arg(5)];
    trace(call, format, &numbers)
}

/// `bpf_trace_vprintk(fmt, fmt_size, data, data_len)`
fn trace_vprintk(call: &mut Call<'_>) -> Checked<u64> {
    let format = sized_format(call)?;
    let mut numbers = [0; MAX_ARGUMENTS];
    match arguments(call, 3, &mut numbers)? {
        Some(count) => trace(call, format, &numbers[..count]),
        None => Ok(Errno::EINVAL.into()),
    }
}

/// The format behind the first argument, up to its closing zero; none without one in its size.
fn sized_format(call: &mut Call<'_>) -> Checked<Option<Vec<u8>>> {
    let size = call.nonzero_size(2)?;
    let bytes = call.bytes(1, size)?;
    let end = bytes.iter().position(|&byte| byte == 0);
    Ok(end.map(|end| bytes[..end].to_vec()))
}

/// The 64-bit numbers behind an argument whose size is the next one; none when the kernel refuses the
/// size.
fn arguments(
    call: &mut Call<'_>,
    number: u8,
    into: &mut [u64; MAX_ARGUMENTS],
) -> Checked<Option<usize>> {
    let size = call.size(number + 1)?;
    let is_null = call.arg(number) == 0;
    if size > 0 || !is_null {
        call.range(number, size, Access::Read)?;
    }
    let count = size as usize / 8;
    if !size.is_multiple_of(8) || count > MAX_ARGUMENTS {
        return Ok(None);
    }
    if count > 0 {
        let bytes = call.bytes(number, size)?;
        for (number, bytes) in into.iter_mut().zip(bytes.as_chunks().0) {
            *number = u64::from_le_bytes(*bytes);
        }
    }
    Ok(Some(count))
}

fn trace(call: &mut Call<'_>, format: Option<Vec<u8>>, numbers: &[u64]) -> Checked<u64> {
    /// `MAX_BPRINTF_BUF`
    const LONGEST: usize = 1024;
    let Some(format) = format else {
        return Ok(Errno::EINVAL.into());
    };
    let prepared = match prepare(call, &format, numbers)? {
        Ok(prepared) => prepared,
        Err(errno) => return Ok(errno.into()),
    };
    let mut buffer = [0; LONGEST];
    let mut out = Out::new(&mut buffer);
    prepared.write(&mut out);
    let len = out.len();
    let shown = &buffer[..len.min(LONGEST as u64 - 1) as usize];
    // A zero that %c has written ends the text.
    let shown = shown.split(|&byte| byte == 0).next().unwrap_or_default();
    call.machine.trace.push(Printed {
        program: call.program.name.clone(),
        cpu: call.cpu,
        at_ns: call.machine.clock.monotonic_ns(),
        text: String::from_utf8_lossy(shown).into_owned(),
    });
    Ok(i64::from(len as i32) as u64)
}

/// `bpf_snprintf(str, str_size, fmt, data, data_len)`: the length of the whole text with its zero.
fn snprintf(call: &mut Call<'_>) -> Checked<u64> {
    let size = call.size(2)?;
    let into = match (call.arg(1), size) {
        (0, 0) => None,
        _ => Some(call.range(1, size, Access::Write)?),
    };
    let format = call.constant_string(3)?;
    let mut numbers = [0; MAX_ARGUMENTS];
    let Some(count) = arguments(call, 4, &mut numbers)? else {
        return Ok(Errno::EINVAL.into());
    };
    // The verifier has checked the format.
    if format::check(&format, count).is_err() {
        let text = String::from_utf8_lossy(&format);
        let problem = format!("the format {text:?} is not valid for {count} arguments");
        return Err(call.refuse(3, problem));
    }
    let prepared = match prepare(call, &format, &numbers[..count])? {
        Ok(prepared) => prepared,
        Err(errno) => return Ok(errno.into()),
    };
    let buffer = match into {
        Some(address) => call.machine.memory.raw_mut(address, size),
        None => &mut [],
    };
    let mut out = Out::new(buffer);
    prepared.write(&mut out);
    Ok(i64::from(out.len() as i32 + 1) as u64)
}

/// The first walk over a format.
fn prepare<'f>(
    call: &mut Call<'_>,
    format: &'f [u8],
    numbers: &[u64],
) -> Checked<Result<Prepared<'f>, Errno>> {
    match format::prepare(format, numbers, &mut Guest(call)) {
        Ok(prepared) => Ok(Ok(prepared)),
        Err(Failed::Errno(errno)) => Ok(Err(errno)),
        Err(Failed::Stop(fault)) => Err(fault),
        Err(Failed::Overflow) => {
            let what = format!("{} of more than 512 bytes of arguments", call.helper);
            Err(Box::new(FaultKind::Unsupported(what)))
        }
    }
}

/// What pointers among the arguments point to.
struct Guest<'c, 'm>(&'c mut Call<'m>);

impl Referred for Guest<'_, '_> {
    type Stop = Box<FaultKind>;

    fn string(&mut self, pointer: u64, most: usize, into: &mut Vec<u8>) -> Checked<()> {
        let memory = &mut self.0.machine.memory;
        let start = into.len();
        // The kernel reads on behind the object; nobody can say what it finds there.
        while into.len() - start < most {
            let at = pointer.wrapping_add((into.len() - start) as u64);
            let Some(address) = memory.peek(Pointer(at), 1, self.0.at)? else {
                break;
            };
            match memory.raw(address, 1)[0] {
                0 => break,
                byte => into.push(byte),
            }
        }
        Ok(())
    }

    fn bytes(&mut self, pointer: u64, into: &mut [u8]) -> Checked<()> {
        let memory = &mut self.0.machine.memory;
        let len = into.len() as u32;
        if let Some(address) = memory.peek(Pointer(pointer), len, self.0.at)? {
            into.copy_from_slice(memory.raw(address, len));
        }
        Ok(())
    }
}
