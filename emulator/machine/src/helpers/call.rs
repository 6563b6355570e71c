//! What a helper sees of its call.

use crate::errno::Errno;
use crate::fault::{Access, FaultKind};
use crate::helpers::HelperId;
use crate::machine::{Cost, Cpu, Machine};
use crate::maps::MapId;
use crate::memory::{By, Checked, Pointer, Tag};
use crate::program::Program;

/// A call of a helper.
#[derive(Debug)]
pub struct Call<'a> {
    /// The machine.
    pub machine: &'a mut Machine,
    /// What the run has cost so far; map operations are counted by whoever does them.
    pub cost: &'a mut Cost,
    /// The program that calls.
    pub program: &'a Program,
    /// The helper.
    pub helper: HelperId,
    /// The instruction that calls.
    pub at: u32,
    /// The CPU that the program runs on.
    pub cpu: Cpu,
    /// r1 to r5.
    pub args: [u64; 5],
}

impl Call<'_> {
    /// An argument, 1 to 5.
    #[inline]
    pub fn arg(&self, number: u8) -> u64 {
        self.args[usize::from(number) - 1]
    }

    /// On whose behalf a pointer argument is followed.
    #[inline]
    fn by(&self, number: u8) -> By {
        By {
            at: self.at,
            argument: Some((self.helper, number)),
        }
    }

    /// Checks that `len` bytes behind a pointer argument may be accessed and returns their address.
    ///
    /// # Errors
    /// The fault that ends the run.
    #[inline]
    pub fn range(&mut self, number: u8, len: u32, access: Access) -> Checked<u32> {
        let (pointer, by) = (Pointer(self.arg(number)), self.by(number));
        self.machine.memory.check(pointer, len, access, by)
    }

    /// The `len` bytes behind a pointer argument.
    ///
    /// # Errors
    /// The fault that ends the run.
    pub fn bytes(&mut self, number: u8, len: u32) -> Checked<&[u8]> {
        let address = self.range(number, len, Access::Read)?;
        Ok(self.machine.memory.raw(address, len))
    }

    /// The `len` bytes behind a pointer argument, to be written as a whole.
    ///
    /// # Errors
    /// The fault that ends the run.
    pub fn bytes_mut(&mut self, number: u8, len: u32) -> Checked<&mut [u8]> {
        let address = self.range(number, len, Access::Write)?;
        Ok(self.machine.memory.raw_mut(address, len))
    }

    /// Loads `N` bytes behind a pointer argument.
    ///
    /// # Errors
    /// The fault that ends the run.
    pub fn array<const N: usize>(&mut self, number: u8) -> Checked<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(number, N as u32)?);
        Ok(array)
    }

    /// The map that an argument refers to.
    ///
    /// # Errors
    /// When the argument is no reference to a map.
    #[inline]
    pub fn map(&mut self, number: u8) -> Checked<MapId> {
        let pointer = Pointer(self.arg(number));
        if pointer.tag() == Tag::MAP && (pointer.address() as usize) < self.machine.maps.len() {
            Ok(MapId(pointer.address()))
        } else {
            Err(self.refuse(number, "it is not a map"))
        }
    }

    /// An argument that is the size of memory behind another one.
    ///
    /// # Errors
    /// When it is so large that the verifier would not believe it (`BPF_MAX_VAR_SIZ`).
    pub fn size(&self, number: u8) -> Checked<u32> {
        const MAX_SIZE: u64 = 1 << 29;
        match self.arg(number) {
            size if size < MAX_SIZE => Ok(size as u32),
            size => Err(self.refuse(number, format!("{size} is no size of memory"))),
        }
    }

    /// The same, where the kernel wants at least one byte (`ARG_CONST_SIZE`).
    ///
    /// # Errors
    /// When it is 0, or so large that the verifier would not believe it.
    pub fn nonzero_size(&self, number: u8) -> Checked<u32> {
        match self.size(number)? {
            0 => Err(self.refuse(number, "the size is 0, and the kernel wants at least 1")),
            size => Ok(size),
        }
    }

    /// Whether a pointer argument is the context.
    ///
    /// # Errors
    /// When it is another pointer.
    pub fn context(&mut self, number: u8) -> Checked<()> {
        if Pointer(self.arg(number)) == self.machine.memory.context() {
            Ok(())
        } else {
            Err(self.refuse(number, "it is not the program's context"))
        }
    }

    /// A pointer to one value of a map, or null.
    #[inline]
    pub fn value_pointer(&mut self, map: MapId, address: Option<u32>) -> u64 {
        let Some(address) = address else {
            self.machine.memory.note_null(self.helper, self.at);
            return 0;
        };
        let object = self.machine.maps[map].value_object(map, address, self.at);
        self.machine.memory.push(object).0
    }

    /// The fault of an argument that the helper's contract forbids.
    #[cold]
    pub fn refuse(&self, argument: u8, problem: impl Into<String>) -> Box<FaultKind> {
        Box::new(FaultKind::Argument {
            helper: self.helper,
            argument,
            problem: problem.into(),
        })
    }
}

impl From<Errno> for u64 {
    /// An error as a helper returns it: a negative number.
    fn from(errno: Errno) -> Self {
        -i64::from(errno.get()) as Self
    }
}
