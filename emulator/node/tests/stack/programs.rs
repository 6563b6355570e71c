//! Small programs at hooks, the same in both worlds.

use std::net::IpAddr;

use twinpath_machine::ProgramType;
use twinpath_machine::isa::Insn;
use twinpath_node::HookKind;

use super::asm::{Width, call, exit, mov, movr, st, stx};
use super::net::Port;

/// What a program does with a packet.
#[derive(Debug, Clone)]
pub enum Act {
    /// `XDP_PASS`, `TCX_NEXT`
    Pass,
    /// `XDP_DROP`, `TC_ACT_SHOT`
    Drop,
    /// Another verdict of the hook.
    Verdict(i32),
    /// Sends it by the device of this index.
    Redirect(u32),
    /// Lets the device of this index receive it.
    RedirectIngress(u32),
    /// Sends a copy by the device of this index.
    Clone(u32),
    /// Sends it to its next hop by the device of this index.
    RedirectNeighbour(u32),
    /// Marks it.
    Mark(u32),
    /// Says how it is to be tunnelled, and sends it by the tunnel of this index.
    Tunnel(Key, u32),
    /// Writes the key that it came with over the end of a UDP datagram's data, which is at this offset of
    /// the frame, and passes it. Packets without a key are dropped.
    ShowKey { at: u32, ipv6: bool },
}

/// `struct bpf_tunnel_key`, and flags of `bpf_skb_set_tunnel_key`.
#[derive(Debug, Clone)]
pub struct Key {
    pub vni: u32,
    pub remote: IpAddr,
    pub tos: u8,
    pub ttl: u8,
    pub flags: i32,
}

/// A program at a hook.
#[derive(Debug, Clone)]
pub struct Attachment {
    pub port: Port,
    pub hook: HookKind,
    pub act: Act,
}

const KEY: i16 = 44;

mod helper {
    pub const SKB_STORE_BYTES: i32 = 9;
    pub const CLONE_REDIRECT: i32 = 13;
    pub const SKB_GET_TUNNEL_KEY: i32 = 20;
    pub const SKB_SET_TUNNEL_KEY: i32 = 21;
    pub const REDIRECT: i32 = 23;
    pub const REDIRECT_NEIGH: i32 = 152;
}

impl Attachment {
    pub fn is_xdp(&self) -> bool {
        matches!(self.hook, HookKind::Xdp | HookKind::XdpGeneric)
    }

    pub fn program_type(&self) -> ProgramType {
        match self.is_xdp() {
            true => ProgramType::Xdp,
            false => ProgramType::SchedCls,
        }
    }

    /// `enum bpf_attach_type`, and flags of an XDP link.
    pub fn kernel_hook(&self) -> (u32, u32) {
        const XDP: u32 = 37;
        const SKB_MODE: u32 = 2;
        const DRIVER_MODE: u32 = 4;
        match self.hook {
            HookKind::Xdp => (XDP, DRIVER_MODE),
            HookKind::XdpGeneric => (XDP, SKB_MODE),
            HookKind::TcxIngress => (46, 0),
            HookKind::TcxEgress => (47, 0),
            other => panic!("{other} is attached to by netlink"),
        }
    }

    pub fn instructions(&self) -> Vec<Insn> {
        let (pass, drop) = if self.is_xdp() { (2, 1) } else { (-1, 2) };
        let simple = |verdict| vec![mov(0, verdict), exit()];
        let two = |helper, ifindex: u32, flags| {
            vec![mov(1, ifindex as i32), mov(2, flags), call(helper), exit()]
        };
        match &self.act {
            Act::Pass => simple(pass),
            Act::Drop => simple(drop),
            Act::Verdict(verdict) => simple(*verdict),
            Act::Redirect(to) => two(helper::REDIRECT, *to, 0),
            Act::RedirectIngress(to) => two(helper::REDIRECT, *to, 1),
            Act::Clone(to) => vec![
                mov(2, *to as i32),
                mov(3, 0),
                call(helper::CLONE_REDIRECT),
                mov(0, pass),
                exit(),
            ],
            Act::RedirectNeighbour(to) => vec![
                mov(1, *to as i32),
                mov(2, 0),
                mov(3, 0),
                mov(4, 0),
                call(helper::REDIRECT_NEIGH),
                exit(),
            ],
            Act::Mark(mark) => {
                const MARK: i16 = 8;
                vec![
                    mov(2, *mark as i32),
                    stx(Width::W, 1, MARK, 2),
                    mov(0, pass),
                    exit(),
                ]
            }
            Act::Tunnel(key, to) => tunnel(key, *to),
            Act::ShowKey { at, ipv6 } => show_key(*at, *ipv6),
        }
    }
}

/// The address of the key on the stack.
fn key_address(insns: &mut Vec<Insn>, register: u8) {
    insns.push(movr(register, 10));
    insns.push(super::asm::alu_k(
        true,
        super::asm::op::ADD,
        register,
        -i32::from(KEY),
        0,
    ));
}

fn tunnel(key: &Key, to: u32) -> Vec<Insn> {
    let mut bytes = [0u8; KEY as usize];
    bytes[..4].copy_from_slice(&key.vni.to_le_bytes());
    match key.remote {
        IpAddr::V4(remote) => bytes[4..8].copy_from_slice(&remote.to_bits().to_le_bytes()),
        IpAddr::V6(remote) => bytes[4..20].copy_from_slice(&remote.octets()),
    }
    (bytes[20], bytes[21]) = (key.tos, key.ttl);
    let mut insns = vec![movr(6, 1)];
    for (index, word) in bytes.chunks(4).enumerate() {
        let word = i32::from_le_bytes(word.try_into().unwrap());
        insns.push(st(Width::W, 10, index as i16 * 4 - KEY, word));
    }
    key_address(&mut insns, 2);
    insns.extend([
        mov(3, KEY.into()),
        mov(4, key.flags),
        call(helper::SKB_SET_TUNNEL_KEY),
    ]);
    insns.extend([mov(1, to as i32), mov(2, 0), call(helper::REDIRECT), exit()]);
    insns
}

fn show_key(at: u32, ipv6: bool) -> Vec<Insn> {
    const FLAGS: i32 = 1 << 4;
    let mut insns = vec![movr(6, 1)];
    key_address(&mut insns, 2);
    insns.extend([
        mov(3, KEY.into()),
        mov(4, FLAGS | i32::from(ipv6)),
        call(helper::SKB_GET_TUNNEL_KEY),
        super::asm::jump_k(true, super::asm::cond::JEQ, 0, 0, 2),
        mov(0, 2),
        exit(),
        movr(1, 6),
        mov(2, at as i32),
    ]);
    key_address(&mut insns, 3);
    insns.extend([
        mov(4, KEY.into()),
        mov(5, 0),
        call(helper::SKB_STORE_BYTES),
        mov(0, -1),
        exit(),
    ]);
    insns
}
