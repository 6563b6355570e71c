//! The figures of the file beside those of today.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::sheet::{Sheet, thousands};

/// All figures but the times: by table and program, and by the column's name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures(BTreeMap<Program, BTreeMap<String, u64>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Program {
    sheet: String,
    name: String,
}

/// Of what may be a time, nothing is read.
const TIME: &str = "ms, ";

impl Figures {
    /// Those of tables.
    pub fn of(sheets: &[Sheet]) -> Self {
        let mut figures = Self::default();
        for sheet in sheets {
            for row in &sheet.rows {
                let verified = sheet.kernels.iter().zip(&row.cells);
                let verified =
                    verified.map(|(kernel, cell)| (format!("verified, {kernel}"), cell.verified));
                let own = [("instructions", row.instructions), ("stack", row.stack)];
                let own = own.map(|(column, number)| (column.to_owned(), number));
                let program = Program {
                    sheet: sheet.title.clone(),
                    name: row.program.clone(),
                };
                figures
                    .0
                    .insert(program, own.into_iter().chain(verified).collect());
            }
        }
        figures
    }

    /// Reads the file.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut figures = Self::default();
        let mut sheet = String::new();
        let mut columns: Vec<&str> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let wrong = |expected| Error::BadFile { line, expected };
            if let Some(title) = text.strip_prefix("## ") {
                title.clone_into(&mut sheet);
                columns.clear();
            }
            let row = text
                .strip_prefix("| ")
                .and_then(|row| row.strip_suffix(" |"));
            let Some(row) = row else {
                continue;
            };
            let cells: Vec<&str> = row.split(" | ").collect();
            if columns.is_empty() {
                columns = cells;
                continue;
            }
            if cells.len() != columns.len() {
                return Err(wrong("as many cells as the table has columns"));
            }
            let mut numbers = BTreeMap::new();
            for (column, cell) in columns.iter().zip(&cells).skip(1) {
                if !column.starts_with(TIME) {
                    let number = cell.replace(',', "").parse();
                    let number =
                        number.map_err(|_| wrong("a number in each column but the first"))?;
                    numbers.insert((*column).to_owned(), number);
                }
            }
            let program = Program {
                sheet: sheet.clone(),
                name: cells[0].trim_matches('`').to_owned(),
            };
            figures.0.insert(program, numbers);
        }
        Ok(figures)
    }
}

/// Whether the figures of today are those of the file, or not much above.
///
/// # Errors
/// With each that has grown by more than a tenth, and each program that the file lacks or that is no more.
pub fn check(recorded: &Figures, today: &Figures) -> Result<(), Error> {
    let programs: BTreeSet<&Program> = recorded.0.keys().chain(today.0.keys()).collect();
    let complaints: String = programs
        .into_iter()
        .flat_map(|program| complaints(program, recorded, today))
        .map(|complaint| complaint + "\n")
        .collect();
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Error::Grown { complaints })
    }
}

fn complaints(program: &Program, recorded: &Figures, today: &Figures) -> Vec<String> {
    let Program { sheet, name } = program;
    let (old, new) = match (recorded.0.get(program), today.0.get(program)) {
        (Some(old), Some(new)) => (old, new),
        (None, _) => return vec![format!("{name} ({sheet}) is not in the file")],
        (Some(_), None) => return vec![format!("{name} ({sheet}) is no more")],
    };
    // The file need not have been written on this machine, whose kernel may be another one.
    let both = old
        .iter()
        .filter_map(|(column, old)| Some((column, *old, *new.get(column)?)));
    both.filter(|(_, old, new)| new * 10 > old * 11)
        .map(|(column, old, new)| {
            let (old, new) = (thousands(old), thousands(new));
            format!("{name} ({sheet}), {column}: {old} before, {new} now")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::measure::{Answer, Load, ObjectAnswer, Program, Setting};
    use super::super::sheet::page;
    use super::*;

    /// A program on two kernels.
    fn sheets(program: &str, stack: u64, verified: [u64; 2]) -> Vec<Sheet> {
        let answers = ["6.1", "6.12"].into_iter().zip(verified);
        let answers: Vec<Answer> = answers
            .map(|(kernel, verified)| Answer {
                kernel: kernel.to_owned(),
                objects: vec![ObjectAnswer {
                    object: "twinpath.o".to_owned(),
                    setting: Setting::AllOn,
                    programs: vec![Program {
                        name: program.to_owned(),
                        reachable: 1000,
                        stack,
                        kernel: Load {
                            load_nanoseconds: 1_500_000,
                            verified_instructions: Some(verified),
                        },
                    }],
                }],
            })
            .collect();
        Sheet::all(&answers).expect("all is counted")
    }

    fn checked(today: &[Sheet]) -> Result<(), String> {
        let recorded = page(&sheets("xdp_entry", 64, [2000, 30_000]));
        let recorded = Figures::parse(&recorded).expect("the file is as it was written");
        check(&recorded, &Figures::of(today)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_written_is_read_again() {
        let sheets = sheets("xdp_entry", 64, [2000, 1_030_000]);
        let text = page(&sheets);
        assert!(
            text.contains("| `xdp_entry` | 1,000 | 64 | 2,000 | 1.5 | 1,030,000 | 1.5 |"),
            "{text}"
        );
        assert_eq!(Figures::parse(&text).expect("a file"), Figures::of(&sheets));
    }

    #[test]
    fn a_tenth_more_is_too_much_when_it_is_exceeded() {
        assert_eq!(checked(&sheets("xdp_entry", 64, [2200, 30_000])), Ok(()));
        assert_eq!(checked(&sheets("xdp_entry", 8, [20, 30])), Ok(()));
        let sheet = "(twinpath.o, everything switched on)";
        let grown = |program, stack, verified| {
            checked(&sheets(program, stack, verified)).expect_err("it has grown")
        };
        for (error, complaints) in [
            (
                grown("xdp_entry", 64, [2201, 30_000]),
                vec![format!(
                    "xdp_entry {sheet}, verified, 6.1: 2,000 before, 2,201 now"
                )],
            ),
            (
                grown("xdp_entry", 72, [2000, 40_000]),
                vec![
                    format!("xdp_entry {sheet}, stack: 64 before, 72 now"),
                    format!("xdp_entry {sheet}, verified, 6.12: 30,000 before, 40,000 now"),
                ],
            ),
            (
                grown("tc_entry", 64, [2000, 30_000]),
                vec![
                    format!("tc_entry {sheet} is not in the file"),
                    format!("xdp_entry {sheet} is no more"),
                ],
            ),
        ] {
            let told: Vec<&str> = error.lines().filter(|line| line.contains(sheet)).collect();
            assert_eq!(told, complaints, "{error}");
            assert!(error.contains("run `cargo xtask complexity`"), "{error}");
        }
    }

    #[test]
    fn a_broken_file_is_named_by_line() {
        let text = page(&sheets("xdp_entry", 64, [2000, 30_000])).replace("2,000", "much");
        let error = Figures::parse(&text).expect_err("no number").to_string();
        let line = text
            .lines()
            .take_while(|line| !line.contains("much |"))
            .count()
            + 1;
        let expected = format!("line {line}: expected a number");
        assert!(error.contains(&expected), "{error}");
    }
}
