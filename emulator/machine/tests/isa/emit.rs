//! Turns drawn pieces into instructions.

use twinpath_machine::HelperId;
use twinpath_machine::isa::{Insn, pseudo};

use super::asm::{self, Width, alu_k, alu_x, cond, mov, movr, op};
use super::case::{Body, JUMPS, KEPT_CONTEXT, MEMORY, Needs, PACKET, SPACE};
use super::generate::{LoadKind, Piece, Place, Side, StoreKind};

/// Bytes of stack that a body uses, initialised at its start; the counters of loops lie below.
const STACK: i16 = 64;

/// A function under construction.
struct Function<'a> {
    /// None outside the main function.
    needs: Option<Needs>,
    registers: Vec<u8>,
    insns: Vec<Insn>,
    /// Where which function is called.
    calls: Vec<(usize, usize)>,
    loops: i16,
    /// The bodies of all functions that are called.
    bodies: &'a mut Vec<Vec<Piece>>,
}

/// The body of a program that runs these pieces.
pub fn body(needs: Needs, pieces: &[Piece]) -> Body {
    let mut body = Body::default();
    let mut bodies = Vec::new();
    let mut main = Function {
        needs: Some(needs),
        registers: needs.own_registers().collect(),
        insns: Vec::new(),
        calls: Vec::new(),
        loops: 0,
        bodies: &mut bodies,
    };
    main.initialise_stack();
    main.pieces(pieces);
    let calls = main.calls;
    // What stands between the body and the first function.
    let rest = needs.own_registers().count() + 2;
    let functions_at = main.insns.len() + rest;
    body.insns = main.insns;
    let mut starts = Vec::new();
    let mut open = calls;
    let mut next = 0;
    while let Some(pieces) = bodies.get(next).cloned() {
        next += 1;
        let base = functions_at + body.functions.len();
        starts.push(base);
        let (insns, calls) = function(&pieces, &mut bodies);
        body.functions.extend(insns);
        open.extend(calls.into_iter().map(|(at, callee)| (base + at, callee)));
    }
    for (at, callee) in open {
        let distance = starts[callee] as i32 - at as i32 - 1;
        let insn = match at.checked_sub(functions_at) {
            Some(at) => &mut body.functions[at],
            None => &mut body.insns[at],
        };
        insn.imm = distance;
    }
    body
}

/// A function of five arguments that returns what comes to lie in r0.
fn function(pieces: &[Piece], bodies: &mut Vec<Vec<Piece>>) -> (Vec<Insn>, Vec<(usize, usize)>) {
    let mut function = Function {
        needs: None,
        registers: (0..10).collect(),
        insns: Vec::new(),
        calls: Vec::new(),
        loops: 0,
        bodies,
    };
    function
        .insns
        .extend([(0, 1), (6, 2), (7, 3), (8, 4), (9, 5)].map(|(to, from)| movr(to, from)));
    function.initialise_stack();
    function.pieces(pieces);
    function.insns.push(asm::exit());
    (function.insns, function.calls)
}

impl Function<'_> {
    fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    fn initialise_stack(&mut self) {
        for slot in 1..=STACK / 8 {
            let register = self.registers[slot as usize % self.registers.len()];
            self.push(asm::stx(Width::D, 10, -8 * slot, register));
        }
    }

    fn register(&self, drawn: u8) -> u8 {
        self.registers[usize::from(drawn) % self.registers.len()]
    }

    /// A call leaves r1 to r5 unreadable.
    fn restore_arguments(&mut self) {
        for register in 1..=5 {
            self.push(mov(register, i32::from(register) * 11));
        }
    }

    /// The base register and offset of a place; aligned where the kernel wants it.
    fn place(&self, place: Place, width: Width, aligned: bool) -> (u8, i16) {
        let bytes = width.bytes();
        let within = |drawn: u8, size: i16| i16::from(drawn) % (size - bytes + 1);
        let align = |offset: i16| offset - offset % bytes;
        match (place, self.needs) {
            (Place::Packet(drawn), Some(Needs::Packet)) if !aligned => {
                (8, within(drawn, PACKET as i16))
            }
            (Place::Map(drawn) | Place::Packet(drawn), Some(_)) => {
                let offset = within(drawn, SPACE as i16 - MEMORY);
                (9, MEMORY + if aligned { align(offset) } else { offset })
            }
            (Place::Stack(drawn) | Place::Map(drawn) | Place::Packet(drawn), _) => {
                (10, align(within(drawn, STACK)) - STACK)
            }
        }
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.piece(piece);
        }
    }

    fn piece(&mut self, piece: &Piece) {
        match *piece {
            Piece::AluX {
                op,
                wide,
                dst,
                src,
                off,
            } => {
                self.push(alu_x(wide, op, self.register(dst), self.register(src), off));
            }
            Piece::AluK {
                op,
                wide,
                dst,
                imm,
                off,
            } => {
                self.push(alu_k(wide, op, self.register(dst), imm, off));
            }
            Piece::Unary { which, dst } => self.unary(which, self.register(dst)),
            Piece::Wide { dst, value } => {
                let insns = asm::lddw(self.register(dst), 0, value);
                self.insns.extend(insns);
            }
            Piece::Load {
                from,
                width,
                kind,
                dst,
            } => self.load(from, width, kind, self.register(dst)),
            Piece::Store { to, width, kind } => self.store(to, width, kind),
            Piece::Atomic {
                operation,
                at,
                wide,
                src,
            } => {
                let width = if wide { Width::D } else { Width::W };
                // Linux 6.18 loses track of constants that are fetched from the stack and removes
                // instructions as dead that are not: see `memory::a_fetch_from_the_stack`.
                let fetches = operation & asm::atomic::FETCH != 0;
                let at = match at {
                    Place::Stack(drawn) if fetches && self.needs.is_some() => Place::Map(drawn),
                    _ if fetches && self.needs.is_none() => return,
                    at => at,
                };
                let (base, offset) = self.place(at, width, true);
                self.push(asm::atomic(
                    width,
                    operation,
                    base,
                    offset,
                    self.register(src),
                ));
                if operation == asm::atomic::CMPXCHG && !wide {
                    // Linux 6.18 on x86-64 leaves the upper half of r0 where another path was verified
                    // before this one: see `memory::cmpxchg_extends_r0_on_each_path`.
                    self.push(alu_x(false, op::MOV, 0, 0, 0));
                }
            }
            Piece::If {
                cond,
                wide,
                left,
                right,
                ref then,
                ref otherwise,
                long,
            } => {
                let left = self.register(left);
                let at = self.insns.len();
                self.push(match right {
                    Side::Register(right) => asm::jump_x(wide, cond, left, self.register(right), 0),
                    Side::Immediate(imm) => asm::jump_k(wide, cond, left, imm, 0),
                });
                self.pieces(otherwise);
                let over = self.insns.len();
                self.push(if long { asm::gotol(0) } else { asm::ja(0) });
                self.insns[at].off = (over - at) as i16;
                self.pieces(then);
                let distance = self.insns.len() - over - 1;
                if long {
                    self.insns[over].imm = distance as i32;
                } else {
                    self.insns[over].off = distance as i16;
                }
            }
            Piece::Loop { rounds, ref body } => self.repeat(rounds, body),
            Piece::Call { ref body } => {
                self.bodies.push(body.clone());
                self.calls.push((self.insns.len(), self.bodies.len() - 1));
                self.push(asm::call_local(0));
                self.restore_arguments();
            }
            Piece::Tail { index } => self.tail(index),
            Piece::Classic {
                width,
                register,
                offset,
            } => {
                if self.needs == Some(Needs::Context) && width != Width::D {
                    self.push(match register {
                        Some(register) => asm::ld_ind(width, self.register(register), offset),
                        None => asm::ld_abs(width, offset.max(0)),
                    });
                    self.restore_arguments();
                }
            }
        }
    }

    /// Leaves the registers where the end of the program would, for what is called to find them.
    fn tail(&mut self, index: Side) {
        if self.needs.is_none() {
            return;
        }
        for at in 0..self.registers.len() {
            let register = self.registers[at];
            self.push(asm::stx(Width::D, 9, i16::from(register) * 8, register));
        }
        match index {
            Side::Register(drawn) => {
                self.push(movr(3, self.register(drawn)));
                self.push(alu_k(true, op::AND, 3, JUMPS as i32 - 1, 0));
            }
            Side::Immediate(index) => self.push(mov(3, index)),
        }
        self.push(asm::ldx(Width::D, 1, 10, KEPT_CONTEXT));
        self.insns.extend(asm::lddw(2, pseudo::MAP_FD, 0));
        self.push(asm::call(HelperId::TAIL_CALL.0 as i32));
        self.push(mov(0, 12));
        self.restore_arguments();
    }

    fn unary(&mut self, which: u8, dst: u8) {
        let bits = [16, 32, 64][usize::from(which) % 3];
        self.push(match which {
            0..3 => asm::le(dst, bits),
            3..6 => asm::be(dst, bits),
            6..9 => asm::bswap(dst, bits),
            9 => asm::neg(true, dst),
            _ => asm::neg(false, dst),
        });
    }

    fn load(&mut self, from: Place, width: Width, kind: LoadKind, dst: u8) {
        let acquire = matches!(kind, LoadKind::Acquire);
        let (base, offset) = self.place(from, width, acquire);
        self.push(match kind {
            LoadKind::Plain => asm::ldx(width, dst, base, offset),
            LoadKind::Signed => asm::ldsx(width, dst, base, offset),
            LoadKind::Acquire => asm::atomic(width, asm::atomic::LOAD_ACQUIRE, dst, offset, base),
        });
    }

    fn store(&mut self, to: Place, width: Width, kind: StoreKind) {
        let release = matches!(kind, StoreKind::Release(_));
        let (base, offset) = self.place(to, width, release);
        self.push(match kind {
            StoreKind::Register(src) => asm::stx(width, base, offset, self.register(src)),
            StoreKind::Immediate(imm) => asm::st(width, base, offset, imm),
            StoreKind::Release(src) => asm::atomic(
                width,
                asm::atomic::STORE_RELEASE,
                base,
                offset,
                self.register(src),
            ),
        });
    }

    /// The counter is on the stack, where the verifier follows it and no piece comes.
    fn repeat(&mut self, rounds: u8, body: &[Piece]) {
        self.loops += 1;
        let counter = -STACK - 8 * self.loops;
        self.push(asm::st(Width::D, 10, counter, rounds.into()));
        let top = self.insns.len();
        self.pieces(body);
        self.push(asm::ldx(Width::D, 0, 10, counter));
        self.push(alu_k(true, op::ADD, 0, -1, 0));
        self.push(asm::stx(Width::D, 10, counter, 0));
        let back = top as i32 - self.insns.len() as i32 - 1;
        self.push(asm::jump_k(true, cond::JNE, 0, 0, back as i16));
        self.loops -= 1;
    }
}
