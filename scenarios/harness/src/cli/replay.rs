//! `twinpath replay`.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use twinpath_machine::{AttachType, Object, ProgramType};
use twinpath_pcaps::{AtomicFile, Capture, Frame, InterfaceId, PcapNgWriter, Timestamp};

use twinpath_control::Names;

use crate::arm::kernel_usable;
use crate::datapath::is_datapath;
use crate::decode::Decoder;
use crate::diff::{self, Leeway};
use crate::object::Contents;
use crate::plan::NodeName;
use crate::recording::Recording;
use crate::replay::{self, DEVICE, Emulated, EmulatedOptions, Ran, Replayer, Setup, takes_packets};
use crate::report::{self, ReplaySummary, Replayed};
use crate::scenario::suggest;

use super::args::{BackendChoice, ReplayArgs};
use super::error::CliError;
use super::progress::{Progress, Unit};
use super::screen::Screen;
use super::{DIFFERENT, EQUAL, object, width};

/// Replays a capture through one program, packet by packet: neither the capture nor what comes of it is
/// held in memory.
pub fn replay(args: &ReplayArgs) -> Result<u8, CliError> {
    if let (BackendChoice::Kernel, Some(option)) = (backend(args), args.emulator.given()) {
        return Err(CliError::without_emulator(option));
    }
    let (bytes, object) = object::read(&args.object)?;
    let setup = Setup {
        path: args.object.clone(),
        bytes: bytes.into(),
        program: args.program.clone(),
        kind: kind(args, &object)?,
        globals: object::globals(&args.set, &object, &args.object)?,
        max_entries: object::entries(&args.entries, &object, &args.object)?,
    };
    match backend(args) {
        BackendChoice::Emulator => {
            let mut emulated = emulated(args, &setup, false)?;
            session(args, &setup, &mut emulated, None)
        }
        BackendChoice::Kernel => {
            kernel_usable()?;
            in_kernel(&setup, |kernel| session(args, &setup, kernel, None))
        }
        BackendChoice::Both => {
            kernel_usable()?;
            in_kernel(&setup, |kernel| {
                let mut emulated = emulated(args, &setup, true)?;
                session(args, &setup, &mut emulated, Some(kernel))
            })
        }
    }
}

#[cfg(target_os = "linux")]
use replay::with_kernel as in_kernel;

#[cfg(not(target_os = "linux"))]
fn in_kernel(
    _: &Setup,
    _: impl FnOnce(&mut dyn Replayer) -> Result<u8, CliError>,
) -> Result<u8, CliError> {
    kernel_usable()?;
    Ok(EQUAL)
}

/// The clock at the first packet: so late that nothing seems to have been before the machine came up.
const CLOCK: Duration = Duration::from_secs(3600);

const fn backend(args: &ReplayArgs) -> BackendChoice {
    if args.kernel {
        BackendChoice::Kernel
    } else {
        args.backend
    }
}

fn emulated(args: &ReplayArgs, setup: &Setup, test_run: bool) -> Result<Emulated, CliError> {
    let given = &args.emulator;
    let options = EmulatedOptions {
        engine: given.engine.unwrap_or_default().into(),
        cpus: given.cpus.unwrap_or(1),
        seed: given.seed.unwrap_or(0),
        mtu: given.mtu.unwrap_or(65_535),
        test_run,
    };
    Ok(Emulated::new(setup, options)?)
}

/// The program's type, which must be one that takes packets.
fn kind(args: &ReplayArgs, object: &Object) -> Result<ProgramType, CliError> {
    let found = object::program(object, &args.object, &args.program)?;
    let what = || format!("program `{}` of {}", args.program, args.object.display());
    if let Some(attach @ (AttachType::XdpDevmap | AttachType::XdpCpumap)) = found.attach {
        return Err(CliError::Input(format!(
            "{} is for entries of maps ({attach}), and Linux runs it nowhere else: expected a program that redirects to \
             them, in a scenario",
            what()
        )));
    }
    match args.kind.unwrap_or(found.kind) {
        ProgramType::Unspecified => Err(CliError::Input(format!(
            "{} is in section `{}`, whose name tells no type: expected --type",
            what(),
            found.section
        ))),
        kind if takes_packets(kind) => Ok(kind),
        kind => {
            let known = (1..).map_while(ProgramType::from_number);
            let known = known.filter(|kind| takes_packets(*kind));
            Err(CliError::Input(format!(
                "{} is of type {kind}, which takes no packets of a capture: expected {}",
                what(),
                suggest::list(known.map(ProgramType::name))
            )))
        }
    }
}

/// Runs one side over the capture, or two next to each other.
fn session(
    args: &ReplayArgs,
    setup: &Setup,
    left: &mut dyn Replayer,
    mut right: Option<&mut dyn Replayer>,
) -> Result<u8, CliError> {
    let mut capture = Capture::open(&args.pcap)?.with_cut_frames();
    let mut sinks = Sinks::new(args, setup, &capture)?;
    let mut frame = Frame::default();
    let mut first = None;
    let clock = args.emulator.clock.unwrap_or(CLOCK);
    while capture
        .read_into(&mut frame)
        .map_err(|error| sinks.stop(error))?
    {
        let seen = Duration::from(frame.at);
        let at = clock + seen.saturating_sub(*first.get_or_insert(seen));
        let ran = left.packet(at, &frame.bytes)?;
        let other = match &mut right {
            Some(right) => Some(right.packet(at, &frame.bytes)?),
            None => None,
        };
        sinks.packet(at, &frame, &ran, other.as_ref())?;
        sinks.show(capture.progress().read)?;
    }
    if let Some(right) = right {
        let recording = |side: &dyn Replayer| -> Result<Recording, CliError> {
            Ok(Recording {
                maps: side.maps()?,
                ..Recording::default()
            })
        };
        let diff = diff::compare(
            &recording(left)?,
            &recording(right)?,
            &sinks.decoder,
            &Leeway::default(),
        );
        sinks.summary.add_maps(diff.maps);
    }
    sinks.finish()
}

/// Where results go.
struct Sinks {
    screen: Screen,
    progress: Progress,
    json: bool,
    width: usize,
    capture: Option<Output>,
    summary: ReplaySummary,
    decoder: Decoder,
}

/// The capture of what came out.
struct Output {
    writer: PcapNgWriter<AtomicFile>,
    interface: InterfaceId,
}

impl Sinks {
    fn new(args: &ReplayArgs, setup: &Setup, capture: &Capture) -> Result<Self, CliError> {
        let own = Contents::read(&setup.bytes).is_ok_and(|contents| is_datapath(&contents));
        Ok(Self {
            screen: Screen::new(args.write.is_some()),
            progress: Progress::new(Unit::Bytes(capture.progress().total)),
            json: args.json,
            width: width(),
            capture: args.write.as_deref().map(Output::new).transpose()?,
            summary: ReplaySummary::default(),
            decoder: Decoder::new(
                own.then(|| ((NodeName::only(), setup.object()), vec![Names::default()])),
            ),
        })
    }

    fn packet(
        &mut self,
        at: Duration,
        frame: &Frame,
        ran: &Ran,
        other: Option<&Ran>,
    ) -> Result<(), CliError> {
        let packet = Replayed {
            number: self.summary.packets() + 1,
            at,
            device: ran.ends.is_some().then_some(DEVICE),
            bytes: &frame.bytes,
            original_len: frame.original_len,
            ran,
            other,
        };
        self.summary.add(&packet, &self.decoder);
        let out = self.screen.writer();
        if self.json {
            serde_json::to_writer(&mut *out, &packet.line(&self.decoder))
                .map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            packet.write(out, &self.decoder, self.width)?;
        }
        self.screen.relieve(&self.progress)?;
        match &mut self.capture {
            Some(output) => output.packet(at, ran),
            None => Ok(()),
        }
    }

    fn show(&mut self, read: u64) -> Result<(), CliError> {
        if self.progress.show(read) {
            self.screen.flush(&self.progress)?;
        }
        Ok(())
    }

    /// Writes what there is before an error is told.
    fn stop(&mut self, error: impl Into<CliError>) -> CliError {
        match self.screen.flush(&self.progress) {
            Ok(()) => error.into(),
            Err(gone) => gone.into(),
        }
    }

    fn finish(mut self) -> Result<u8, CliError> {
        let out = self.screen.writer();
        if self.json {
            for difference in self.summary.map_lines() {
                serde_json::to_writer(&mut *out, &difference).map_err(io::Error::from)?;
                writeln!(out)?;
            }
        } else {
            self.summary.write(out, self.width)?;
        }
        self.screen.flush(&self.progress)?;
        if let Some(output) = self.capture {
            output.writer.finish()?.commit()?;
        }
        Ok(if self.summary.is_good() {
            EQUAL
        } else {
            DIFFERENT
        })
    }
}

impl Output {
    fn new(path: &Path) -> Result<Self, CliError> {
        let mut writer = PcapNgWriter::new(AtomicFile::create(path)?)?;
        let interface = writer.interface(DEVICE)?;
        Ok(Self { writer, interface })
    }

    fn packet(&mut self, at: Duration, ran: &Ran) -> Result<(), CliError> {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        for bytes in ran.out() {
            let mut frame = Frame::new(Timestamp::from_nanos(nanos), bytes.to_vec());
            frame.interface = self.interface;
            frame.comment = Some(report::fate_of(ran));
            self.writer.frame(&frame)?;
        }
        Ok(())
    }
}
