//! `bpf_check_mtu`.

use twinpath_machine::memory::Memory;
use twinpath_machine::{Access, Call, Checked, Errno};

use crate::net::{DeviceId, Net, Placed};
use crate::packet::{ETH_HLEN, Skb, Xdp};

/// `BPF_MTU_CHK_SEGS`: check the segments of the packet.
const SEGMENTS: u64 = 1;
/// `BPF_MTU_CHK_RET_SUCCESS`
const FITS: u64 = 0;
/// `BPF_MTU_CHK_RET_FRAG_NEEDED`
const TOO_LONG: u64 = 1;
/// `BPF_MTU_CHK_RET_SEGS_TOOBIG`
const SEGMENTS_TOO_LONG: u64 = 2;

/// What the arguments say: the device's MTU, and the length to check, with the link-layer header.
struct Check {
    mtu: u32,
    len: i32,
    result: u32,
}

impl Check {
    fn fits(&self) -> bool {
        self.len <= (self.mtu + ETH_HLEN) as i32
    }

    /// Stores the MTU where the program wants it.
    fn answer(&self, memory: &mut Memory, result: u64) -> u64 {
        memory
            .raw_mut(self.result, 4)
            .copy_from_slice(&self.mtu.to_le_bytes());
        result
    }
}

/// The device of an index in the packet's namespace; the packet's own for 0.
fn device<P: Placed>(packet: &P, net: &Net, index: u32) -> Option<DeviceId> {
    match index {
        0 => Some(packet.device()),
        index => net.find(packet.node(net), index),
    }
}

fn check<P: Placed>(
    packet: &P,
    net: &Net,
    call: &mut Call<'_>,
    len: u32,
    allowed: u64,
) -> Checked<Result<Check, Errno>> {
    call.context(1)?;
    let result = call.range(3, 4, Access::Write)?;
    let bytes = call.machine.memory.raw(result, 4);
    let given = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let (by, flags) = (call.arg(4) as i32, call.arg(5));
    if flags & !allowed != 0 || (flags & SEGMENTS != 0 && (by != 0 || given != 0)) {
        return Ok(Err(Errno::EINVAL));
    }
    let Some(device) = device(packet, net, call.arg(2) as u32) else {
        return Ok(Err(Errno::ENODEV));
    };
    let mtu = net.device(device).mtu;
    let len = match given {
        0 => len,
        given => given.wrapping_add(ETH_HLEN),
    };
    let len = (len as i32).wrapping_add(by);
    Ok(Ok(Check { mtu, len, result }))
}

pub(super) fn xdp(xdp: &mut Xdp, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let len = xdp.frame.linear();
    Ok(match check(xdp, net, call, len, 0)? {
        Err(errno) => errno.into(),
        Ok(check) => {
            let result = if check.fits() { FITS } else { TOO_LONG };
            check.answer(&mut call.machine.memory, result)
        }
    })
}

pub(super) fn skb(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let len = skb.frame.len();
    let check = match check(skb, net, call, len, SEGMENTS)? {
        Err(errno) => return Ok(errno.into()),
        Ok(check) => check,
    };
    let memory = &mut call.machine.memory;
    let result = if check.fits() {
        FITS
    } else if skb.gso.size == 0 {
        TOO_LONG
    } else if call.args[4] & SEGMENTS == 0 {
        FITS
    } else {
        match skb.segment_len(memory) {
            None => return Ok(Errno::EINVAL.into()),
            Some(len) if len <= check.mtu => FITS,
            Some(_) => SEGMENTS_TOO_LONG,
        }
    };
    Ok(check.answer(memory, result))
}
