//! A program that does with a map what its control block says, and says there what came of it.

use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::{HelperId, MapDef, MapFlags, MapType};

use super::asm::{Width, cond, exit, insn, jump_k, lddw, ldx, mov, movr, st, stx};

/// Bytes of the control block.
pub const CONTROL: usize = 256;
pub const OP: i16 = 0;
const CPU: i16 = 4;
pub const FLAGS: i16 = 8;
pub const RESULT: i16 = 16;
pub const KEY: i16 = 24;
pub const VALUE: i16 = 96;
pub const OUT: i16 = 168;
/// The largest key and value.
pub const LARGEST: usize = 64;

/// What the program is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Copies the value out.
    Lookup,
    Update,
    Delete,
    /// Writes through the pointer that a lookup gave.
    Write,
    /// Updates, then copies out what a pointer from before shows.
    Stale,
    /// Deletes, then copies out what a pointer from before shows.
    Dead,
    /// Copies out the value of a CPU.
    LookupOf,
    Push,
    Pop,
    Peek,
}

impl Action {
    /// What the program does with a map.
    pub fn of(def: &MapDef) -> &'static [Self] {
        use Action as A;
        if def.flags.0 & (MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG) != 0 {
            return &[];
        }
        match def.kind {
            // The lock lies between what the others copy.
            MapType::Array | MapType::Hash if def.lock.is_some() => &[A::Update, A::Delete],
            MapType::Array => &[A::Lookup, A::Update, A::Delete, A::Write, A::Stale],
            MapType::Hash | MapType::LpmTrie => {
                &[A::Lookup, A::Update, A::Delete, A::Write, A::Stale, A::Dead]
            }
            MapType::PerCpuArray | MapType::PerCpuHash => &[
                A::Lookup,
                A::Update,
                A::Delete,
                A::Write,
                A::Stale,
                A::LookupOf,
            ],
            MapType::LruHash => &[A::Lookup, A::Update, A::Delete, A::Write],
            MapType::LruPerCpuHash => &[A::Lookup, A::Update, A::Delete, A::Write, A::LookupOf],
            MapType::Queue | MapType::Stack => &[A::Push, A::Pop, A::Peek],
            MapType::BloomFilter => &[A::Push, A::Peek],
            _ => &[],
        }
    }
}

/// A control block.
#[derive(Debug, Clone)]
pub struct Command {
    pub action: u32,
    pub cpu: u32,
    pub flags: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl Command {
    pub fn block(&self) -> Vec<u8> {
        let mut block = vec![0; CONTROL];
        let mut put = |at: i16, bytes: &[u8]| {
            block[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        };
        put(OP, &self.action.to_le_bytes());
        put(CPU, &self.cpu.to_le_bytes());
        put(FLAGS, &self.flags.to_le_bytes());
        put(KEY, &self.key);
        put(VALUE, &self.value);
        block
    }
}

/// What the program left in its block: the result, and the bytes copied out.
pub fn outcome(block: &[u8]) -> (i64, Vec<u8>) {
    let mut word = [0; 8];
    word.copy_from_slice(&block[RESULT as usize..RESULT as usize + 8]);
    let out = OUT as usize;
    (i64::from_le_bytes(word), block[out..out + LARGEST].to_vec())
}

/// The program; maps are descriptors in the kernel and numbers in the machine.
pub fn build(def: &MapDef, control: i32, map: i32) -> Vec<Insn> {
    let mut insns = start(control);
    insns.push(ldx(Width::W, 7, 6, OP));
    for action in Action::of(def) {
        let arm = arm(*action, def.value_size as i16, map);
        let skip = arm.len() as i16;
        insns.push(jump_k(true, cond::JNE, 7, *action as i32, skip));
        insns.extend(arm);
    }
    insns.extend([mov(0, 0), exit()]);
    insns
}

/// Finds the control block in r6 and keeps the context in r8.
pub fn start(control: i32) -> Vec<Insn> {
    let mut insns = vec![movr(8, 1), st(Width::W, 10, -4, 0)];
    insns.extend(lddw(1, pseudo::MAP_FD, u64::from(control as u32)));
    insns.extend([movr(2, 10), add(2, -4), call(HelperId::MAP_LOOKUP_ELEM)]);
    insns.extend([jump_k(true, cond::JNE, 0, 0, 2), mov(0, 0), exit()]);
    insns.push(movr(6, 0));
    insns
}

/// One action, which ends the program.
fn arm(action: Action, size: i16, map: i32) -> Vec<Insn> {
    let lookup = || call_with(map, HelperId::MAP_LOOKUP_ELEM, &[movr(2, 6), add(2, KEY)]);
    let update = || {
        let value = [movr(3, 6), add(3, VALUE), ldx(Width::D, 4, 6, FLAGS)];
        let mut setup = vec![movr(2, 6), add(2, KEY)];
        setup.extend(value);
        call_with(map, HelperId::MAP_UPDATE_ELEM, &setup)
    };
    let delete = || call_with(map, HelperId::MAP_DELETE_ELEM, &[movr(2, 6), add(2, KEY)]);
    let at = |offset: i16| [movr(2, 6), add(2, offset)];
    let mut insns = Vec::new();
    match action {
        Action::Lookup | Action::LookupOf => {
            let helper = match action {
                Action::Lookup => HelperId::MAP_LOOKUP_ELEM,
                _ => HelperId::MAP_LOOKUP_PERCPU_ELEM,
            };
            let setup = [movr(2, 6), add(2, KEY), ldx(Width::W, 3, 6, CPU)];
            insns.extend(call_with(map, helper, &setup));
            let copy = copy((6, OUT), (0, 0), size);
            insns.push(jump_k(true, cond::JEQ, 0, 0, copy.len() as i16 + 1));
            insns.extend(copy);
            insns.push(mov(0, 1));
        }
        Action::Write => {
            insns.extend(lookup());
            let copy = copy((0, 0), (6, VALUE), size);
            insns.push(jump_k(true, cond::JEQ, 0, 0, copy.len() as i16 + 1));
            insns.extend(copy);
            insns.push(mov(0, 1));
        }
        Action::Stale | Action::Dead => {
            insns.extend(lookup());
            insns.push(movr(8, 0));
            insns.extend(if action == Action::Stale {
                update()
            } else {
                delete()
            });
            let copy = copy((6, OUT), (8, 0), size);
            insns.push(jump_k(true, cond::JEQ, 8, 0, copy.len() as i16));
            insns.extend(copy);
        }
        Action::Update => insns.extend(update()),
        Action::Delete => insns.extend(delete()),
        Action::Push => {
            let [first, second] = at(VALUE);
            let setup = [first, second, ldx(Width::D, 3, 6, FLAGS)];
            insns.extend(call_with(map, HelperId::MAP_PUSH_ELEM, &setup));
        }
        Action::Pop => insns.extend(call_with(map, HelperId::MAP_POP_ELEM, &at(OUT))),
        // A bloom filter reads what a queue would write, so that both get the value's place.
        Action::Peek => insns.extend(call_with(map, HelperId::MAP_PEEK_ELEM, &at(VALUE))),
    }
    insns.extend([stx(Width::D, 6, RESULT, 0), mov(0, 0), exit()]);
    insns
}

/// A call whose first argument is a map.
pub fn call_with(map: i32, helper: HelperId, setup: &[Insn]) -> Vec<Insn> {
    let mut insns = lddw(1, pseudo::MAP_FD, u64::from(map as u32)).to_vec();
    insns.extend(setup);
    insns.push(call(helper));
    insns
}

pub const fn call(helper: HelperId) -> Insn {
    insn(0x85, 0, 0, 0, helper.0 as i32)
}

pub const fn add(register: u8, value: i16) -> Insn {
    insn(0x07, register, 0, 0, value as i32)
}

/// Copies bytes between what two registers point to, through r9.
pub fn copy(to: (u8, i16), from: (u8, i16), size: i16) -> Vec<Insn> {
    let mut insns = Vec::new();
    let mut at = 0;
    for width in [Width::D, Width::W, Width::H, Width::B] {
        while size - at >= width.bytes() {
            insns.push(ldx(width, 9, from.0, from.1 + at));
            insns.push(stx(width, to.0, to.1 + at, 9));
            at += width.bytes();
        }
    }
    insns
}
