//! The command line.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// The emulator's engine
    #[arg(long, value_enum, default_value = "checked")]
    pub engine: EngineChoice,
    /// Print a JSON object for each scenario, on a line of its own
    #[arg(long)]
    pub json: bool,
    /// Print a line for each packet: verdicts, ends and cost
    #[arg(long, conflicts_with = "json")]
    pub packets: bool,
    /// Write a pcapng file for each scenario and backend into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `twinpath replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  twinpath replay filter.o --program drop_syn --pcap web.pcapng
  twinpath replay filter.o --program drop_syn --pcap web.pcap.gz --json | jq .verdict.name
  twinpath replay nat.o --program xdp_nat --pcap in.pcap --write out.pcapng --clock 6h --seed 7

Maps start as the object defines them. The clock starts at --clock and goes on with the capture.
A program that does what no verified program may do faults: its packet is dropped, and the exit
status is 1.")]
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
    /// The clock at the first packet, such as 90s or 6h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "1h")]
    pub clock: std::time::Duration,
    /// Seed of everything random that the program can see
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The emulator's engine
    #[arg(long, value_enum, default_value = "checked")]
    pub engine: EngineChoice,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
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
