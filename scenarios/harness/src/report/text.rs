//! An outcome for a person: one line, then what differs, the first difference of a packet first.

use std::io::{self, Write};

use crate::describe::{self, counted};
use crate::diff::{Diff, PacketDiff};
use crate::frame;
use crate::plan::{MapChange, Stimulus, StimulusKind};
use crate::recording::{Cost, Hop, Journey, Warning};
use crate::runner::{Outcome, Status};
use crate::scenario::Source;
use crate::trace::{FieldWrites, HopTrace, SourceLine, TraceStep};

use super::style::{BAD, FAINT, GOOD, Styled};
use super::table::{self, Frame};

/// How many differing packets are shown in full.
const SHOWN: usize = 5;

/// What a text report needs to know of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct TextOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether a line for each packet is wanted.
    pub packets: bool,
}

/// Writes an outcome; `source` is the scenario's file.
///
/// # Errors
/// When `out` does not take it.
pub fn outcome(
    out: &mut impl Write,
    outcome: &Outcome,
    source: &Source,
    options: TextOptions,
) -> io::Result<()> {
    headline(out, outcome)?;
    if options.packets {
        packets(out, outcome)?;
        loads(out, outcome)?;
    }
    let report = Report {
        outcome,
        source,
        options,
    };
    for skipped in &outcome.skipped {
        writeln!(out, "  {skipped}")?;
    }
    for run in &outcome.runs {
        if let Err(error) = &run.result {
            writeln!(
                out,
                "  {} could not run it: {}",
                run.arm,
                chain(error.as_ref())
            )?;
        }
        let name = run.arm.name();
        if let Ok(recording) = &run.result {
            for notice in &recording.notices {
                writeln!(out, "  note: {name}: {notice}")?;
            }
            for Warning(warning) in &recording.warnings {
                let word = Styled(BAD, "warning");
                writeln!(out, "  {word}: {name}: {warning}")?;
            }
        }
        report.diff(
            out,
            &run.unexpected,
            "expected",
            name,
            &format!("not as expected on {name}"),
        )?;
    }
    for comparison in &outcome.comparisons {
        let (left, right) = (comparison.left.name(), comparison.right.name());
        report.diff(
            out,
            &comparison.diff,
            left,
            right,
            &format!("{left} and {right} differ"),
        )?;
    }
    Ok(())
}

/// The same as a text without colours.
pub fn plain(outcome: &Outcome, source: &Source, options: TextOptions) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = self::outcome(&mut text, outcome, source, options);
    anstream::adapter::strip_str(&String::from_utf8_lossy(&text)).to_string()
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors already say their cause.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn headline(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let word = match outcome.status() {
        Status::Passed => Styled(GOOD, "   ok"),
        Status::Skipped => Styled(FAINT, " skip"),
        Status::Different => Styled(BAD, "DIFFS"),
        Status::Failed => Styled(BAD, "ERROR"),
    };
    let stimuli = &outcome.case.plan.stimuli;
    let count = stimuli.len();
    let calls = stimuli.iter().all(Stimulus::is_call);
    let packets = match (calls, count) {
        (false, 1) => "packet ",
        (false, _) => "packets",
        (true, 1) => "call   ",
        (true, _) => "calls  ",
    };
    let arms: Vec<&str> = outcome.runs.iter().map(|run| run.arm.name()).collect();
    write!(
        out,
        "{word} {:44} {count:>5} {packets} on {}",
        outcome.case.plan.name,
        arms.join(", ")
    )?;
    let costs = outcome.costs().map(|costs| sum(&costs));
    if let Some(costs) = costs.filter(|costs| costs.instructions > 0) {
        write!(out, " {}", Styled(FAINT, describe::cost(costs)))?;
    }
    let rules: Vec<&str> = rules(outcome);
    if !rules.is_empty() {
        write!(
            out,
            " {}",
            Styled(FAINT, format_args!("[{}]", rules.join(", ")))
        )?;
    }
    writeln!(out)
}

/// The canonicalisation rules that any comparison used.
pub fn rules(outcome: &Outcome) -> Vec<&'static str> {
    let used: std::collections::BTreeSet<_> = outcome
        .comparisons
        .iter()
        .flat_map(|comparison| &comparison.diff.rules)
        .collect();
    used.into_iter().map(|rule| rule.name()).collect()
}

fn sum(costs: &[Cost]) -> Cost {
    let mut sum = Cost::default();
    costs.iter().for_each(|cost| sum += *cost);
    sum
}

fn packets(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let nothing = Vec::new();
    let journeys = outcome
        .runs
        .iter()
        .find_map(|run| run.result.as_ref().ok())
        .map_or(&nothing, |recording| &recording.journeys);
    for (index, (stimulus, journey)) in outcome.case.plan.stimuli.iter().zip(journeys).enumerate() {
        writeln!(out, "{:>7}  {}", index + 1, arrival(stimulus))?;
        writeln!(out, "{:9}{}", "", Styled(FAINT, fate(journey)))?;
        for answer in &journey.answers {
            writeln!(out, "{:>7}  {}", "answer", describe::answer(answer))?;
            writeln!(out, "{:9}{}", "", Styled(FAINT, fate(&answer.journey)))?;
        }
    }
    Ok(())
}

/// What the kernel made of the programs, a line each.
fn loads(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    for run in &outcome.runs {
        let loads = run.result.iter().flat_map(|recording| &recording.loads);
        for load in loads {
            let line = format_args!("{} loaded {}", run.arm, describe::load(load));
            writeln!(out, "{:9}{}", "", Styled(FAINT, line))?;
        }
    }
    Ok(())
}

/// What a call gave, verdicts, ends, events and cost of a journey.
pub fn fate(journey: &Journey) -> String {
    let verdicts: Vec<String> = journey.hops.iter().map(Hop::outcome).collect();
    let verdicts = verdicts.chunk_by(|one, next| one == next);
    let verdicts: Vec<String> = verdicts.map(in_a_row).collect();
    let at_sockets = journey.socket_hops.iter().map(describe::socket_hop);
    let at_sockets: Vec<String> = at_sockets.collect();
    let ends: Vec<String> = journey.ends.iter().map(describe::way).collect();
    let events = describe::events(journey.events.len());
    let cost = journey.cost().map(describe::cost).unwrap_or_default();
    let called = journey.called.as_ref().map(ToString::to_string);
    let mut parts = vec![
        called.unwrap_or_default(),
        at_sockets.join(", "),
        verdicts.join(", "),
        ends.join(", "),
        events,
        cost,
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// The same again and again.
fn in_a_row(same: &[String]) -> String {
    /// So many are still seen at a glance.
    const FEW: usize = 4;
    match same {
        [first, ..] if same.len() > FEW => format!("{first} {} times", same.len()),
        _ => same.join(", "),
    }
}

/// A stimulus in a line.
pub fn arrival(stimulus: &Stimulus) -> String {
    match &stimulus.kind {
        StimulusKind::Frame {
            node,
            device,
            bytes,
            ..
        } => format!("{} <- {}", node.with(device), frame::line(bytes)),
        StimulusKind::Call { node, socket, call } => node.with(call.line(socket)),
        StimulusKind::Change { node, changes } => {
            let written = changes.iter();
            let written = written.filter(|change| matches!(change, MapChange::Write { .. }));
            let written = written.count();
            let deleted = changes.len() - written;
            node.with(format_args!(
                "map entries change: {written} written, {deleted} deleted"
            ))
        }
        StimulusKind::Collect { node, object } => {
            node.with(format_args!("{object}: what has expired is collected"))
        }
    }
}

struct Report<'a> {
    outcome: &'a Outcome,
    source: &'a Source,
    options: TextOptions,
}

impl Report<'_> {
    fn diff(
        &self,
        out: &mut impl Write,
        diff: &Diff,
        left: &str,
        right: &str,
        head: &str,
    ) -> io::Result<()> {
        if diff.is_empty() {
            return Ok(());
        }
        writeln!(out, "  {head}")?;
        let frame = Frame {
            left,
            right,
            width: self.options.width,
            indent: 8,
        };
        for packet in diff.packets.iter().take(SHOWN) {
            self.packet(out, packet, frame)?;
        }
        if diff.packets.len() > SHOWN {
            writeln!(
                out,
                "    and {}; --json shows all",
                counted(diff.packets.len() - SHOWN, "more packet", "more packets")
            )?;
        }
        for difference in &diff.maps {
            writeln!(out, "    at the end, {}", difference.place)?;
            frame.write(out, &difference.values)?;
        }
        for rule in &diff.rules {
            writeln!(
                out,
                "    {}",
                Styled(FAINT, format_args!("rule {rule}: {}", rule.reason()))
            )?;
        }
        Ok(())
    }

    fn packet(
        &self,
        out: &mut impl Write,
        packet: &PacketDiff,
        frame: Frame<'_>,
    ) -> io::Result<()> {
        let plan = &self.outcome.case.plan;
        let number = packet.stimulus + 1;
        let arrival = plan
            .stimuli
            .get(packet.stimulus)
            .map(arrival)
            .unwrap_or_default();
        let is_call = plan
            .stimuli
            .get(packet.stimulus)
            .is_some_and(Stimulus::is_call);
        let what = if is_call { "call" } else { "packet" };
        writeln!(
            out,
            "    {what} {number} of {}: {arrival}",
            plan.stimuli.len()
        )?;
        if let Some(expected) = self.outcome.case.expectations.packets.get(packet.stimulus) {
            let path = self.source.path.display();
            writeln!(
                out,
                "      {}",
                Styled(FAINT, format_args!("{path}:{}", expected.line))
            )?;
        }
        table::before(out, 6, &packet.before)?;
        for difference in &packet.differences {
            writeln!(out, "      {}", difference.place)?;
            frame.write(out, &difference.values)?;
        }
        packet
            .trace
            .iter()
            .try_for_each(|trace| instructions(out, trace))
    }
}

/// What a program executed, as the verifier prints instructions: what wrote to the fields in question, and the end.
fn instructions(out: &mut impl Write, trace: &HopTrace) -> io::Result<()> {
    let (hop, shown, count) = (trace.hop + 1, trace.steps.len(), trace.count);
    for FieldWrites { field, last } in &trace.writes {
        if last.is_empty() {
            writeln!(out, "      hop {hop} in the emulator did not write {field}")?;
        }
        if let Some(numbers) = numbers(last) {
            writeln!(
                out,
                "      hop {hop} in the emulator wrote {field} with {numbers} of {count}"
            )?;
        }
        last.iter()
            .try_for_each(|(_, step)| instruction(out, step))?;
    }
    let part = match shown as u64 == count {
        true => format!("{count}"),
        false => format!("the last {shown} of {count}"),
    };
    writeln!(out, "      hop {hop} in the emulator, {part} instructions")?;
    trace
        .steps
        .iter()
        .try_for_each(|step| instruction(out, step))
}

/// `instruction 7`, `instructions 7, 9`.
fn numbers(writes: &[(u64, TraceStep)]) -> Option<String> {
    let numbers: Vec<String> = writes
        .iter()
        .map(|(number, _)| number.to_string())
        .collect();
    let one = ["instruction", "instructions"][usize::from(numbers.len() > 1)];
    (!numbers.is_empty()).then(|| format!("{one} {}", numbers.join(", ")))
}

fn instruction(out: &mut impl Write, step: &TraceStep) -> io::Result<()> {
    if let Some(program) = &step.program {
        writeln!(out, "        {program}:")?;
    }
    if let Some(SourceLine { file, line, text }) = &step.line {
        let source = format_args!("; {text} @ {file}:{line}");
        writeln!(out, "        {}", Styled(FAINT, source))?;
    }
    let registers = step.registers.iter();
    let registers: Vec<String> = registers
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let line = format!(
        "{:>6}: {:36}  {}",
        step.slot,
        step.text,
        registers.join(", ")
    );
    writeln!(out, "        {}", line.trim_end())
}
