//! Programs that rbpf has taken, each rewritten once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::RbpfError;
use super::bridge::Vm;
use super::functions::Function;
use super::rewrite::rewrite;
use crate::memory::{MAX_FRAMES, Memory, Placement};
use crate::program::Program;

/// A program as rbpf runs it.
pub(super) struct Compiled {
    pub(super) program: Arc<Program>,
    pub(super) vm: Vm,
    /// The functions at which callbacks start.
    pub(super) entries: Vec<Function>,
    /// Frames that the program's own calls need.
    frames: usize,
    /// Where each operation starts in the rewritten program.
    starts: Vec<usize>,
}

/// The programs that were rewritten, by their address: each is kept alive by its entry.
#[derive(Default)]
pub(super) struct Cache(BTreeMap<usize, Arc<Compiled>>);

impl Cache {
    /// A program of the machine that `memory` belongs to.
    ///
    /// # Errors
    /// Why rbpf cannot run it.
    pub(super) fn get(
        &mut self,
        program: &Arc<Program>,
        memory: &Memory,
    ) -> Result<Arc<Compiled>, RbpfError> {
        let address = Arc::as_ptr(program).addr();
        if let Some(compiled) = self.0.get(&address) {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(Compiled::new(program, memory)?);
        self.0.insert(address, Arc::clone(&compiled));
        Ok(compiled)
    }
}

impl Compiled {
    fn new(program: &Arc<Program>, memory: &Memory) -> Result<Self, RbpfError> {
        if memory.placement() != Placement::Identity {
            return Err(RbpfError::Placement);
        }
        let rewritten = rewrite(program, memory.control())?;
        Ok(Self {
            program: Arc::clone(program),
            vm: Vm::new(rewritten.code, memory.native_range()).map_err(RbpfError::Refused)?,
            entries: rewritten.entries,
            frames: rewritten.frames,
            starts: rewritten.starts,
        })
    }

    /// Frames that a run may need.
    pub(super) fn frames(&self) -> usize {
        if self.entries.is_empty() {
            self.frames
        } else {
            MAX_FRAMES
        }
    }

    /// The slot of the original program behind a place in rbpf's messages, which counts from 1.
    pub(super) fn slot_of(&self, place: u64) -> u32 {
        let after = self.starts.partition_point(|&start| (start as u64) < place);
        let slots = &self.program.decoded.slots;
        slots.get(after.saturating_sub(1)).copied().unwrap_or(0)
    }
}
