//! The file: a table for each object and setting, a line a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::error::Error;
use super::measure::{Answer, Load, Setting};

const HEAD: &str = "\
# Complexity of the programs

What the programs cost the kernels that load them. `cargo xtask complexity` writes this file, and
`cargo xtask complexity --check` fails when a figure of it other than a time has grown by more than a tenth.

- *instructions*: those that a program can get to with its load-time constants, 8 bytes each; the rest is code that
  the verifier removes.
- *stack*: bytes of the deepest chain of calls, of 512 (`MAX_BPF_STACK`); a chain has 8 functions at most
  (`MAX_CALL_FRAMES`).
- *verified*: instructions that the verifier went through, each as often as it did, of 1,000,000
  (`BPF_COMPLEXITY_LIMIT_INSNS`). Tail calls end a program's count and begin another's; 33 may follow each other
  (`MAX_TAIL_CALL_CNT`).
- *ms*: how long the kernel took to verify and to compile, on the wall's clock; in a VM without KVM that is much.
";

/// A table.
pub struct Sheet {
    pub title: String,
    /// In the order of the columns.
    pub kernels: Vec<String>,
    pub rows: Vec<Row>,
}

/// A program.
pub struct Row {
    pub program: String,
    pub instructions: u64,
    pub stack: u64,
    /// One for each kernel.
    pub cells: Vec<Cell>,
}

/// What a kernel made of a program.
pub struct Cell {
    pub verified: u64,
    milliseconds: f64,
}

impl Sheet {
    /// The tables of what all kernels answered; the answers are of the same questions.
    pub fn all(answers: &[Answer]) -> Result<Vec<Self>, Error> {
        let kernels: Vec<String> = answers.iter().map(|answer| answer.kernel.clone()).collect();
        let Some(first) = answers.first() else {
            return Ok(Vec::new());
        };
        let tables = first.objects.iter().enumerate();
        tables
            .map(|(nth, object)| {
                let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
                for answer in answers {
                    for program in &answer.objects[nth].programs {
                        let row = rows.entry(&program.name).or_insert_with(|| Row {
                            program: program.name.clone(),
                            instructions: program.reachable,
                            stack: program.stack,
                            cells: Vec::new(),
                        });
                        let cell = Cell::new(&program.kernel);
                        row.cells.push(cell.ok_or_else(|| Error::NotCounted {
                            kernel: answer.kernel.clone(),
                            program: program.name.clone(),
                        })?);
                    }
                }
                Ok(Self {
                    title: title(&object.object, object.setting),
                    kernels: kernels.clone(),
                    rows: rows.into_values().collect(),
                })
            })
            .collect()
    }
}

impl Cell {
    fn new(load: &Load) -> Option<Self> {
        Some(Self {
            verified: load.verified_instructions?,
            milliseconds: load.load_nanoseconds as f64 / 1e6,
        })
    }
}

fn title(object: &str, setting: Setting) -> String {
    let setting = match setting {
        Setting::AllOn => "everything switched on",
        Setting::AsCompiled => "nothing switched on",
    };
    format!("{object}, {setting}")
}

/// The whole file.
pub fn page(sheets: &[Sheet]) -> String {
    let mut text = HEAD.to_owned();
    for sheet in sheets {
        let mut columns = vec!["program".to_owned()];
        columns.extend(["instructions", "stack"].map(str::to_owned));
        for kernel in &sheet.kernels {
            columns.extend([format!("verified, {kernel}"), format!("ms, {kernel}")]);
        }
        let rule: Vec<&str> = columns
            .iter()
            .enumerate()
            .map(|(nth, _)| if nth == 0 { "---" } else { "---:" })
            .collect();
        let _ = writeln!(text, "\n## {}\n", sheet.title);
        let _ = writeln!(text, "| {} |\n|{}|", columns.join(" | "), rule.join("|"));
        for row in &sheet.rows {
            let mut cells = vec![
                format!("`{}`", row.program),
                thousands(row.instructions),
                thousands(row.stack),
            ];
            for cell in &row.cells {
                cells.extend([
                    thousands(cell.verified),
                    format!("{:.1}", cell.milliseconds),
                ]);
            }
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// 12345 is 12,345.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
