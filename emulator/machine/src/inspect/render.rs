//! An inspection as text.

use std::fmt::{self, Display, Formatter, Write};

use super::{Entry, FunctionView, GlobalView, Inspection, MapView, ProgramView};
use crate::helpers::HelperId;
use crate::load::RefusedBy;
use crate::maps::MapFlags;

impl Display for Inspection {
    /// The overview, then the listing of each program.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_overview(f)?;
        for program in &self.programs {
            f.write_char('\n')?;
            program.write_listing(f)?;
        }
        Ok(())
    }
}

impl Inspection {
    /// Writes programs, maps, global data, externs and what is missing, a line each.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_overview(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "license: {}", self.license.as_deref().unwrap_or("none"))?;
        writeln!(f, "\nprograms:")?;
        for program in &self.programs {
            program.write_overview(f)?;
        }
        self.write_maps(f)?;
        self.write_globals(f)?;
        self.write_externs(f)?;
        self.write_missing(f)
    }

    fn write_maps(&self, f: &mut impl Write) -> fmt::Result {
        if self.maps.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nmaps:")?;
        let width = self
            .maps
            .iter()
            .map(|map| map.def.name.len())
            .max()
            .unwrap_or(0);
        self.maps.iter().try_for_each(|map| map.write(f, width))
    }

    fn write_globals(&self, f: &mut impl Write) -> fmt::Result {
        if self.globals.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nglobals:")?;
        for view in &self.globals {
            let global = &view.global;
            let place = format!("{}+{}", global.section, global.offset);
            let access = if global.writable { "" } else { ", read-only" };
            let of = view
                .c_type
                .as_deref()
                .map_or(String::new(), |of| format!(": {of}"));
            writeln!(
                f,
                "  {place:<16} {}{of} = {} ({} bytes{access})",
                global.name,
                value(view),
                global.size
            )?;
        }
        Ok(())
    }

    fn write_externs(&self, f: &mut impl Write) -> fmt::Result {
        if self.externs.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nexterns:")?;
        for value in &self.externs {
            let weak = if value.weak { ", weak" } else { "" };
            let kind = value.kind.describe();
            writeln!(f, "  {} ({kind}{weak})", value.name)?;
        }
        Ok(())
    }

    fn write_missing(&self, f: &mut impl Write) -> fmt::Result {
        let programs = self.programs.iter().flat_map(|program| &program.missing);
        let missing = self.missing.iter().chain(programs);
        let of = |by| missing.clone().filter(move |missing| missing.by == by);
        let mut titles = [
            (RefusedBy::Emulator, "the emulator lacks:"),
            (RefusedBy::Kernel, "the kernel refuses:"),
        ]
        .into_iter()
        .filter(|(by, _)| of(*by).next().is_some())
        .peekable();
        if titles.peek().is_none() {
            return writeln!(f, "\nthe emulator has all that the object needs");
        }
        titles.try_for_each(|(by, title)| {
            writeln!(f, "\n{title}")?;
            of(by).try_for_each(|missing| writeln!(f, "  {missing}"))
        })
    }
}

impl ProgramView {
    fn write_overview(&self, f: &mut impl Write) -> fmt::Result {
        write!(f, "  {} ({}", self.name, self.kind)?;
        if let Some(attach) = self.attach {
            write!(f, ", {attach}")?;
        }
        let optional = if self.optional { ", optional" } else { "" };
        writeln!(f, "{optional}) in section {}", self.section)?;
        write!(f, "    {} instruction slots", self.slots)?;
        if self.reachable < self.slots {
            write!(f, ", {} reachable", self.reachable)?;
        }
        writeln!(f, ", {} bytes of stack", self.stack)?;
        if self.functions.len() > 1 {
            let functions = self.functions.iter();
            let functions: Vec<_> = functions
                .map(|function| {
                    let FunctionView { name, slots, stack } = function;
                    format!("{name} ({slots} slots, {stack} bytes)")
                })
                .collect();
            writeln!(f, "    functions: {}", functions.join(", "))?;
        }
        self.write_called(f, "helpers", |helper| !helper.is_kernel_function())?;
        self.write_called(f, "kernel functions", HelperId::is_kernel_function)?;
        if !self.maps.is_empty() {
            let maps: Vec<_> = self.maps.iter().map(String::as_str).collect();
            writeln!(f, "    maps: {}", maps.join(", "))?;
        }
        Ok(())
    }

    fn write_called(
        &self,
        f: &mut impl Write,
        title: &str,
        of: impl Fn(HelperId) -> bool,
    ) -> fmt::Result {
        let called = self.helpers.iter().filter(|(helper, _)| of(**helper));
        let called: Vec<_> = called
            .map(|(helper, count)| match count {
                1 => helper.to_string(),
                count => format!("{helper} ({count})"),
            })
            .collect();
        if called.is_empty() {
            return Ok(());
        }
        writeln!(f, "    {title}: {}", called.join(", "))
    }

    /// Writes the instructions with source lines and what is missing.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_listing(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "{} ({}):", self.name, self.kind)?;
        self.listing.iter().try_for_each(|entry| entry.write(f))
    }
}

impl Entry {
    /// As the verifier's log has it; `-` stands before what cannot be reached.
    fn write(&self, f: &mut impl Write) -> fmt::Result {
        if let Some(function) = &self.function {
            writeln!(f, "{function}:")?;
        }
        if let Some(line) = &self.line {
            writeln!(f, "; {} @ {}:{}", line.text, line.file, line.line)?;
        }
        let mark = if self.reachable { ' ' } else { '-' };
        write!(
            f,
            "{mark}{:>4}: ({:02x}) {}",
            self.slot, self.code, self.text
        )?;
        if let Some(note) = &self.note {
            write!(f, " <{note}>")?;
        }
        f.write_char('\n')?;
        match &self.missing {
            Some(missing) => writeln!(f, "      ^ missing: {missing}"),
            None => Ok(()),
        }
    }
}

impl MapView {
    fn write(&self, f: &mut impl Write, width: usize) -> fmt::Result {
        let def = &self.def;
        write!(f, "  {:<width$} {}", def.name, def.kind)?;
        write!(
            f,
            ", key {}, value {}, {} entries",
            def.key_size, def.value_size, def.max_entries
        )?;
        if def.flags.0 != 0 {
            write!(f, ", flags {}", flags(def.flags))?;
        }
        if def.extra != 0 {
            write!(f, ", extra {}", def.extra)?;
        }
        if let Some(inner) = &def.inner {
            let (key, value) = (inner.key_size, inner.value_size);
            write!(
                f,
                ", of {} with key {key}, value {value}, {} entries",
                inner.kind, inner.max_entries
            )?;
        }
        if let Some(lock) = def.lock {
            write!(f, ", spin lock at {lock}")?;
        }
        if self.pinned {
            write!(f, ", pinned")?;
        }
        f.write_char('\n')?;
        let mut entries = self.entries.iter();
        entries.try_for_each(|(index, name)| writeln!(f, "  {:<width$} [{index}] = {name}", ""))
    }
}

/// Flags of a map by their names in `linux/bpf.h`, in lower case.
fn flags(flags: MapFlags) -> String {
    const NAMES: &[(u32, &str)] = &[
        (MapFlags::NO_PREALLOC, "no_prealloc"),
        (MapFlags::NO_COMMON_LRU, "no_common_lru"),
        (MapFlags::RDONLY, "rdonly"),
        (MapFlags::WRONLY, "wronly"),
        (MapFlags::ZERO_SEED, "zero_seed"),
        (MapFlags::RDONLY_PROG, "rdonly_prog"),
        (MapFlags::WRONLY_PROG, "wronly_prog"),
        (MapFlags::CLONE, "clone"),
        (MapFlags::MMAPABLE, "mmapable"),
        (MapFlags::PRESERVE_ELEMS, "preserve_elems"),
        (MapFlags::INNER_MAP, "inner_map"),
    ];
    let set = NAMES.iter().filter(|(flag, _)| flags.has(*flag));
    let mut names: Vec<_> = set.map(|(_, name)| (*name).to_owned()).collect();
    let known = NAMES.iter().fold(0, |all, (flag, _)| all | flag);
    if flags.0 & !known != 0 {
        names.push(format!("{:#x}", flags.0 & !known));
    }
    names.join(" | ")
}

/// A variable's value: a number or a text where its type says so, and its bytes otherwise.
fn value(view: &GlobalView) -> String {
    const SHOWN: usize = 32;
    let bytes = &view.value;
    let of = view.c_type.as_deref().unwrap_or_default();
    if bytes.iter().all(|&byte| byte == 0) {
        return "0".to_owned();
    }
    if of.contains("char[") {
        let end = bytes.iter().position(|&byte| byte == 0);
        let text = &bytes[..end.unwrap_or(bytes.len()).min(SHOWN)];
        return format!("\"{}\"", text.escape_ascii());
    }
    let is_number = !of.is_empty() && !of.contains(['[', '{', '*', '(']);
    if is_number && matches!(bytes.len(), 1 | 2 | 4 | 8) {
        let number = bytes
            .iter()
            .rev()
            .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        let words: Vec<_> = of.split_whitespace().collect();
        let unsigned = words
            .iter()
            .any(|word| word.starts_with("__u") || word.starts_with('u') || *word == "_Bool");
        let unused = 64 - 8 * bytes.len() as u32;
        return match unsigned {
            true => number.to_string(),
            false => ((number << unused) as i64 >> unused).to_string(),
        };
    }
    let shown: Vec<_> = bytes
        .iter()
        .take(SHOWN)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    format!("{}{more}", shown.join(" "))
}
