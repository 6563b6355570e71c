//! One VM, from power-on to its results.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::Error;
use super::kernel::Kernel;
use crate::io_error::IoError;
use crate::process;

const QEMU: &str = "qemu-system-x86_64";

/// A bare machine, of this kind also where KVM is tried.
const MACHINE: [&str; 10] = [
    "-cpu",
    "max",
    "-smp",
    "2",
    "-m",
    "2G",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
];

/// Of the security modules that Debian switches on, TOMOYO asks sockets for their names when they listen, which runs
/// their programs.
const COMMAND_LINE: &str = "console=ttyS0 panic=-1 mitigations=off lsm=capability";

/// How much of the console is shown when a VM ends without a result.
const CONSOLE_LINES: usize = 30;

/// How often a VM that runs is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Where the command's output goes while it runs.
pub struct Streams<'a> {
    /// Gets the standard output.
    pub stdout: &'a mut (dyn Write + Send),
    /// Gets the standard error.
    pub stderr: &'a mut (dyn Write + Send),
}

/// A VM to boot: a kernel with an initramfs that holds the command.
pub struct Machine<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// A folder for the console's log and what the VM sends home.
    pub folder: &'a Path,
    /// How long the VM may take.
    pub limit: Duration,
}

impl Machine<'_> {
    /// Boots, waits for the end, and returns the command's exit code and the archive of its `/out`.
    pub fn run(&self, streams: Streams<'_>) -> Result<(u8, PathBuf), Error> {
        let console = self.folder.join("console.log");
        let results = self.folder.join("results.tar");
        let started = Instant::now();
        let mut qemu = self.start(&console, &results)?;
        let (stdout, stderr) = (qemu.stdout.take(), qemu.stderr.take());
        let ended = thread::scope(|scope| {
            let copies = [
                scope.spawn(move || copy(stdout, streams.stdout)),
                scope.spawn(move || copy(stderr, streams.stderr)),
            ];
            let ended = wait(&mut qemu, started + self.limit);
            copies.into_iter().for_each(|copy| drop(copy.join()));
            ended
        });
        ended.map_err(IoError::on("wait for", QEMU))?;
        exit_code(&results)
            .map(|code| (code, results))
            .ok_or_else(|| Error::NoResult {
                kernel: self.kernel.name.clone(),
                after: started.elapsed(),
                console: end_of(&console),
            })
    }

    fn start(&self, console: &Path, results: &Path) -> Result<Child, Error> {
        let port = |path: &Path| format!("file:{}", path.display());
        let mut qemu = Command::new(QEMU);
        qemu.args(["-accel", accelerator()])
            .args(MACHINE)
            .arg("-no-reboot")
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(self.initramfs)
            .args(["-append", COMMAND_LINE])
            // The four ports that ci/vm-init knows.
            .args(["-serial", &port(console)])
            .args(["-serial", "file:/dev/stdout"])
            .args(["-serial", "file:/dev/stderr"])
            .args(["-serial", &port(results)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(qemu.spawn().map_err(process::not_run(&qemu))?)
    }
}

/// KVM, where a machine that is stopped at once can be made with it: a `/dev/kvm` alone says little within
/// another VM.
fn accelerator() -> &'static str {
    let tried = Command::new(QEMU)
        .args(["-accel", "kvm", "-S", "-monitor", "stdio"])
        .args(MACHINE)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .and_then(|mut qemu| {
            if let Some(mut monitor) = qemu.stdin.take() {
                monitor.write_all(b"quit\n")?;
            }
            qemu.wait()
        });
    match tried {
        Ok(status) if status.success() => "kvm",
        _ => "tcg",
    }
}

fn copy(from: Option<impl Read>, to: &mut (dyn Write + Send)) -> io::Result<()> {
    let Some(mut from) = from else {
        return Ok(());
    };
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            read => {
                to.write_all(&buffer[..read])?;
                to.flush()?;
            }
        }
    }
}

/// Waits until qemu ends, or ends it.
fn wait(qemu: &mut Child, deadline: Instant) -> io::Result<()> {
    while qemu.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            qemu.kill()?;
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The command's exit code, if the archive has come home whole.
fn exit_code(results: &Path) -> Option<u8> {
    let mut archive = tar::Archive::new(File::open(results).ok()?);
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        if entry.path_bytes() == &b"exit-code"[..] {
            let mut text = String::new();
            entry.read_to_string(&mut text).ok()?;
            return text.parse().ok();
        }
    }
    None
}

fn end_of(console: &Path) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let first = lines.len().saturating_sub(CONSOLE_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}
