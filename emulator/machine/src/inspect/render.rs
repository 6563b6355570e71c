//! An inspection as text.

use std::fmt::{self, Display, Formatter, Write};

use super::{Entry, Inspection, MapView, ProgramView};

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
                "  {place:<16} {}{of} ({} bytes{access})",
                global.name, global.size
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
        let mut missing = self.missing.iter().chain(programs).peekable();
        if missing.peek().is_none() {
            return writeln!(f, "\nthe emulator has all that the object needs");
        }
        writeln!(f, "\nthe emulator lacks:")?;
        missing.try_for_each(|missing| writeln!(f, "  {missing}"))
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
        if self.functions.len() > 1 {
            let functions: Vec<_> = self
                .functions
                .iter()
                .map(|(name, slots)| format!("{name} ({slots})"))
                .collect();
            write!(f, ", in {}", functions.join(", "))?;
        }
        f.write_char('\n')?;
        if !self.helpers.is_empty() {
            let helpers: Vec<_> = self
                .helpers
                .iter()
                .map(|(helper, count)| match count {
                    1 => helper.to_string(),
                    count => format!("{helper} ({count})"),
                })
                .collect();
            writeln!(f, "    helpers: {}", helpers.join(", "))?;
        }
        if !self.maps.is_empty() {
            let maps: Vec<_> = self.maps.iter().map(String::as_str).collect();
            writeln!(f, "    maps: {}", maps.join(", "))?;
        }
        Ok(())
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
            write!(f, ", flags {:#x}", def.flags.0)?;
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
        if self.entries != 0 {
            write!(f, ", {} set", self.entries)?;
        }
        if let Some(lock) = def.lock {
            write!(f, ", spin lock at {lock}")?;
        }
        if self.pinned {
            write!(f, ", pinned")?;
        }
        f.write_char('\n')
    }
}
