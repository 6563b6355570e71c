//! What an object refers to and does not define: kernel configuration, kernel functions, kernel
//! variables (`bpf_object__collect_externs` in `tools/lib/bpf/libbpf.c`).

use std::collections::BTreeMap;

use super::btf::{Btf, Kind, TypeId};
use super::elf::{Binding, Symbol};

/// Something that an object refers to without defining it.
#[derive(Debug, Clone)]
pub struct Extern {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ExternKind,
    /// Whether the object can do without it.
    pub weak: bool,
    /// Its type in [`Object::btf`](super::Object::btf).
    pub of: Option<TypeId>,
}

/// What an [`Extern`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternKind {
    /// A value of kernel configuration (`__kconfig`).
    Kconfig,
    /// A function of the kernel (`__ksym`).
    KernelFunction,
    /// A variable of the kernel (`__ksym`).
    KernelVariable,
    /// A symbol that the type information does not describe.
    Undescribed,
}

impl ExternKind {
    /// The kind in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kconfig => "kernel configuration",
            Self::KernelFunction => "kernel function",
            Self::KernelVariable => "kernel variable",
            Self::Undescribed => "undefined symbol",
        }
    }
}

/// The externs that instructions refer to, in the order in which they are met.
#[derive(Debug, Default)]
pub(super) struct Externs {
    described: BTreeMap<String, (ExternKind, TypeId)>,
    pub(super) list: Vec<Extern>,
    by_name: BTreeMap<String, usize>,
}

impl Externs {
    pub(super) fn new(btf: Option<&Btf>) -> Self {
        let mut described = BTreeMap::new();
        for (section, is_kconfig) in [(".kconfig", true), (".ksyms", false)] {
            let variables = btf.and_then(|btf| Some((btf, btf.data_section(section)?)));
            let Some((btf, variables)) = variables else {
                continue;
            };
            for variable in variables {
                let kind = btf.get(variable.of);
                let (what, of) = match kind.kind {
                    Kind::Variable { of, .. } if is_kconfig => (ExternKind::Kconfig, of),
                    Kind::Variable { of, .. } => (ExternKind::KernelVariable, of),
                    Kind::Function { prototype, .. } => (ExternKind::KernelFunction, prototype),
                    _ => continue,
                };
                described.insert(kind.name.to_owned(), (what, of));
            }
        }
        Self {
            described,
            ..Self::default()
        }
    }

    /// The number of what a symbol means.
    pub(super) fn number(&mut self, symbol: &Symbol<'_>) -> usize {
        if let Some(&known) = self.by_name.get(symbol.name) {
            return known;
        }
        let described = self.described.get(symbol.name);
        self.list.push(Extern {
            name: symbol.name.to_owned(),
            kind: described.map_or(ExternKind::Undescribed, |(kind, _)| *kind),
            weak: symbol.binding == Binding::Weak,
            of: described.map(|(_, of)| *of),
        });
        self.by_name
            .insert(symbol.name.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}
