//! Variables of the kernel (`extern ... __ksym`): those that each CPU has a value of its own of, for these are
//! all that a kernel's types describe.

use crate::machine::{Cpu, Machine};
use crate::memory::{BEFORE, Memory, Object, ObjectKind, OutOfMemory, Pointer};

/// A variable by its number in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariableId(pub(crate) u32);

/// The variables that programs of a machine can refer to.
#[derive(Debug, Default)]
pub(crate) struct Variables(Vec<Variable>);

#[derive(Debug)]
struct Variable {
    name: String,
    /// What programs get of it: a reference that helpers turn into a pointer to a CPU's value.
    reference: Pointer,
    /// Where the first CPU's value is; those of the others follow.
    first: u32,
    /// Bytes of a value.
    size: u32,
}

/// Why a variable cannot be one of a machine.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum VariableError {
    #[error("the kernel variable {0} has a value already")]
    Known(String),
    #[error("the kernel variable {name} has {got} values, and the machine {cpus} CPUs")]
    Count { name: String, got: usize, cpus: u32 },
    #[error("the values of the kernel variable {0} are empty, or differ in size")]
    Size(String),
    #[error("failed to make the kernel variable {name}: {source}")]
    Memory { name: String, source: OutOfMemory },
}

/// Bytes from one CPU's value to the next.
fn stride(size: u32) -> u32 {
    size.next_multiple_of(8)
}

/// What the emulator itself knows of a kernel's variables: a value of four bytes for each CPU.
fn known(name: &str) -> Option<fn(Cpu) -> u32> {
    match name {
        "cpu_number" => Some(|cpu| cpu.0),
        // Counts programs of tracing, and changes of maps by user space, on this CPU.
        "bpf_prog_active" => Some(|_| 0),
        _ => None,
    }
}

impl Variables {
    fn find(&self, name: &str) -> Option<VariableId> {
        let at = self.0.iter().position(|variable| variable.name == name);
        at.map(|at| VariableId(at as u32))
    }

    /// Whether there is a value for programs that refer to a variable.
    pub(crate) fn has(&self, name: &str) -> bool {
        known(name).is_some() || self.find(name).is_some()
    }

    /// What a program gets when it takes a variable's address.
    pub(crate) fn reference(&self, VariableId(number): VariableId) -> Option<Pointer> {
        let variable = self.0.get(number as usize)?;
        Some(variable.reference)
    }

    /// The name of a variable.
    pub(crate) fn name(&self, VariableId(number): VariableId) -> &str {
        let variable = self.0.get(number as usize);
        variable.map_or("", |variable| &variable.name)
    }

    /// A CPU's value of the variable that a reference stands for.
    pub(crate) fn value(&self, reference: Pointer, cpu: Cpu, at: u32) -> Option<Object> {
        let mut all = self.0.iter();
        let variable = all.find(|variable| variable.reference == reference)?;
        let address = variable.first + cpu.0 * stride(variable.size);
        let kind = ObjectKind::Buffer("a variable of the kernel");
        Some(Object::new(kind, address, variable.size, at).read_only())
    }

    fn add(
        &mut self,
        memory: &mut Memory,
        name: &str,
        values: &[Vec<u8>],
    ) -> Result<VariableId, VariableError> {
        let size = values.first().map_or(0, Vec::len);
        let alike = size > 0 && values.iter().all(|value| value.len() == size);
        let size = u32::try_from(size).ok().filter(|_| alike);
        let size = size.ok_or_else(|| VariableError::Size(name.to_owned()))?;
        let stride = stride(size);
        let len = u64::from(stride) * values.len() as u64;
        let first = memory
            .allocate(len)
            .map_err(|source| VariableError::Memory {
                name: name.to_owned(),
                source,
            })?;
        for (address, value) in (first..).step_by(stride as usize).zip(values) {
            memory.raw_mut(address, size).copy_from_slice(value);
        }
        let id = VariableId(self.0.len() as u32);
        let reference = Object::new(ObjectKind::Variable(id), first, 0, BEFORE);
        self.0.push(Variable {
            name: name.to_owned(),
            reference: memory.add_static(reference),
            first,
            size,
        });
        Ok(id)
    }
}

impl Machine {
    /// Gives a variable of the kernel its values, one for each CPU, before objects that refer to it are
    /// loaded. Programs can read them, and nothing changes them. `cpu_number` and `bpf_prog_active` need none.
    ///
    /// # Errors
    /// When it has values already, or there is not one of the same size for each CPU.
    pub fn define_variable(&mut self, name: &str, values: &[Vec<u8>]) -> Result<(), VariableError> {
        if self.variables.has(name) {
            return Err(VariableError::Known(name.to_owned()));
        }
        if values.len() != self.cpus() as usize {
            return Err(VariableError::Count {
                name: name.to_owned(),
                got: values.len(),
                cpus: self.cpus(),
            });
        }
        self.variables.add(&mut self.memory, name, values)?;
        Ok(())
    }

    /// What a program gets that takes the address of a variable; none if there is no value for it.
    ///
    /// # Errors
    /// When guest memory is full.
    pub fn variable(&mut self, name: &str) -> Result<Option<Pointer>, VariableError> {
        let id = self.variable_id(name)?;
        Ok(id.and_then(|id| self.variables.reference(id)))
    }

    /// The variable of that name; none if there is no value for it.
    pub(crate) fn variable_id(&mut self, name: &str) -> Result<Option<VariableId>, VariableError> {
        if let Some(id) = self.variables.find(name) {
            return Ok(Some(id));
        }
        let Some(of) = known(name) else {
            return Ok(None);
        };
        let cpus = (0..self.cpus()).map(Cpu);
        let values: Vec<_> = cpus.map(|cpu| of(cpu).to_le_bytes().to_vec()).collect();
        let added = self.variables.add(&mut self.memory, name, &values)?;
        Ok(Some(added))
    }
}
