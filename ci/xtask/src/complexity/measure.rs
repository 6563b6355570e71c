//! What kernels are asked, and what they answer.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use twinpath_machine::inspect::{GlobalView, inspect};
use twinpath_machine::{Alone, LoadOptions, Object};

use super::error::Error;
use crate::digest::hex;
use crate::io_error::IoError;
use crate::paths;
use crate::vm::{self, Binaries, Kernel, Machines, Streams};

/// Load-time constants of tests, which no kernel sees in production.
const SEAMS: &str = "SEAM_";

/// What a kernel is asked: a command of `twinpath` for each object and setting.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    questions: Vec<Question>,
    /// Of the objects: other objects, other answers.
    digest: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    object: String,
    setting: Setting,
    arguments: Vec<String>,
}

/// How the programs are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// With each load-time constant that is zero in the object set to ones.
    AllOn,
    /// As the object has it.
    AsCompiled,
}

/// What a kernel made of all objects.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The kernel's series: `6.1`.
    pub kernel: String,
    /// By object and setting.
    pub objects: Vec<ObjectAnswer>,
}

/// What a kernel made of an object.
#[derive(Debug, Serialize, Deserialize)]
pub struct ObjectAnswer {
    pub object: String,
    pub setting: Setting,
    pub programs: Vec<Program>,
}

/// What is read of a program in the output of `twinpath inspect --kernel --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// Instructions that it can get to with its constants.
    pub reachable: u64,
    /// Bytes of the deepest chain of calls.
    pub stack: u64,
    pub kernel: Load,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    pub load_nanoseconds: u64,
    pub verified_instructions: Option<u64>,
}

/// A line of the output; lines of other commands have no programs.
#[derive(Deserialize)]
struct Line {
    programs: Vec<Program>,
}

impl Questions {
    /// What is to be asked about the objects of a folder.
    pub fn about(folder: &Path) -> Result<Self, Error> {
        let entries = fs::read_dir(folder).map_err(IoError::on("read", folder))?;
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()
            .map_err(IoError::on("read", folder))?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "o"));
        files.sort();
        let mut all = Vec::new();
        let mut questions = Vec::new();
        for file in files {
            let bytes = fs::read(&file).map_err(IoError::on("read", &file))?;
            all.extend(&bytes);
            let switches = switches(&bytes).map_err(|detail| Error::Object {
                path: file.clone(),
                detail,
            })?;
            let path = file.strip_prefix(paths::root()).unwrap_or(&file);
            let name = file.file_name().unwrap_or_default();
            for setting in [Setting::AllOn, Setting::AsCompiled] {
                let mut arguments = vec![
                    "inspect".to_owned(),
                    path.to_string_lossy().into_owned(),
                    "--kernel".to_owned(),
                    "--json".to_owned(),
                    "--no-disassembly".to_owned(),
                ];
                if setting == Setting::AllOn {
                    arguments.extend(switches.clone());
                }
                questions.push(Question {
                    object: name.to_string_lossy().into_owned(),
                    setting,
                    arguments,
                });
            }
        }
        Ok(Self {
            questions,
            digest: hex(&all),
        })
    }

    /// The arguments of each command.
    pub fn commands(&self) -> Vec<Vec<OsString>> {
        let questions = self.questions.iter();
        questions
            .map(|question| question.arguments.iter().map(OsString::from).collect())
            .collect()
    }

    /// Asks the kernel of this machine.
    pub fn here(&self, binaries: &Binaries) -> Result<Answer, Error> {
        let kernel = vm::series_here();
        let mut stdout = Vec::new();
        for arguments in self.commands() {
            let mut twinpath = Command::new(&binaries.twinpath);
            let output = twinpath.current_dir(paths::root()).args(arguments).output();
            let output = output.map_err(IoError::on("run", &binaries.twinpath))?;
            if !output.status.success() {
                return Err(Error::NoAnswer {
                    kernel,
                    detail: String::from_utf8_lossy(&output.stderr).into_owned(),
                });
            }
            stdout.extend(output.stdout);
        }
        self.answer(kernel, &stdout)
    }

    /// Asks another kernel, unless it has answered the same before.
    pub fn there(
        &self,
        machines: &Machines,
        kernel: &Kernel,
        binaries: &Binaries,
    ) -> Result<Answer, Error> {
        if let Some((questions, answer)) = kept(&kernel.name)
            && questions == *self
        {
            return Ok(answer);
        }
        let mut stdout = Vec::new();
        let streams = Streams {
            stdout: &mut stdout,
            stderr: &mut io::stderr(),
        };
        machines.boot(kernel, binaries, &self.commands(), None, streams)?;
        self.keep(&kernel.name, &stdout)
    }

    /// Finds the answers in what a kernel printed, among other things, and keeps them.
    pub fn keep(&self, kernel: &str, stdout: &[u8]) -> Result<Answer, Error> {
        let answer = self.answer(kernel.to_owned(), stdout)?;
        let path = keeping_place(kernel);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(IoError::on("create", folder))?;
        let text = serde_json::to_vec(&(self, &answer)).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(IoError::on("write", &path))?;
        Ok(answer)
    }

    fn answer(&self, kernel: String, stdout: &[u8]) -> Result<Answer, Error> {
        let stdout = String::from_utf8_lossy(stdout);
        let lines = stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Line> = lines.collect();
        if lines.len() != self.questions.len() {
            return Err(Error::NoAnswer {
                kernel,
                detail: stdout.into_owned(),
            });
        }
        let answers = self.questions.iter().zip(lines);
        Ok(Answer {
            kernel,
            objects: answers
                .map(|(question, line)| ObjectAnswer {
                    object: question.object.clone(),
                    setting: question.setting,
                    programs: line.programs,
                })
                .collect(),
        })
    }
}

fn keeping_place(kernel: &str) -> PathBuf {
    paths::target().join(format!("vm/complexity/{kernel}.json"))
}

/// What a kernel answered last; nothing if that cannot be read any more.
fn kept(kernel: &str) -> Option<(Questions, Answer)> {
    serde_json::from_slice(&fs::read(keeping_place(kernel)).ok()?).ok()
}

/// The arguments that set each load-time constant of an object that is zero to ones.
fn switches(object: &[u8]) -> Result<Vec<String>, String> {
    let object = Object::parse(object).map_err(|error| error.to_string())?;
    let inspection = inspect(&object, &LoadOptions::default(), &Alone);
    let inspection = inspection.map_err(|error| error.to_string())?;
    let off = |view: &&GlobalView| {
        !view.global.writable
            && !view.global.name.starts_with(SEAMS)
            && view.value.iter().all(|byte| *byte == 0)
    };
    let switches = inspection.globals.iter().filter(off);
    Ok(switches
        .flat_map(|view| {
            let ones = "ff".repeat(view.value.len());
            [
                "--set".to_owned(),
                format!("{}=\"{ones}\"", view.global.name),
            ]
        })
        .collect())
}
