//! Objects, loaded with aya.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::MapData;
use aya::programs::tc::{NlOptions, TcAttachOptions};
use aya::programs::{
    Program, ProgramError, ProgramType, SchedClassifier, TcAttachType, Xdp, XdpMode,
};
use aya::{Ebpf, EbpfError, EbpfLoader};
use aya_obj::programs::XdpAttachType;

use super::code::{Code, Function};
use super::error::Error;
use super::section::rename;
use super::sys::map::Map;
use super::sys::program::pin;
use super::tap::{Observer, TapError};
use crate::plan::{Hook, HookKind, ObjectPlan};
use twinpath_bpf::BpfFs;

/// An object whose maps are in the kernel; its programs are loaded one by one.
#[derive(Debug)]
pub struct LoadedObject {
    path: PathBuf,
    ebpf: Ebpf,
    maps: BTreeMap<String, Map>,
    code: Code,
    /// Programs of no known type, with the names of their sections.
    unknown: BTreeMap<String, String>,
}

/// A program at a hook. Dropping it takes the program off, for which the thread must be in the network namespace
/// of the hook's device.
#[derive(Debug)]
pub enum Attached {
    /// An XDP program.
    Xdp(#[expect(dead_code, reason = "held until it is dropped")] Xdp),
    /// A tc filter.
    Filter(#[expect(dead_code, reason = "held until it is dropped")] SchedClassifier),
}

impl LoadedObject {
    /// Creates the object's maps. Those which it wants pinned are pinned in the given file system, and taken from
    /// there when an earlier object pinned one of that name.
    ///
    /// # Errors
    /// When the bytes are no BPF object, a global variable is unknown or of another size, or the kernel refuses.
    pub fn load(plan: &ObjectPlan, pins: &BpfFs) -> Result<Self, Error> {
        let failed = |source| Error::Load {
            path: plan.path.clone(),
            source: Box::new(source),
        };
        let pins = pins.path();
        let mut loader = EbpfLoader::new();
        loader.default_map_pin_directory(&pins);
        loader.allow_unsupported_maps();
        for (name, value) in &plan.globals {
            loader.override_global(name, value.as_slice(), true);
        }
        // The ELF reader wants aligned bytes. Those of an `Arc` stand behind its two counters, and those of a
        // vector come from the allocator.
        let named = rename(&plan.bytes);
        let ebpf = loader.load(&named.bytes).map_err(failed)?;
        let maps: Result<_, _> = ebpf
            .maps()
            .map(|(name, map)| Ok((name.to_owned(), duplicate(map)?)))
            .collect();
        let maps = maps.map_err(Error::system("duplicate a descriptor"))?;
        Ok(Self {
            path: plan.path.clone(),
            code: Code::link(&named.bytes, &maps).map_err(failed)?,
            ebpf,
            maps,
            unknown: named.unknown,
        })
    }

    fn program_mut(&mut self, name: &str) -> Result<&mut Program, Error> {
        if self.ebpf.program(name).is_none() {
            return Err(Error::UnknownProgram {
                program: name.to_owned(),
                path: self.path.clone(),
                has: sorted(self.ebpf.programs().map(|(name, _)| name)),
            });
        }
        Ok(self.ebpf.program_mut(name).expect("it was there just now"))
    }

    /// Has a program verified, unless that was done before, and gives its descriptor.
    ///
    /// # Errors
    /// When the object lacks it, it is of a type that the backend does not load, or the verifier refuses it.
    pub fn verify(&mut self, name: &str) -> Result<BorrowedFd<'_>, Error> {
        let path = self.path.clone();
        if let Some(section) = self.unknown.get(name) {
            return Err(Error::UnknownSection {
                program: name.to_owned(),
                path,
                section: section.clone(),
            });
        }
        let program = self.program_mut(name)?;
        if program.fd().is_err() {
            let kind = format!("{:?}", program.prog_type());
            load(program).map_err(|error| refusal(error, name, kind, path))?;
        }
        let program: &Program = program;
        Ok(program.fd().expect("it is loaded").as_fd())
    }

    /// Loads a program together with a tap, whose records carry the number.
    ///
    /// # Errors
    /// When there can be no tap on the program.
    pub fn tap(&self, name: &str, number: u32, observer: &Observer) -> Result<OwnedFd, TapError> {
        match (self.code.watched(name), self.code.function(name)) {
            (Some(watched), Some(function)) => observer.watch(number, watched, &function),
            _ => Err(TapError::NoPackets),
        }
    }

    /// Attaches a program, or in its place the one that it was loaded as together with a tap.
    ///
    /// # Errors
    /// When the object lacks the program, it is of a type for another kind of hook, or the kernel refuses.
    pub fn attach(
        &mut self,
        at: &Place<'_>,
        name: &str,
        tapped: Option<OwnedFd>,
    ) -> Result<Attached, Error> {
        let kind = self.program_mut(name)?.prog_type();
        let program = match tapped {
            Some(tapped) => tapped,
            None => self
                .verify(name)?
                .try_clone_to_owned()
                .map_err(Error::system("duplicate a descriptor"))?,
        };
        at.attach(&program, kind).map_err(|error| match error {
            ProgramError::UnexpectedProgramType => Error::WrongHook {
                program: name.to_owned(),
                hook: at.hook.clone(),
                kind: format!("{kind:?}"),
            },
            source => Error::Attach {
                program: name.to_owned(),
                hook: at.hook.clone(),
                source: Box::new(source),
            },
        })
    }

    /// A program's instructions, if the object has it.
    pub fn function(&self, name: &str) -> Option<Function> {
        self.code.function(name)
    }

    /// One of the object's maps.
    ///
    /// # Errors
    /// When the object lacks it.
    pub fn map(&self, name: &str) -> Result<&Map, Error> {
        self.maps.get(name).ok_or_else(|| Error::UnknownMap {
            map: name.to_owned(),
            path: self.path.clone(),
            has: self.maps.keys().cloned().collect(),
        })
    }

    /// All maps of the object, by name.
    pub fn maps(&self) -> &BTreeMap<String, Map> {
        &self.maps
    }

    /// Takes one of aya's maps out of the object, to read it as a stream.
    pub fn take_stream(&mut self, name: &str) -> Option<aya::maps::Map> {
        self.ebpf.take_map(name)
    }
}

/// Where a program is attached. The thread must be in the network namespace of the device.
#[derive(Debug)]
pub struct Place<'a> {
    /// The hook.
    pub hook: &'a Hook,
    /// The index of its device.
    pub ifindex: u32,
    /// For tc: the filter's priority, lowest first, from 1.
    pub priority: u16,
    /// Where a program can have a name for a moment.
    pub pins: &'a BpfFs,
}

impl Place<'_> {
    fn attach(&self, program: &OwnedFd, kind: ProgramType) -> Result<Attached, ProgramError> {
        // aya takes a program that it has not loaded by a name only.
        let path = self.pins.path().join("program");
        pin(program.as_fd(), &path)?;
        let attached = match (self.hook.kind, kind) {
            (HookKind::Xdp, ProgramType::Xdp) => self.attach_xdp(&path, XdpMode::Driver),
            (HookKind::XdpGeneric, ProgramType::Xdp) => self.attach_xdp(&path, XdpMode::Skb),
            (HookKind::TcIngress, ProgramType::SchedClassifier) => {
                self.attach_filter(&path, TcAttachType::Ingress)
            }
            (HookKind::TcEgress, ProgramType::SchedClassifier) => {
                self.attach_filter(&path, TcAttachType::Egress)
            }
            _ => Err(ProgramError::UnexpectedProgramType),
        };
        fs::remove_file(&path)?;
        attached
    }

    fn attach_xdp(&self, program: &Path, mode: XdpMode) -> Result<Attached, ProgramError> {
        let mut xdp = Xdp::from_pin(program, XdpAttachType::Interface)?;
        xdp.attach_to_if_index(self.ifindex, mode)?;
        Ok(Attached::Xdp(xdp))
    }

    /// A clsact filter, which each kernel has, rather than TCX, which came with 6.6.
    fn attach_filter(&self, program: &Path, kind: TcAttachType) -> Result<Attached, ProgramError> {
        let mut filter = SchedClassifier::from_pin(program)?;
        let options = TcAttachOptions::Netlink(NlOptions {
            priority: self.priority,
            ..NlOptions::default()
        });
        filter.attach_with_options(self.hook.device.as_str(), kind, options)?;
        Ok(Attached::Filter(filter))
    }
}

/// A second descriptor of one of aya's maps, for access by raw bytes.
fn duplicate(map: &aya::maps::Map) -> std::io::Result<Map> {
    Map::from_fd(data(map).fd().as_fd().try_clone_to_owned()?)
}

fn data(map: &aya::maps::Map) -> &MapData {
    use aya::maps::Map as M;
    match map {
        M::Array(data)
        | M::ArrayOfMaps(data)
        | M::BloomFilter(data)
        | M::CgroupArray(data)
        | M::CgroupStorage(data)
        | M::CgrpStorage(data)
        | M::CpuMap(data)
        | M::DevMap(data)
        | M::DevMapHash(data)
        | M::HashMap(data)
        | M::HashOfMaps(data)
        | M::InodeStorage(data)
        | M::LpmTrie(data)
        | M::LruHashMap(data)
        | M::PerCpuArray(data)
        | M::PerCpuCgroupStorage(data)
        | M::PerCpuHashMap(data)
        | M::PerCpuLruHashMap(data)
        | M::PerfEventArray(data)
        | M::ProgramArray(data)
        | M::Queue(data)
        | M::ReusePortSockArray(data)
        | M::RingBuf(data)
        | M::SkStorage(data)
        | M::SockHash(data)
        | M::SockMap(data)
        | M::Stack(data)
        | M::StackTraceMap(data)
        | M::Unsupported(data)
        | M::XskMap(data) => data,
    }
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::SocketFilter(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::SkLookup(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn refusal(error: ProgramError, program: &str, kind: String, path: PathBuf) -> Error {
    let program = program.to_owned();
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => Error::Refused {
            program,
            path,
            error: io_error,
            log: verifier_log.to_string(),
        },
        ProgramError::UnexpectedProgramType => Error::UnsupportedProgram {
            program,
            path,
            kind,
        },
        other => Error::Load {
            path,
            source: Box::new(EbpfError::ProgramError(other)),
        },
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}
