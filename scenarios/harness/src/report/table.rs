//! The values that two sides do not agree on, side by side.

use std::io::{self, Write};

use crate::diff::Values;

use super::style::{FAINT, LEFT, RIGHT, Styled};

/// How the two sides are called, and how much room there is.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The first side's name.
    pub left: &'a str,
    /// The second side's name.
    pub right: &'a str,
    /// Columns of the terminal.
    pub width: usize,
    /// Columns before each line.
    pub indent: usize,
}

/// What stands where a side has nothing.
const NOTHING: &str = "-";

impl Frame<'_> {
    /// Writes a head line and a line for each value. Values too long for a line stand below each other.
    pub fn write(&self, out: &mut impl Write, values: &[Values]) -> io::Result<()> {
        let (short, long): (Vec<_>, Vec<_>) = values.iter().partition(|values| self.fits(values));
        if !short.is_empty() {
            self.side_by_side(out, &short)?;
        }
        long.into_iter()
            .try_for_each(|values| self.stacked(out, values))
    }

    fn fits(&self, values: &Values) -> bool {
        let third = self.width.saturating_sub(self.indent + 4) / 3;
        [
            Some(&values.name),
            values.left.as_ref(),
            values.right.as_ref(),
        ]
        .into_iter()
        .flatten()
        .all(|text| text.chars().count() <= third.max(20))
    }

    fn side_by_side(&self, out: &mut impl Write, values: &[&Values]) -> io::Result<()> {
        let column = |head: &str, cell: &dyn Fn(&Values) -> usize| {
            values
                .iter()
                .map(|values| cell(values))
                .max()
                .unwrap_or(0)
                .max(head.chars().count())
        };
        let text = |side: &Option<String>| side.as_deref().unwrap_or(NOTHING).chars().count();
        let name = column("", &|values| values.name.chars().count());
        let left = column(self.left, &|values| text(&values.left));
        let indent = " ".repeat(self.indent);
        writeln!(
            out,
            "{indent}{:name$}  {}  {}",
            "",
            Styled(LEFT, format_args!("{:left$}", self.left)),
            Styled(RIGHT, self.right),
        )?;
        for Values {
            name: label,
            left: a,
            right: b,
        } in values
        {
            writeln!(
                out,
                "{indent}{label:name$}  {:left$}  {}",
                a.as_deref().unwrap_or(NOTHING),
                b.as_deref().unwrap_or(NOTHING),
            )?;
        }
        Ok(())
    }

    fn stacked(&self, out: &mut impl Write, values: &Values) -> io::Result<()> {
        let indent = " ".repeat(self.indent);
        let side = self.left.chars().count().max(self.right.chars().count());
        writeln!(out, "{indent}{}", values.name)?;
        for (style, head, value) in [
            (LEFT, self.left, &values.left),
            (RIGHT, self.right, &values.right),
        ] {
            writeln!(
                out,
                "{indent}  {}  {}",
                Styled(style, format_args!("{head:side$}")),
                value.as_deref().unwrap_or(NOTHING),
            )?;
        }
        Ok(())
    }
}

/// Writes what both sides agreed on before they differed.
pub fn before(out: &mut impl Write, indent: usize, lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| {
        writeln!(
            out,
            "{:indent$}{}",
            "",
            Styled(FAINT, format_args!("same: {line}"))
        )
    })
}
