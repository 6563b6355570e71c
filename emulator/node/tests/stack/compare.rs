//! The same stimuli in both worlds.

use super::canonical::canonical;
use super::emulated::Emulated;
use super::kernel::{Kernel, in_thread};
use super::net::{Network, Port, Seen, Stimulus};

/// A network, and what happens to it, each with a word about it.
pub struct Case {
    pub name: String,
    pub network: Network,
    pub stimuli: Vec<(String, Stimulus)>,
}

/// Builds a case's network twice and compares each step; the differences.
pub fn run(case: &Case) -> Vec<String> {
    in_thread(|| {
        let mut kernel = Kernel::build(&case.network);
        let mut emulated = Emulated::build(&case.network);
        let mut differences = Vec::new();
        for (word, stimulus) in &case.stimuli {
            let mut expected = sorted(&case.network, kernel.step(stimulus));
            let mut found = sorted(&case.network, emulated.step(stimulus));
            if matches!(stimulus, Stimulus::Wait(_)) {
                // Timers of the same time have no order.
                expected.sort();
                found.sort();
            }
            if std::env::var_os("TWINPATH_SHOW").is_some() {
                eprintln!("{}: {word}\n{}", case.name, show(&expected));
            }
            if expected != found {
                differences.push(format!(
                    "{}: {word}\nkernel:\n{}emulator:\n{}its ends:\n{}",
                    case.name,
                    show(&expected),
                    show(&found),
                    emulated.account
                ));
            }
        }
        differences
    })
}

/// Runs cases and fails with all their differences.
pub fn hold(cases: &[Case]) {
    let differences: Vec<String> = cases.iter().flat_map(run).collect();
    let count = differences.len();
    assert!(
        differences.is_empty(),
        "{count} differences\n{}",
        differences.join("\n")
    );
}

/// By edge, and at each in order.
fn sorted(network: &Network, seen: Seen) -> Seen {
    let mut seen: Seen = seen
        .into_iter()
        .map(|(port, frame)| (port, canonical(network, &frame)))
        .collect();
    seen.sort_by_key(|(port, _)| *port);
    seen
}

fn show(seen: &[(Port, Vec<u8>)]) -> String {
    let lines = seen.iter().map(|(port, frame)| {
        let shown = &frame[..frame.len().min(120)];
        let words: Vec<String> = shown
            .chunks(2)
            .map(|pair| pair.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        let (node, device) = (port.node, port.device);
        format!(
            "  node {node} device {device}, {} bytes: {}\n",
            frame.len(),
            words.join(" ")
        )
    });
    let text: String = lines.collect();
    if text.is_empty() {
        "  nothing\n".to_owned()
    } else {
        text
    }
}
