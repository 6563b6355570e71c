//! `twinpath replay`.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use twinpath_machine::ProgramType;
use twinpath_pcaps::{AtomicFile, Capture, Frame, InterfaceId, PcapNgWriter, Timestamp};

use crate::datapath::is_datapath;
use crate::decode::Decoder;
use crate::emulated::EmulatedBackend;
use crate::object::Contents;
use crate::plan::{
    Attachment, DeviceName, DevicePlan, Hook, HookKind, Ifindex, Mac, NodeName, NodePlan,
    ObjectName, ObjectPlan, Plan, Stimulus, StimulusKind,
};
use crate::recording::Journey;
use crate::report::{self, ReplayLine, ReplaySummary};
use crate::scenario::suggest;

use super::args::ReplayArgs;
use super::error::CliError;
use super::progress::Progress;
use super::{DIFFERENT, EQUAL};

/// The device that the program is attached to and the packets arrive at.
const DEVICE: &str = "eth0";

/// Its index, the same as the first device of a scenario has.
const INDEX: u32 = 10;

/// Replays a capture through one program, packet by packet: neither the capture nor what comes of it is
/// held in memory.
pub fn replay(args: &ReplayArgs) -> Result<u8, CliError> {
    let (bytes, contents) = read(args)?;
    let plan = plan(args, bytes, hook(args, &contents)?)?;
    let own = is_datapath(&contents).then(|| object_name(args));
    let mut emulation = EmulatedBackend::new(args.engine.into())
        .start(&plan)
        .map_err(|error| CliError::Input(report::chain(&error)))?;
    let mut capture = Capture::open(&args.pcap)?;
    let mut progress = Progress::new(&capture);
    let mut sinks = Sinks::new(args, Decoder::new(own))?;
    let mut frame = Frame::default();
    let mut first = None;
    while capture.read_into(&mut frame)? {
        let seen = Duration::from(frame.at);
        let since = seen.saturating_sub(*first.get_or_insert(seen));
        let stimulus = stimulus(args.clock + since, std::mem::take(&mut frame.bytes));
        let journey = emulation
            .step(&stimulus)
            .map_err(|error| CliError::Input(report::chain(&error)))?;
        sinks.packet(&stimulus, &journey)?;
        progress.show(&capture);
    }
    progress.finish();
    sinks.finish()
}

fn read(args: &ReplayArgs) -> Result<(Arc<[u8]>, Contents), CliError> {
    let path = args.object.display();
    let bytes = std::fs::read(&args.object)
        .map_err(|error| CliError::Input(format!("failed to read {path}: {error}")))?;
    let contents =
        Contents::read(&bytes).map_err(|error| CliError::Input(format!("{path} {error}")))?;
    Ok((bytes.into(), contents))
}

fn object_name(args: &ReplayArgs) -> ObjectName {
    ObjectName::new(
        args.object
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy(),
    )
}

fn plan(args: &ReplayArgs, bytes: Arc<[u8]>, kind: HookKind) -> Result<Plan, CliError> {
    let object = object_name(args);
    let device = DevicePlan {
        name: DeviceName::new(DEVICE),
        ifindex: Ifindex::new(INDEX).ok_or_else(|| CliError::Input("no index".to_owned()))?,
        mac: Mac([2, 0, 0, 0, 0, 0x0a]),
        mtu: 1500,
        addresses: Vec::new(),
    };
    let attachment = Attachment {
        object: object.clone(),
        program: args.program.clone(),
        hook: Hook {
            device: device.name.clone(),
            kind,
        },
    };
    Ok(Plan {
        name: args.program.clone(),
        nodes: vec![NodePlan {
            name: node(),
            devices: vec![device],
            objects: vec![ObjectPlan {
                name: object,
                path: args.object.clone(),
                bytes,
                globals: std::collections::BTreeMap::new(),
            }],
            maps: Vec::new(),
            attachments: vec![attachment],
            clock: None,
        }],
        stimuli: Vec::new(),
        seed: args.seed,
    })
}

fn node() -> NodeName {
    NodeName::new("node")
}

/// Where a program of its kind meets a packet that arrives.
fn hook(args: &ReplayArgs, contents: &Contents) -> Result<HookKind, CliError> {
    let path = args.object.display();
    let program = &args.program;
    match contents.programs.get(program) {
        Some(ProgramType::Xdp) => Ok(HookKind::Xdp),
        Some(ProgramType::SchedCls) => Ok(HookKind::TcIngress),
        Some(other) => Err(CliError::Input(format!(
            "program `{program}` of {path} is of type {other}: expected xdp or sched_cls"
        ))),
        None => {
            let known = || contents.programs.keys().map(String::as_str);
            let meant = suggest::nearest(program, known())
                .map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            let known = suggest::list(known());
            Err(CliError::Input(format!(
                "{path} has no program `{program}`: expected {known}{meant}"
            )))
        }
    }
}

fn stimulus(at: Duration, bytes: Vec<u8>) -> Stimulus {
    Stimulus {
        at,
        kind: StimulusKind::Frame {
            node: node(),
            device: DeviceName::new(DEVICE),
            bytes,
        },
    }
}

/// Where results go.
struct Sinks {
    out: io::BufWriter<Box<dyn Write>>,
    json: bool,
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
    fn new(args: &ReplayArgs, decoder: Decoder) -> Result<Self, CliError> {
        Ok(Self {
            out: io::BufWriter::new(Box::new(anstream::stdout())),
            json: args.json,
            capture: args.write.as_deref().map(Output::new).transpose()?,
            summary: ReplaySummary::default(),
            decoder,
        })
    }

    fn packet(&mut self, stimulus: &Stimulus, journey: &Journey) -> Result<(), CliError> {
        self.summary.add(journey);
        if self.json {
            let line = ReplayLine::new(self.summary.packets(), stimulus, journey, &self.decoder);
            serde_json::to_writer(&mut self.out, &line).map_err(io::Error::from)?;
            writeln!(self.out)?;
        } else {
            report::write_packet(&mut self.out, self.summary.packets(), stimulus, journey)?;
        }
        match &mut self.capture {
            Some(output) => output.packet(stimulus, journey),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<u8, CliError> {
        if !self.json {
            self.summary.write(&mut self.out)?;
        }
        self.out.flush()?;
        if let Some(output) = self.capture {
            output.writer.finish()?.commit()?;
        }
        Ok(if self.summary.faults() == 0 {
            EQUAL
        } else {
            DIFFERENT
        })
    }
}

impl Output {
    fn new(path: &std::path::Path) -> Result<Self, CliError> {
        let mut writer = PcapNgWriter::new(AtomicFile::create(path)?)?;
        let interface = writer.interface(DEVICE)?;
        Ok(Self { writer, interface })
    }

    fn packet(&mut self, stimulus: &Stimulus, journey: &Journey) -> Result<(), CliError> {
        let nanos = u64::try_from(stimulus.at.as_nanos()).unwrap_or(u64::MAX);
        for bytes in journey.ends.iter().filter_map(|end| end.bytes()) {
            let mut frame = Frame::new(Timestamp::from_nanos(nanos), bytes.to_vec());
            frame.interface = self.interface;
            frame.comment = Some(report::fate(journey));
            self.writer.frame(&frame)?;
        }
        Ok(())
    }
}
