//! What keeps this process from using the kernel.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use aya_obj::generated::{BPF_F_XDP_HAS_FRAGS, XDP_FLAGS_DRV_MODE};
use rtnetlink::LinkVeth;

use super::error::Error;
use super::links::Links;
use super::namespace::Namespace;
use super::run::apart;
use super::sys::packet::{ALL, PacketSocket};
use super::tap::Observer;
use twinpath_bpf::{Mount, Program, ProgramSource, link};
use twinpath_machine::{AttachType, ProgramType};

/// Something that the kernel backend needs and this process has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A privilege of the process.
    #[error("the capability {0} (or root)")]
    Capability(Capability),
    /// Something that the kernel was built or configured without, or that is forbidden here.
    #[error("{feature}: {reason}")]
    Feature {
        /// What was tried.
        feature: Feature,
        /// What the kernel answered.
        reason: String,
    },
}

/// The capabilities in question, with their numbers (`include/uapi/linux/capability.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Configure devices.
    NetAdmin = 12,
    /// Open packet sockets.
    NetRaw = 13,
    /// Make namespaces, and mount.
    SysAdmin = 21,
    /// Load tracing programs.
    Perfmon = 38,
    /// Load programs.
    Bpf = 39,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// A new network namespace.
    NetworkNamespaces,
    /// A mount of the BPF file system.
    BpfFileSystem,
    /// A pair of veth devices.
    Veth,
    /// Packet sockets.
    PacketSockets,
    /// Programs, maps and a perf buffer.
    Bpf,
    /// XDP in the veth driver.
    Xdp,
    /// The clsact queueing discipline.
    Clsact,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        })
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NetworkNamespaces => "network namespaces",
            Self::BpfFileSystem => "the BPF file system",
            Self::Veth => "veth devices",
            Self::PacketSockets => "packet sockets",
            Self::Bpf => "BPF",
            Self::Xdp => "XDP on veth devices",
            Self::Clsact => "the clsact queueing discipline",
        })
    }
}

/// What the kernel backend needs and this process has not: nothing, if plans can be run.
///
/// The first call tries it all out in a namespace that is gone afterwards, which takes some milliseconds; later
/// calls repeat its answer.
pub fn missing() -> Vec<Missing> {
    static MISSING: OnceLock<Vec<Missing>> = OnceLock::new();
    MISSING.get_or_init(find_missing).clone()
}

fn find_missing() -> Vec<Missing> {
    let capabilities: Vec<Missing> = missing_capabilities();
    // Without these every trial fails, and for the same reason.
    if !capabilities.is_empty() {
        return capabilities;
    }
    let tried = apart("probe", |cpu| {
        let mut missing = Vec::new();
        try_all(cpu, &mut missing)?;
        Ok::<_, Error>(missing)
    });
    tried.unwrap_or_else(|error| vec![lacks(Feature::NetworkNamespaces, error)])
}

/// The effective capabilities of this thread, or none where they cannot be read.
fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

fn missing_capabilities() -> Vec<Missing> {
    let held = capabilities();
    let holds = |capability: Capability| held >> capability as u32 & 1 != 0;
    let all = [
        Capability::SysAdmin,
        Capability::NetAdmin,
        Capability::NetRaw,
        Capability::Bpf,
        Capability::Perfmon,
    ];
    // The two youngest are parts of CAP_SYS_ADMIN.
    let implied = |capability| {
        holds(Capability::SysAdmin) && matches!(capability, Capability::Bpf | Capability::Perfmon)
    };
    all.into_iter()
        .filter(|capability| !holds(*capability) && !implied(*capability))
        .map(Missing::Capability)
        .collect()
}

fn lacks(feature: Feature, reason: impl fmt::Display) -> Missing {
    Missing::Feature {
        feature,
        reason: reason.to_string(),
    }
}

fn note<T, E: fmt::Display>(
    missing: &mut Vec<Missing>,
    feature: Feature,
    result: Result<T, E>,
) -> Option<T> {
    result
        .map_err(|error| missing.push(lacks(feature, error)))
        .ok()
}

/// Tries everything once, in a namespace of its own.
fn try_all(cpu: usize, missing: &mut Vec<Missing>) -> Result<(), Error> {
    note(missing, Feature::BpfFileSystem, Mount::bpf());
    note(missing, Feature::Bpf, Observer::new(cpu));
    let Some(_namespace) = note(missing, Feature::NetworkNamespaces, Namespace::create()) else {
        return Ok(());
    };
    note(
        missing,
        Feature::PacketSockets,
        PacketSocket::listen(ALL, None),
    );
    let runtime = runtime().map_err(Error::system("start a runtime"))?;
    let ifindex = runtime.block_on(async { add_veth().await });
    let Some(ifindex) = note(missing, Feature::Veth, ifindex) else {
        return Ok(());
    };
    note(missing, Feature::Xdp, try_xdp(ifindex));
    note(
        missing,
        Feature::Clsact,
        aya::programs::tc::qdisc_add_clsact(PROBE),
    );
    Ok(())
}

const PROBE: &str = "probe";

async fn add_veth() -> Result<u32, Error> {
    const IFINDEX: u32 = 20;
    let links = Links::open()?;
    let message = LinkVeth::new(PROBE, "probe-peer").index(IFINDEX).build();
    links.add(message, PROBE).await?;
    Ok(IFINDEX)
}

fn try_xdp(ifindex: u32) -> Result<(), String> {
    // r0 = XDP_PASS; exit
    let pass = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    let hook = AttachType::Xdp as u32;
    let program = Program::load(&ProgramSource {
        flags: BPF_F_XDP_HAS_FRAGS,
        ..ProgramSource::new(PROBE, ProgramType::Xdp as u32, &pass).for_hook(hook)
    })
    .map_err(|refusal| refusal.error.to_string())?;
    link(program.as_fd(), ifindex, hook, XDP_FLAGS_DRV_MODE)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// What runs rtnetlink and the waiting.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
