//! Program arrays (`kernel/bpf/arraymap.c`, "fd array").

use super::array::{index, index_after};
use crate::errno::Errno;
use crate::program::ProgramId;

/// An array of programs to call by `bpf_tail_call`.
#[derive(Debug)]
pub(super) struct Programs(Vec<Option<ProgramId>>);

impl Programs {
    pub(super) fn new(len: u32) -> Self {
        Self(vec![None; len as usize])
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<ProgramId> {
        self.0.get(index as usize).copied().flatten()
    }

    pub(super) fn set(&mut self, index: u32, program: Option<ProgramId>) -> Result<(), Errno> {
        *self.0.get_mut(index as usize).ok_or(Errno::E2BIG)? = program;
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), Errno> {
        let entry = index(key).and_then(|index| self.0.get_mut(index as usize));
        let program = entry.ok_or(Errno::E2BIG)?.take();
        program.map(drop).ok_or(Errno::ENOENT)
    }

    pub(super) fn after(&self, key: Option<&[u8]>) -> Result<u32, Errno> {
        index_after(key, self.0.len() as u32)
    }

    /// The programs by index.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, ProgramId)> {
        let programs = (0..).zip(&self.0);
        programs.filter_map(|(index, program)| Some((index, (*program)?)))
    }
}
