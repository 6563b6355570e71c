//! The first process in a VM that `cargo xtask vm` boots: mounts what Linux offers, loads modules, runs
//! commands, sends home what came of it, and powers off.
//!
//! What it finds in the initramfs, put there by the host:
//!
//! | path | holds |
//! |---|---|
//! | `/vm/modules/*` | kernel modules, loaded in the order of their names |
//! | `/vm/commands/*` | commands, run in the order of their names: the program and its arguments, a NUL after each |
//! | `/vm/environment` | `NAME=VALUE`, a NUL after each |
//! | `/twinpath` | where the commands start |
//!
//! What it sends home, on serial ports: the commands' standard output on the second, their standard
//! error on the third, and on the fourth a tar archive of `/out` with the highest exit code in `exit-code`.
#![allow(
    clippy::print_stderr,
    reason = "the console is where the first process complains"
)]

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::{SetArg, cfmakeraw, tcdrain, tcgetattr, tcsetattr};

const STDOUT: &str = "/dev/ttyS1";
const STDERR: &str = "/dev/ttyS2";
const RESULTS: &str = "/dev/ttyS3";
const OUT: &str = "/out";

/// What a shell says of a command that could not be started.
const NOT_STARTED: i32 = 126;

fn main() {
    let code = match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vm-init: {error}");
            NOT_STARTED
        }
    };
    if let Err(error) = send_results(code) {
        eprintln!("vm-init: failed to send the results: {error}");
    }
    // qemu is told not to reboot, so this ends the machine, without the help of ACPI.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

fn run() -> io::Result<i32> {
    mount_all()?;
    load_modules("/vm/modules")?;
    fs::create_dir_all(OUT)?;
    let mut worst = 0;
    for command in sorted("/vm/commands")? {
        worst = worst.max(run_command(&command)?);
    }
    Ok(worst)
}

fn run_command(path: &Path) -> io::Result<i32> {
    let mut child = start(path)?;
    let copies = [
        child.stdout.take().map(|from| copy(from, STDOUT)),
        child.stderr.take().map(|from| copy(from, STDERR)),
    ];
    let status = child.wait()?;
    for copy in copies.into_iter().flatten() {
        copy.join()
            .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
    }
    Ok(status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

fn mount_all() -> io::Result<()> {
    let mounts = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("bpf", "/sys/fs/bpf"),
        ("cgroup2", "/sys/fs/cgroup"),
    ];
    for (kind, target) in mounts {
        fs::create_dir_all(target)?;
        mount(
            Some(kind),
            target,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        )
        .map_err(|error| io::Error::other(format!("failed to mount {target}: {error}")))?;
    }
    Ok(())
}

/// The files of a folder, by name.
fn sorted(folder: &str) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    Ok(files)
}

fn load_modules(folder: &str) -> io::Result<()> {
    for module in sorted(folder)? {
        let file = File::open(&module)?;
        finit_module(&file, &CString::default(), ModuleInitFlags::empty()).map_err(|error| {
            io::Error::other(format!("failed to load {}: {error}", module.display()))
        })?;
    }
    Ok(())
}

fn start(command: &Path) -> io::Result<Child> {
    let words = nul_separated(command)?;
    let Some((program, arguments)) = words.split_first() else {
        let what = format!("{} is empty", command.display());
        return Err(io::Error::other(what));
    };
    let mut command = Command::new(OsStr::from_bytes(program));
    command
        .args(arguments.iter().map(|word| OsStr::from_bytes(word)))
        .current_dir("/twinpath")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for variable in nul_separated(Path::new("/vm/environment"))? {
        if let Some(end) = variable.iter().position(|byte| *byte == b'=') {
            let (name, value) = variable.split_at(end);
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(&value[1..]));
        }
    }
    command.spawn()
}

fn nul_separated(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let bytes = fs::read(path)?;
    let words = bytes.split_inclusive(|byte| *byte == 0);
    Ok(words
        .map(|word| word.strip_suffix(&[0]).unwrap_or(word).to_vec())
        .collect())
}

/// A port that passes bytes on as they are, without a terminal's ideas of lines.
fn port(path: &str) -> io::Result<File> {
    let port = OpenOptions::new().read(true).write(true).open(path)?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    Ok(port)
}

fn copy(
    mut from: impl Read + Send + 'static,
    to: &'static str,
) -> thread::JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let mut to = port(to)?;
        io::copy(&mut from, &mut to)?;
        to.flush()?;
        Ok(tcdrain(&to)?)
    })
}

fn send_results(code: i32) -> io::Result<()> {
    let code = code.to_string();
    let mut header = tar::Header::new_gnu();
    header.set_size(code.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(port(RESULTS)?);
    archive.append_data(&mut header, "exit-code", code.as_bytes())?;
    archive.append_dir_all("out", OUT)?;
    let port = archive.into_inner()?;
    Ok(tcdrain(&port)?)
}
