//! Programs at hooks of devices. aya attaches them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::programs::tc::{NlOptions, TcAttachOptions};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya_obj::programs::XdpAttachType;
use twinpath_bpf::{Mount, Program, link, pin};
use twinpath_machine::{AttachType, ProgramType};

use crate::plan::{Hook, HookKind};

/// A program at a hook. Dropping it takes the program off, for which the thread must be in the network namespace
/// of the hook's device.
#[derive(Debug)]
pub enum Attached {
    /// An XDP program.
    Xdp(#[expect(dead_code, reason = "held until it is dropped")] Xdp),
    /// A program of TCX.
    Tcx(#[expect(dead_code, reason = "held until it is dropped")] OwnedFd),
    /// A tc filter.
    Filter(#[expect(dead_code, reason = "held until it is dropped")] SchedClassifier),
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
    pub pins: &'a Mount,
}

impl Place<'_> {
    pub(super) fn attach(
        &self,
        program: &Program,
        kind: ProgramType,
    ) -> Result<Attached, ProgramError> {
        // aya takes a program that it has not loaded by a name only.
        let path = self.pins.path().join("program");
        pin(program.as_fd(), &path)?;
        let attached = match (self.hook.kind, kind) {
            (HookKind::Xdp, ProgramType::Xdp) => self.attach_xdp(&path, XdpMode::Driver),
            (HookKind::XdpGeneric, ProgramType::Xdp) => self.attach_xdp(&path, XdpMode::Skb),
            (HookKind::TcIngress, ProgramType::SchedCls) => {
                self.attach_filter(&path, TcAttachType::Ingress)
            }
            (HookKind::TcEgress, ProgramType::SchedCls) => {
                self.attach_filter(&path, TcAttachType::Egress)
            }
            (HookKind::TcxIngress, ProgramType::SchedCls) => {
                self.attach_tcx(program, AttachType::TcxIngress)
            }
            (HookKind::TcxEgress, ProgramType::SchedCls) => {
                self.attach_tcx(program, AttachType::TcxEgress)
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

    /// Behind the programs that are attached there already.
    fn attach_tcx(&self, program: &Program, kind: AttachType) -> Result<Attached, ProgramError> {
        let link = link(program.as_fd(), self.ifindex, kind as u32, 0)?;
        Ok(Attached::Tcx(link))
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
