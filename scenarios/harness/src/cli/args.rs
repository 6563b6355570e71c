//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use twinpath_machine::ProgramType;

use crate::scenario::suggest;

/// Runs eBPF datapath programs in the kernel and in user space and shows every difference.
#[derive(Debug, Parser)]
#[command(
    name = "twinpath",
    version,
    styles = styles(),
    max_term_width = 100,
    after_help = "Exit status: 0 all as expected and equal, 1 a difference, 2 a usage or input error."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and show what is not as expected and what differs
    Run(RunArgs),
    /// Replay a capture through a program of any object file
    Replay(ReplayArgs),
    /// Show what is in an object file, and what the emulator lacks for it
    Inspect(InspectArgs),
    /// Draw the network of a scenario: nodes, devices, wires, tunnels and programs
    Show(ShowArgs),
    /// Remove what runs in the kernel have left that were killed: their cgroups
    Clean,
    /// Print the JSON schema of scenario files
    #[command(hide = true)]
    Schema,
}

/// `twinpath run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  twinpath run                                      all of scenarios/suite, kernel and emulator
  twinpath run scenarios/suite/service              one topic
  twinpath run my.toml --backend emulator           without root
  twinpath run my.toml --packets                    a line for each packet
  twinpath run my.toml --out captures               captures/my.kernel.pcapng, to open in Wireshark
  twinpath run --json | jq 'select(.status == \"different\")'

Without --backend, the kernel runs too if this process may use it.")]
pub struct RunArgs {
    /// Scenario files, or folders of them
    #[arg(value_name = "PATH", default_value = "scenarios/suite")]
    pub paths: Vec<PathBuf>,
    /// Where to run the programs [default: both, or the emulator if the kernel cannot be used]
    #[arg(long, value_enum)]
    pub backend: Option<BackendChoice>,
    /// The emulator's engine [default: checked]
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
    /// How many scenarios run at a time [default: two for each processor]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Compare by no canonicalisation rule: what a rule would hide is a difference
    #[arg(long)]
    pub strict: bool,
    /// Have the frames of a step arrive at one time, in the kernel without waiting between them: faster, and whose a record is
    /// is told by bytes
    #[arg(long)]
    pub batch: bool,
    /// Print a JSON object for each scenario, on a line of its own
    #[arg(long)]
    pub json: bool,
    /// Print a line for each packet: verdicts, ends and cost
    #[arg(long, conflicts_with = "json")]
    pub packets: bool,
    /// Write a pcapng file for each scenario and backend into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write a JUnit report into this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `twinpath show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  twinpath show scenarios/suite/node/overlay.toml
  twinpath show scenarios/suite/node/overlay.toml --svg overlay.svg")]
pub struct ShowArgs {
    /// A scenario file
    pub scenario: PathBuf,
    /// Write an SVG image into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// `twinpath replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  twinpath replay filter.o --program drop_syn --pcap web.pcapng
  twinpath replay filter.o --program drop_syn --pcap web.pcap.gz --json | jq .verdict.name
  twinpath replay nat.o --program xdp_nat --pcap in.pcap --write out.pcapng --clock 6h --seed 7
  twinpath replay nat.o --program xdp_nat --pcap in.pcap --set mode=2 --set 'vip={ ip = \"192.0.2.80\" }'
  twinpath replay filter.o --program drop_syn --pcap web.pcap --backend both

Maps start as the object defines them. The clock starts at --clock and goes on with the capture.
XDP and tc programs stand on a device that the packets arrive at; programs of other types, and all
when the kernel takes part, run as BPF_PROG_TEST_RUN runs them. The kernel's clock and randomness
are its own.

Exit status: 0 all packets were run and are equal on both, 1 a difference, or a program did what no
verified program may do, 2 a usage or input error.")]
pub struct ReplayArgs {
    /// The object file
    pub object: PathBuf,
    /// The program in it, by function name
    #[arg(long, value_name = "NAME")]
    pub program: String,
    /// The capture: pcap or pcapng, gzip too
    #[arg(long, value_name = "FILE")]
    pub pcap: PathBuf,
    /// Write what came out into this pcapng file
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Print a JSON object for each packet, on a line of its own
    #[arg(long)]
    pub json: bool,
    /// Where to run the program
    #[arg(long, value_enum, default_value = "emulator")]
    pub backend: BackendChoice,
    /// The same as --backend kernel
    #[arg(long, conflicts_with = "backend")]
    pub kernel: bool,
    /// Give a global variable a value: a number, or bytes as scenarios write them; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Give a map so many entries, where a loader would; may be repeated
    #[arg(long, value_name = "MAP=N", value_parser = entries)]
    pub entries: Vec<(String, u32)>,
    /// The program's type, such as xdp or sched_cls, where its section's name tells none
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub kind: Option<ProgramType>,
    /// What can be chosen in the emulator only.
    #[command(flatten)]
    pub emulator: EmulatorArgs,
}

/// What can be chosen in the emulator only.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the emulator")]
pub struct EmulatorArgs {
    /// The clock at the first packet, such as 90s or 6h [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub clock: Option<Duration>,
    /// Seed of everything random that the program can see [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// CPUs that there are, over which flows are spread [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub cpus: Option<u32>,
    /// Largest packet of the device, without the Ethernet header, in bytes [default: 65535]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=262_144))]
    pub mtu: Option<u32>,
    /// The emulator's engine [default: checked]
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
}

impl EmulatorArgs {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            ("--clock", self.clock.is_some()),
            ("--seed", self.seed.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--mtu", self.mtu.is_some()),
            ("--engine", self.engine.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        given.next().map(|(name, _)| name)
    }
}

/// `twinpath inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  twinpath inspect filter.o                         all of it
  twinpath inspect filter.o --no-disassembly        programs, maps, variables, what is missing
  twinpath inspect filter.o --program drop_syn      one program, and what it can call
  twinpath inspect filter.o --json | jq '.programs[].helpers'
  twinpath inspect filter.o --kernel --no-disassembly   and how many instructions the verifier went through

In a disassembly `-` marks what the program cannot reach, given its constants.")]
pub struct InspectArgs {
    /// The object file
    pub object: PathBuf,
    /// Only this program, by function name, and those that it can call; may be repeated
    #[arg(long, value_name = "NAME")]
    pub program: Vec<String>,
    /// The programs' type, such as xdp or sched_cls, where a section's name tells none
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub kind: Option<ProgramType>,
    /// Give a map so many entries, where a loader would; may be repeated
    #[arg(long, value_name = "MAP=N", value_parser = entries)]
    pub entries: Vec<(String, u32)>,
    /// Give a global variable a value, before the kernel verifies: a number, or bytes as scenarios write them; may be
    /// repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Have the running kernel verify each program, and show what it made of it
    #[arg(long)]
    pub kernel: bool,
    /// Leave the instructions out
    #[arg(long)]
    pub no_disassembly: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Where programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
    /// In user space
    Emulator,
    /// In the running kernel; needs privileges
    Kernel,
    /// In both, to compare
    Both,
}

/// The emulator's engines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    #[default]
    /// Twinpath's own: checks every access and counts
    Checked,
    /// The rbpf crate
    Rbpf,
}

fn styles() -> Styles {
    Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .usage(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold())
        .placeholder(AnsiColor::Cyan.on_default())
}

/// `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as mode=2".to_owned()),
    }
}

fn entries(text: &str) -> Result<(String, u32), String> {
    let (name, number) = assignment(text).map_err(|_| "expected MAP=N, such as flows=1024")?;
    match number.trim().parse() {
        Ok(number) => Ok((name, number)),
        Err(_) => Err(format!("expected a number of entries, not `{number}`")),
    }
}

/// A program type by the kernel's name, in lower case and without `BPF_PROG_TYPE_`.
fn program_type(text: &str) -> Result<ProgramType, String> {
    let known = || (1..).map_while(ProgramType::from_number);
    known().find(|kind| kind.name() == text).ok_or_else(|| {
        let names = suggest::list(known().map(ProgramType::name));
        format!("expected {names}")
    })
}
