//! What a scenario is not, for GitHub to show beside the line of the file that expects it.
//!
//! The commands are GitHub's: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use std::io::{self, Write};

use crate::diff::Difference;
use crate::runner::Outcome;
use crate::scenario::{ScenarioError, Source};

use super::text::chain;

/// Writes a command for each packet that is not as expected or differs, for each map, and for each backend that
/// could not run the scenario.
///
/// # Errors
/// When `out` does not take it.
pub fn outcome(out: &mut impl Write, outcome: &Outcome, source: &Source) -> io::Result<()> {
    let file = source.path.display().to_string();
    for run in &outcome.runs {
        if let Err(error) = &run.result {
            let text = format!("{} could not run it: {}", run.arm, chain(error.as_ref()));
            command(out, &file, 1, &text)?;
        }
    }
    let unexpected = outcome.runs.iter().map(|run| {
        let name = run.arm.name();
        (&run.unexpected, "expected", name)
    });
    let different = outcome.comparisons.iter().map(|comparison| {
        let (left, right) = (comparison.left.name(), comparison.right.name());
        (&comparison.diff, left, right)
    });
    let expectations = &outcome.case.expectations.packets;
    for (diff, left, right) in unexpected.chain(different) {
        for packet in &diff.packets {
            let line = expectations
                .get(packet.stimulus)
                .map_or(1, |expected| expected.line);
            let what = packet.differences.iter().map(|at| words(at, left, right));
            let what: Vec<String> = what.collect();
            let text = format!("packet {}: {}", packet.stimulus + 1, what.join("\n"));
            command(out, &file, line, &text)?;
        }
        for difference in &diff.maps {
            let text = format!("at the end, {}", words(difference, left, right));
            command(out, &file, 1, &text)?;
        }
    }
    Ok(())
}

/// Writes a command for a scenario that cannot be used.
///
/// # Errors
/// When `out` does not take it.
pub fn mistake(out: &mut impl Write, error: &ScenarioError) -> io::Result<()> {
    match error {
        ScenarioError::Mistake(mistake) => {
            let file = mistake.source.path.display().to_string();
            let line = mistake.source.line(mistake.span.start);
            let text = format!("{}: {}", mistake.message, mistake.expected);
            command(out, &file, line, &text)
        }
        other => writeln!(out, "::error::{}", data(&other.to_string())),
    }
}

fn words(difference: &Difference, left: &str, right: &str) -> String {
    let values = difference.values.iter().map(|values| {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {left} {} {right} {}",
            values.name,
            side(&values.left),
            side(&values.right)
        )
    });
    let values: Vec<String> = values.collect();
    format!("{}: {}", difference.place, values.join(", "))
}

fn command(out: &mut impl Write, file: &str, line: usize, text: &str) -> io::Result<()> {
    let file = data(file).replace(':', "%3A").replace(',', "%2C");
    writeln!(out, "::error file={file},line={line}::{}", data(text))
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}
