//! A program that uses what a map of things holds: an inner map, a program, a device, a socket.

use twinpath_machine::isa::Insn;
use twinpath_machine::{HelperId, MapDef, MapType};

use super::asm::{Width, cond, exit, jump_k, ldx, mov, movr, st, stx};
use super::program::{FLAGS, KEY, OP, OUT, RESULT, VALUE, add, call, call_with, copy, start};

/// The program; none for types that programs of this kind do nothing with. The second key is where
/// others have the value.
pub fn build(def: &MapDef, control: i32, map: i32) -> Option<Vec<Insn>> {
    let at = |offset: i16| [movr(2, 6), add(2, offset)];
    let lookup = |offset| call_with(map, HelperId::MAP_LOOKUP_ELEM, &at(offset));
    let mut insns = start(control);
    match def.kind {
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            insns.extend(lookup(KEY));
            let mut inner = vec![movr(1, 0), st(Width::W, 10, -4, 0), movr(2, 10), add(2, -4)];
            inner.push(call(HelperId::MAP_LOOKUP_ELEM));
            // What was there, and one more.
            let count = [
                ldx(Width::D, 1, 0, 0),
                stx(Width::D, 6, OUT, 1),
                add(1, 1),
                stx(Width::D, 0, 0, 1),
                mov(0, 1),
            ];
            inner.push(jump_k(true, cond::JEQ, 0, 0, count.len() as i16));
            inner.extend(count);
            insns.push(jump_k(true, cond::JEQ, 0, 0, inner.len() as i16));
            insns.extend(inner);
        }
        MapType::ProgArray => {
            let mut tail = vec![movr(1, 8)];
            tail.extend(call_with(
                map,
                HelperId::TAIL_CALL,
                &[ldx(Width::W, 3, 6, KEY)],
            ));
            // The map goes into r2 here.
            tail[1].dst = 2;
            insns.extend(tail);
            insns.push(mov(0, 7));
        }
        MapType::DevMap | MapType::DevMapHash | MapType::XskMap => {
            insns.extend(lookup(KEY));
            let mut copied = copy((6, OUT), (0, 0), def.value_size as i16);
            copied.push(mov(0, 1));
            insns.push(jump_k(true, cond::JEQ, 0, 0, copied.len() as i16));
            insns.extend(copied);
        }
        MapType::SockMap | MapType::SockHash => {
            let delete = call_with(map, HelperId::MAP_DELETE_ELEM, &at(VALUE));
            let mut found = vec![movr(9, 0)];
            let [first, second] = at(VALUE);
            let setup = [first, second, movr(3, 9), ldx(Width::D, 4, 6, FLAGS)];
            found.extend(call_with(map, HelperId::MAP_UPDATE_ELEM, &setup));
            found.extend([
                stx(Width::D, 6, OUT, 0),
                movr(1, 9),
                call(HelperId::SK_RELEASE),
                mov(0, 1),
            ]);
            // Every other operation deletes.
            insns.extend([
                ldx(Width::W, 7, 6, OP),
                jump_k(true, cond::JSET, 7, 1, delete.len() as i16 + 1),
            ]);
            insns.extend(delete);
            let rest = lookup(KEY).len() + 1 + found.len();
            insns.push(super::asm::ja(rest as i16));
            insns.extend(lookup(KEY));
            insns.push(jump_k(true, cond::JEQ, 0, 0, found.len() as i16));
            insns.extend(found);
        }
        _ => return None,
    }
    insns.extend([stx(Width::D, 6, RESULT, 0), mov(0, 0), exit()]);
    Some(insns)
}

/// A program to call by its place in an array: it returns its number.
pub fn target(number: usize) -> [Insn; 2] {
    [mov(0, 100 + number as i32), exit()]
}
