//! Programs from nothing but instructions.

use crate::isa::{Code, DecodeError, Insn, Resolve, decode, pseudo};
use crate::memory::{Pointer, Tag};
use crate::program::{Function, Program, ProgramType};

impl Program {
    /// A program from instructions alone, without an object file: no source lines, and no check of
    /// what the kernel would refuse.
    ///
    /// A reference to a map ([`pseudo::MAP_FD`]) holds the map's [number](crate::MapId), one to a
    /// function ([`pseudo::FUNC`]) the distance; `others` says what further kinds of 64-bit immediates
    /// stand for, from the kind and both immediates.
    ///
    /// # Errors
    /// Each instruction that cannot be executed.
    pub fn bare(
        name: &str,
        kind: ProgramType,
        insns: Vec<Insn>,
        others: &Resolve<'_>,
    ) -> Result<Self, Vec<DecodeError>> {
        let decoded = decode(&insns, &|kind, first, second| {
            let tag = match kind {
                pseudo::MAP_FD if second == 0 => Tag::MAP,
                pseudo::FUNC => Tag::FUNCTION,
                _ => return others(kind, first, second),
            };
            Some(Pointer::new(tag, first as u32).0)
        })?;
        let mut functions = vec![Function {
            slot: 0,
            name: name.to_owned(),
        }];
        let called = decoded.ops.iter().filter(|op| op.code == Code::CallLocal);
        let mut starts: Vec<u32> = called.map(|op| decoded.slots[op.off as usize]).collect();
        starts.sort_unstable();
        starts.dedup();
        functions.extend(starts.into_iter().filter(|&slot| slot != 0).map(|slot| {
            let name = format!("function_{slot}");
            Function { slot, name }
        }));
        Ok(Self {
            name: name.to_owned(),
            section: String::new(),
            kind,
            attach: None,
            insns,
            decoded,
            lines: Vec::new(),
            functions,
        })
    }
}
