//! Checksum helpers.

use twinpath_machine::{Access, Call, Checked, Errno};

use super::{Answer, answer};
use crate::net::Net;
use crate::packet::checksum::{Sum, replace_2, replace_4, replace_by_difference};
use crate::packet::{Checksum, Skb};

/// The size of the changed field, or 0 for a difference.
const FIELD_MASK: u64 = 0xf;

/// The change of a field, from the third and fourth argument.
#[derive(Clone, Copy)]
enum Change {
    /// `to` is the difference as a sum.
    Difference(Sum),
    Two(u16, u16),
    Four(u32, u32),
}

impl Change {
    fn of(call: &Call<'_>, flags: u64) -> Result<Self, Errno> {
        let (from, to) = (call.arg(3), call.arg(4));
        Ok(match flags & FIELD_MASK {
            0 if from == 0 => Self::Difference(Sum(to as u32)),
            2 => Self::Two(from as u16, to as u16),
            4 => Self::Four(from as u32, to as u32),
            _ => return Err(Errno::EINVAL),
        })
    }
}

/// Guest address of the checksum at the offset in the second argument, made writable.
fn field(skb: &mut Skb, call: &Call<'_>) -> Result<u32, Errno> {
    const MAX_OFFSET: u32 = 0xffff;
    let offset = call.arg(2) as u32;
    if offset > MAX_OFFSET || offset & 1 != 0 || !skb.make_writable(offset + 2) {
        return Err(Errno::EFAULT);
    }
    Ok(skb.frame.data() + offset)
}

fn load(call: &Call<'_>, at: u32) -> u16 {
    let bytes = call.machine.memory.raw(at, 2);
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn store(call: &mut Call<'_>, at: u32, value: u16) {
    let bytes = call.machine.memory.raw_mut(at, 2);
    bytes.copy_from_slice(&value.to_le_bytes());
}

pub(super) fn replace_l3(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(answer(l3(skb, call)))
}

fn l3(skb: &mut Skb, call: &mut Call<'_>) -> Answer {
    let flags = call.arg(5);
    if flags & !FIELD_MASK != 0 {
        return Err(Errno::EINVAL);
    }
    let at = field(skb, call)?;
    let check = load(call, at);
    let check = match Change::of(call, flags)? {
        Change::Difference(difference) => replace_by_difference(check, difference),
        Change::Two(from, to) => replace_2(check, from, to),
        Change::Four(from, to) => replace_4(check, from, to),
    };
    store(call, at, check);
    Ok(0)
}

pub(super) fn replace_l4(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(answer(l4(skb, call)))
}

fn l4(skb: &mut Skb, call: &mut Call<'_>) -> Answer {
    const PSEUDO_HDR: u64 = 1 << 4;
    const MARK_MANGLED_0: u64 = 1 << 5;
    const MARK_ENFORCE: u64 = 1 << 6;
    const IPV6: u64 = 1 << 7;
    let flags = call.arg(5);
    if flags & !(FIELD_MASK | PSEUDO_HDR | MARK_MANGLED_0 | MARK_ENFORCE | IPV6) != 0 {
        return Err(Errno::EINVAL);
    }
    let at = field(skb, call)?;
    let check = load(call, at);
    let mangle = flags & MARK_MANGLED_0 != 0;
    if mangle && flags & MARK_ENFORCE == 0 && check == 0 {
        return Ok(0);
    }
    let pseudo = flags & PSEUDO_HDR != 0;
    let mut check = match Change::of(call, flags)? {
        Change::Difference(by) => l4_difference(skb, check, by, pseudo, flags & IPV6 != 0),
        Change::Two(from, to) => l4_field(skb, check, from.into(), to.into(), pseudo),
        Change::Four(from, to) => l4_field(skb, check, from, to, pseudo),
    };
    if mangle && check == 0 {
        check = 0xffff;
    }
    store(call, at, check);
    Ok(0)
}

/// `inet_proto_csum_replace4`.
fn l4_field(skb: &mut Skb, check: u16, from: u32, to: u32, pseudo: bool) -> u16 {
    let (from_sum, to_sum) = (Sum(from), Sum(to));
    match skb.checksum {
        Checksum::Partial { .. } if pseudo => !Sum::unfold(check).sub(from_sum).add(to_sum).fold(),
        Checksum::Partial { .. } => check,
        state => {
            if state == Checksum::Complete && pseudo {
                skb.sum = !(!skb.sum).sub(from_sum).add(to_sum);
            }
            replace_4(check, from, to)
        }
    }
}

/// `inet_proto_csum_replace_by_diff`.
fn l4_difference(skb: &mut Skb, check: u16, by: Sum, pseudo: bool, ipv6: bool) -> u16 {
    match skb.checksum {
        Checksum::Partial { .. } if pseudo => !by.add(Sum::unfold(check)).fold(),
        Checksum::Partial { .. } => check,
        state => {
            if state == Checksum::Complete && pseudo && !ipv6 {
                skb.sum = !by.sub(skb.sum);
            }
            replace_by_difference(check, by)
        }
    }
}

/// `bpf_csum_diff`: the sum of what is added less what is removed, as 16 bits.
pub(super) fn difference<P>(_packet: &mut P, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let seed = Sum(call.arg(5) as u32);
    let from = summed(call, 1)?;
    let to = summed(call, 3)?;
    let memory = &call.machine.memory;
    let sum = match (from, to) {
        ((_, 0), (_, 0)) => seed,
        ((_, 0), (to, len)) => Sum::of(memory.raw(to, len), seed),
        ((from, len), (_, 0)) => !Sum::of(memory.raw(from, len), !seed),
        ((from, from_len), (to, to_len)) => {
            Sum::of(memory.raw(to, to_len), seed).sub(Sum::of(memory.raw(from, from_len), Sum(0)))
        }
    };
    Ok(u64::from(sum.to_16()))
}

/// A pointer argument and the size after it, which may be null and 0.
fn summed(call: &mut Call<'_>, pointer: u8) -> Checked<(u32, u32)> {
    const MAX: u64 = 1 << 29;
    let len = call.arg(pointer + 1);
    if len >= MAX {
        return Err(call.refuse(pointer + 1, format!("a size of {len:#x} is out of range")));
    }
    let len = len as u32;
    if len == 0 {
        return Ok((0, 0));
    }
    Ok((call.range(pointer, len, Access::Read)?, len))
}

/// `bpf_csum_update`.
pub(super) fn update(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(match skb.checksum {
        Checksum::Complete => {
            skb.sum = skb.sum.add(Sum(call.arg(2) as u32));
            u64::from(skb.sum.0)
        }
        _ => Errno::ENOTSUPP.into(),
    })
}

/// `bpf_csum_level`.
pub(super) fn level(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    const QUERY: u64 = 0;
    const INC: u64 = 1;
    const DEC: u64 = 2;
    const RESET: u64 = 3;
    call.context(1)?;
    match call.arg(2) {
        QUERY => {
            return Ok(match skb.checksum {
                Checksum::Unnecessary(level) => u64::from(level),
                _ => Errno::EACCES.into(),
            });
        }
        INC => skb.raise_checksum_level(),
        DEC => skb.lower_checksum_level(),
        RESET => skb.reset_checksum(),
        _ => return Ok(Errno::EINVAL.into()),
    }
    Ok(0)
}
