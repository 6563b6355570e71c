//! Why an object is not loaded.

use std::fmt;
use std::sync::Arc;

use crate::maps::MapError;
use crate::memory::{ArenaError, OutOfMemory};
use crate::variables::VariableError;

/// Why an object is not loaded into a machine.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The emulator lacks something that the programs need, or the kernel would refuse them: all of it,
    /// by name.
    #[error("{}", list(.0))]
    Unsupported(Vec<Missing>),
    /// A program that was asked for is not in the object.
    #[error("no program or section is named {name}; there are {}", join(.known.iter().map(String::as_str)))]
    NoProgram {
        /// What was asked for.
        name: String,
        /// The programs of the object.
        known: Vec<String>,
    },
    /// Sections whose names do not tell a type, for which none was given either.
    #[error(
        "the type of program {} is unknown, since the name of section {section} tells none", .program
    )]
    Untyped {
        /// The program.
        program: String,
        /// Its section.
        section: String,
    },
    /// A program has more instructions than the kernel takes, or all together have more than 8 million.
    #[error(
        "program {0} is too long with all that it calls: at most 1000000 instructions, and 8388608 in all \
         programs of an object"
    )]
    TooLong(String),
    /// A value for a global variable or a kernel configuration does not fit.
    #[error("{name}: {problem}")]
    Global {
        /// The variable.
        name: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// An option names a map that the object does not have.
    #[error("no map is named {name}; there are {}", join(.known.iter().map(String::as_str)))]
    NoMap {
        /// The name.
        name: String,
        /// The maps of the object.
        known: Vec<String>,
    },
    /// A map that is shared has another shape than the object expects.
    #[error("map {name} is shared, but {problem}")]
    Shared {
        /// The map.
        name: String,
        /// What differs.
        problem: String,
    },
    /// A map cannot be made or filled.
    #[error(transparent)]
    Map(#[from] MapError),
    /// An initial entry of a map cannot be set.
    #[error("set entry {index} of map {name}: {problem}")]
    Entry {
        /// The map.
        name: String,
        /// The entry's index.
        index: u32,
        /// What is wrong.
        problem: String,
    },
    /// No machine can be made to try the maps in.
    #[error(transparent)]
    Machine(ArenaError),
    /// A variable of the kernel cannot be made.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Guest memory is full.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The kernel's types cannot be read.
    #[error("read the types of the running kernel: {0}")]
    Btf(#[source] std::io::Error),
}

impl LoadError {
    pub(super) fn global(name: &str, problem: impl Into<String>) -> Self {
        Self::Global {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

/// Names in a row; of many the first ones.
pub(super) fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<_> = names.collect();
    match names.len().checked_sub(SHOWN) {
        _ if names.is_empty() => "none".to_owned(),
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Who does not take something of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedBy {
    /// The emulator, which does not have it.
    Emulator,
    /// The kernel, whose verifier or loader would refuse it.
    Kernel,
}

/// Something for which an object is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Who does not take it.
    pub by: RefusedBy,
    /// The program; empty for what belongs to the object as a whole, such as a map.
    pub program: String,
    /// What is missing or wrong, such as `helper bpf_fib_lookup`.
    pub what: String,
    /// Where it is wanted.
    pub wanted_by: Option<Place>,
}

/// An instruction with its source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The function.
    pub function: String,
    /// The slot from the program's start.
    pub slot: u32,
    /// File and line from 1, if the object has line information.
    pub source: Option<(Arc<str>, u32)>,
    /// The line's text.
    pub text: Arc<str>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.program.is_empty() {
            write!(f, "program {}: ", self.program)?;
        }
        f.write_str(&self.what)?;
        let by = match self.by {
            RefusedBy::Emulator => "wanted by",
            RefusedBy::Kernel => "at",
        };
        self.wanted_by
            .iter()
            .try_for_each(|place| write!(f, ", {by} {place}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {} of {}", self.slot, self.function)?;
        if let Some((file, line)) = &self.source {
            write!(f, " at {file}:{line}")?;
        }
        if !self.text.is_empty() {
            write!(f, " `{}`", self.text)?;
        }
        Ok(())
    }
}

/// Each thing that a program lacks once, with the first place that wants it.
fn list(missing: &[Missing]) -> String {
    let mut texts = Vec::new();
    for of_one in missing.chunk_by(|a, b| a.by == b.by) {
        let mut text = match of_one[0].by {
            RefusedBy::Emulator => "the emulator does not support what the object needs:",
            RefusedBy::Kernel => "the kernel refuses the object:",
        }
        .to_owned();
        for same in of_one.chunk_by(|a, b| a.program == b.program && a.what == b.what) {
            text.push_str("\n  ");
            text.push_str(&same[0].to_string());
            match same.len() - 1 {
                0 => {}
                1 => text.push_str(" and 1 more"),
                more => text.push_str(&format!(" and {more} more")),
            }
        }
        texts.push(text);
    }
    texts.join("\n")
}
