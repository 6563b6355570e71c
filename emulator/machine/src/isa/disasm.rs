//! Instructions as text, as the kernel's verifier prints them (`kernel/bpf/disasm.c`).

use super::insn::{self, Insn, SOURCE_X, class, pseudo};
use crate::helpers::HelperId;

/// An instruction as text. `next` is the slot after it, which of a 64-bit immediate load holds the
/// upper half.
pub fn disassemble(insn: Insn, next: Option<Insn>) -> String {
    disassemble_named(insn, next, None)
}

/// The same, with `name` in the place of what a 64-bit immediate load or a call refers to.
pub fn disassemble_named(insn: Insn, next: Option<Insn>, name: Option<&str>) -> String {
    let text = match insn.class() {
        class::ALU | class::ALU64 => alu(insn),
        class::JMP | class::JMP32 => jump(insn, name),
        class::LD => load_immediate(insn, next, name),
        class::LDX => load(insn),
        class::ST => store_immediate(insn),
        _ => store_register(insn),
    };
    text.unwrap_or_else(|| format!("unknown instruction {:#04x}", insn.code))
}

const OPERATIONS: [&str; 13] = [
    "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=",
];
const CONDITIONS: [&str; 14] = [
    "", "==", ">", ">=", "&", "!=", "s>", "s>=", "", "", "<", "<=", "s<", "s<=",
];

/// The letter before a register's number: `w` for the lower half.
fn letter(insn: Insn) -> char {
    match insn.class() {
        class::ALU | class::JMP32 => 'w',
        _ => 'r',
    }
}

fn alu(insn: Insn) -> Option<String> {
    let operation = insn.code >> 4;
    let (letter, dst, src) = (letter(insn), insn.dst, insn.src);
    let by_register = insn.code & SOURCE_X != 0;
    if operation == 0xd {
        let name = match (insn.class(), by_register) {
            (class::ALU, false) => "le",
            (class::ALU, true) => "be",
            (_, false) => "bswap",
            _ => return None,
        };
        return Some(format!("r{dst} = {name}{} r{dst}", insn.imm));
    }
    if operation == 8 {
        return (!by_register).then(|| format!("{letter}{dst} = -{letter}{dst}"));
    }
    let sign = match (operation, insn.off) {
        (3 | 9, 1) => "s",
        _ => "",
    };
    let text = OPERATIONS.get(usize::from(operation))?;
    if !by_register {
        return Some(format!("{letter}{dst} {sign}{text} {}", insn.imm));
    }
    let cast = match (operation, insn.off) {
        (0xb, 8) => "(s8)",
        (0xb, 16) => "(s16)",
        (0xb, 32) => "(s32)",
        (0xb, 1) if insn.class() == class::ALU64 => {
            let (to, from) = (insn.imm as u32 >> 16, insn.imm as u32 & 0xffff);
            return Some(format!("r{dst} = addr_space_cast(r{src}, {to}, {from})"));
        }
        _ => "",
    };
    Some(format!("{letter}{dst} {sign}{text} {cast}{letter}{src}"))
}

fn jump(insn: Insn, name: Option<&str>) -> Option<String> {
    let wide = insn.class() == class::JMP;
    let by_register = insn.code & SOURCE_X != 0;
    let (letter, dst, off) = (letter(insn), insn.dst, insn.off);
    match (insn.code >> 4, wide, by_register) {
        (0, true, false) => Some(format!("goto pc{off:+}")),
        (0, true, true) => Some(format!("gotox r{dst}")),
        (0, false, false) => Some(format!("gotol pc{:+}", insn.imm)),
        (8, true, _) => Some(call(insn, name)),
        (9, true, false) => Some("exit".to_owned()),
        (0xe, true, false) => Some(format!("may_goto pc{off:+}")),
        (operation, _, _) => {
            let condition = CONDITIONS
                .get(usize::from(operation))
                .filter(|text| !text.is_empty())?;
            Some(if by_register {
                format!(
                    "if {letter}{dst} {condition} {letter}{} goto pc{off:+}",
                    insn.src
                )
            } else {
                format!(
                    "if {letter}{dst} {condition} {:#x} goto pc{off:+}",
                    insn.imm
                )
            })
        }
    }
}

fn call(insn: Insn, name: Option<&str>) -> String {
    if insn.code == insn::CALLX {
        let register = if insn.imm != 0 {
            insn.imm
        } else {
            i32::from(insn.dst)
        };
        return format!("callx r{register}");
    }
    match (insn.src, name) {
        (pseudo::CALL, Some(name)) => format!("call {name}"),
        (pseudo::CALL, None) => format!("call pc{:+}", insn.imm),
        (pseudo::KFUNC_CALL, Some(name)) => format!("call {name}"),
        (pseudo::KFUNC_CALL, None) => format!("call kernel-function#{}", insn.imm),
        _ => {
            let helper = HelperId(insn.imm as u32);
            match helper.name() {
                Some(helper) => format!("call bpf_{helper}#{}", insn.imm),
                None => format!("call unknown#{}", insn.imm),
            }
        }
    }
}

/// The type of an access of this width.
fn width(insn: Insn, signed: bool) -> &'static str {
    match (insn.code & 0x18, signed) {
        (0x00, false) => "u32",
        (0x08, false) => "u16",
        (0x10, false) => "u8",
        (_, false) => "u64",
        (0x00, true) => "s32",
        (0x08, true) => "s16",
        (0x10, true) => "s8",
        (_, true) => "s64",
    }
}

fn load_immediate(insn: Insn, next: Option<Insn>, name: Option<&str>) -> Option<String> {
    let width = width(insn, false);
    match insn.code & 0xe0 {
        0x20 if insn.code != 0x38 => Some(format!("r0 = *({width} *)skb[{}]", insn.imm)),
        0x40 if insn.code != 0x58 => Some(format!(
            "r0 = *({width} *)skb[r{} + {}]",
            insn.src, insn.imm
        )),
        0x00 if insn.is_wide() => {
            let (dst, low) = (insn.dst, insn.imm as u32);
            let high = next.map_or(0, |next| next.imm as u32);
            let value = match (insn.src, name) {
                (0, None) => format!("{:#x}", u64::from(low) | u64::from(high) << 32),
                (_, Some(name)) => name.to_owned(),
                (pseudo::MAP_FD, _) => format!("map[{low}]"),
                (pseudo::MAP_VALUE, _) => format!("map[{low}][0]+{high}"),
                (pseudo::BTF_ID, _) => format!("variable[{low}]"),
                (pseudo::FUNC, _) => format!("subprog[{:+}]", insn.imm),
                (kind, _) => format!("pseudo {kind} {low:#x} {high:#x}"),
            };
            Some(format!("r{dst} = {value}"))
        }
        _ => None,
    }
}

fn load(insn: Insn) -> Option<String> {
    let signed = match insn.code & 0xe0 {
        0x60 => false,
        0x80 if insn.code & 0x18 != 0x18 => true,
        _ => return None,
    };
    let width = width(insn, signed);
    Some(format!(
        "r{} = *({width} *)(r{} {:+})",
        insn.dst, insn.src, insn.off
    ))
}

fn store_immediate(insn: Insn) -> Option<String> {
    let width = width(insn, false);
    (insn.code & 0xe0 == 0x60)
        .then(|| format!("*({width} *)(r{} {:+}) = {}", insn.dst, insn.off, insn.imm))
}

fn store_register(insn: Insn) -> Option<String> {
    let (width, dst, src, off) = (width(insn, false), insn.dst, insn.src, insn.off);
    let place = format!("({width} *)(r{dst} {off:+})");
    if insn.code & 0xe0 == 0x60 {
        return Some(format!("*{place} = r{src}"));
    }
    let bits = match insn.code {
        0xdb => "64",
        0xc3 => "",
        0xcb | 0xd3 if insn.imm >= 0x100 => "",
        _ => return None,
    };
    Some(match insn.imm {
        0x00 => format!("lock *{place} += r{src}"),
        0x40 => format!("lock *{place} |= r{src}"),
        0x50 => format!("lock *{place} &= r{src}"),
        0xa0 => format!("lock *{place} ^= r{src}"),
        0x01 => format!("r{src} = atomic{bits}_fetch_add({place}, r{src})"),
        0x41 => format!("r{src} = atomic{bits}_fetch_or({place}, r{src})"),
        0x51 => format!("r{src} = atomic{bits}_fetch_and({place}, r{src})"),
        0xa1 => format!("r{src} = atomic{bits}_fetch_xor({place}, r{src})"),
        0xe1 => format!("r{src} = atomic{bits}_xchg({place}, r{src})"),
        0xf1 => format!("r0 = atomic{bits}_cmpxchg({place}, r0, r{src})"),
        0x100 => format!("r{dst} = load_acquire(({width} *)(r{src} {off:+}))"),
        0x110 => format!("store_release({place}, r{src})"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
        Insn {
            code,
            dst,
            src,
            off,
            imm,
        }
    }

    #[test]
    fn instructions_as_text() {
        let cases = [
            (insn(0x79, 6, 1, 0, 0), "r6 = *(u64 *)(r1 +0)"),
            (insn(0x91, 6, 1, -4, 0), "r6 = *(s8 *)(r1 -4)"),
            (insn(0x15, 0, 0, 3, 0), "if r0 == 0x0 goto pc+3"),
            (insn(0xc6, 2, 0, -3, -1), "if w2 s< 0xffffffff goto pc-3"),
            (insn(0x2d, 2, 3, 7, 0), "if r2 > r3 goto pc+7"),
            (insn(0x85, 0, 0, 0, 1), "call bpf_map_lookup_elem#1"),
            (insn(0x85, 0, 0, 0, 195_896_080), "call unknown#195896080"),
            (insn(0x85, 0, 1, 0, 5), "call pc+5"),
            (insn(0x8d, 3, 0, 0, 0), "callx r3"),
            (insn(0x95, 0, 0, 0, 0), "exit"),
            (insn(0x05, 0, 0, -2, 0), "goto pc-2"),
            (insn(0x06, 0, 0, 0, 70_000), "gotol pc+70000"),
            (insn(0xe5, 0, 0, 4, 0), "may_goto pc+4"),
            (insn(0x07, 2, 0, 0, -4), "r2 += -4"),
            (insn(0x04, 2, 0, 0, 4), "w2 += 4"),
            (insn(0xbf, 2, 10, 0, 0), "r2 = r10"),
            (insn(0xbf, 2, 3, 16, 0), "r2 = (s16)r3"),
            (insn(0x3f, 2, 3, 1, 0), "r2 s/= r3"),
            (insn(0x94, 2, 0, 1, 3), "w2 s%= 3"),
            (insn(0xc7, 2, 0, 0, 3), "r2 s>>= 3"),
            (insn(0x87, 2, 0, 0, 0), "r2 = -r2"),
            (insn(0xdc, 2, 0, 0, 16), "r2 = be16 r2"),
            (insn(0xd4, 2, 0, 0, 64), "r2 = le64 r2"),
            (insn(0xd7, 2, 0, 0, 32), "r2 = bswap32 r2"),
            (
                insn(0xbf, 2, 3, 1, 0x1_0000),
                "r2 = addr_space_cast(r3, 1, 0)",
            ),
            (insn(0x7a, 10, 0, -8, 5), "*(u64 *)(r10 -8) = 5"),
            (insn(0x6b, 10, 1, -8, 0), "*(u16 *)(r10 -8) = r1"),
            (insn(0xdb, 0, 1, 0, 0), "lock *(u64 *)(r0 +0) += r1"),
            (
                insn(0xdb, 0, 1, 0, 1),
                "r1 = atomic64_fetch_add((u64 *)(r0 +0), r1)",
            ),
            (
                insn(0xc3, 0, 1, 4, 0xf1),
                "r0 = atomic_cmpxchg((u32 *)(r0 +4), r0, r1)",
            ),
            (
                insn(0xd3, 0, 1, 4, 0x100),
                "r0 = load_acquire((u8 *)(r1 +4))",
            ),
            (
                insn(0xdb, 0, 1, 4, 0x110),
                "store_release((u64 *)(r0 +4), r1)",
            ),
            (insn(0x28, 0, 0, 0, 12), "r0 = *(u16 *)skb[12]"),
            (insn(0x50, 0, 7, 0, 12), "r0 = *(u8 *)skb[r7 + 12]"),
            (insn(0x18, 1, 0, 0, -1), "r1 = 0x5ffffffff"),
            (insn(0x18, 1, 1, 0, 7), "r1 = map[7]"),
            (insn(0x18, 1, 2, 0, 7), "r1 = map[7][0]+5"),
            (insn(0x18, 1, 4, 0, 7), "r1 = subprog[+7]"),
            (insn(0xff, 1, 4, 0, 7), "unknown instruction 0xff"),
            (insn(0xd3, 0, 1, 4, 0x01), "unknown instruction 0xd3"),
        ];
        for (insn, expected) in cases {
            assert_eq!(disassemble(insn, Some(self::insn(0, 0, 0, 0, 5))), expected);
        }
        let map = insn(0x18, 1, 1, 0, 7);
        assert_eq!(
            disassemble_named(map, None, Some("map[counts]")),
            "r1 = map[counts]"
        );
    }

    /// Whatever decodes has a text.
    #[test]
    fn every_instruction_that_decodes_has_a_text() {
        for code in 0..=255u8 {
            for imm in [0, 1, 16, 0xa1, 0xf1, 0x100, 0x110] {
                for (off, src) in [(0, 0), (0, 1), (1, 1), (8, 1), (0, pseudo::CALL)] {
                    let wide = if code == insn::LD_IMM64 { 2 } else { 1 };
                    let mut insns = vec![insn(code, 1, src, off, imm), Insn::default()];
                    insns.truncate(wide);
                    insns.push(insn(0xb7, 0, 0, 0, 0));
                    insns.push(insn(insn::EXIT, 0, 0, 0, 0));
                    if super::super::decode(&insns, &|_, _, _| Some(0)).is_ok() {
                        let text = disassemble(insns[0], Some(insns[1]));
                        assert!(!text.starts_with("unknown"), "{:?}", insns[0]);
                    }
                }
            }
        }
    }
}
