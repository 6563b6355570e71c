//! Runs plans in the Linux kernel.
//!
//! Each node of a plan becomes a network namespace, with devices that have the plan's names, indexes, addresses and
//! MTUs. Of a veth pair both ends may be the plan's; of others the far end is in one more namespace, the edge: there
//! stimuli enter, by a packet socket, and there a tap sees what leaves. The plan's programs are read by the emulator's
//! loader, and attached with aya; around each of them a tap records what it returned and how it left the packet
//! (`tap/`). What programs write for user space is read as it comes (`events.rs`). One frame is sent at a time,
//! and the next one only when the nodes have become quiet (`quiet.rs`). What was seen until then is the frame's
//! journey (`journey.rs`, `ends.rs`).
//!
//! Nothing has a name outside of the process: the namespaces are held by descriptors, maps are pinned, if an
//! object wants that, in a BPF file system that is mounted nowhere. So nothing is left when a run ends, however
//! it ends. The one exception is the cgroup of sockets (`cgroup.rs`), which a process of its own removes then.
//!
//! Socket calls (`sockets.rs`) are made by the thread of the run, one at a time, in the namespace of the node or the pod.
//! What they send is observed as frames are; between sockets of one namespace it is not. Of a program at sockets a tap
//! records what it returned.
//!
//! The network stack of a node has the addresses, routes, rules and neighbours of the plan and no others, and
//! forwards if the plan says so. Without any of that it drops what is passed up to it and sends nothing. A tap sees
//! what it takes in ([`crate::stack`] says what that means). Devices have no offloads, so that frames have on the
//! wire what they have in memory.
//!
//! ```no_run
//! # fn plan() -> twinpath::plan::Plan { unimplemented!() }
//! use twinpath::backend::Backend;
//! use twinpath::kernel::{KernelBackend, missing};
//!
//! for missing in missing() {
//!     eprintln!("not here: {missing}");
//! }
//! let recording = KernelBackend::default().run(&plan())?;
//! # Ok::<(), twinpath::kernel::Error>(())
//! ```

mod batch;
mod cgroup;
mod chatter;
mod code;
mod contents;
mod devices;
mod edge;
mod ends;
mod error;
pub(crate) mod events;
mod journey;
mod kinds;
mod links;
mod namespace;
mod node;
mod object;
mod patience;
mod probe;
mod quiet;
mod readiness;
mod routing;
mod run;
mod sockets;
mod switch;
mod sys;
mod sysctl;
mod tap;
pub mod test_run;
mod types;
mod world;

use std::time::Duration;

pub use cgroup::clean;
pub use error::Error;
pub(crate) use kinds::missing_device;
pub use probe::{Capability, Feature, Missing, missing};
pub use tap::TapError;
pub use twinpath_bpf::{IdKind, loaded_ids};

use crate::backend::Backend;
use crate::plan::Plan;
use crate::recording::{Journey, Recording};
use world::World;

/// Runs plans in the kernel that this process runs on. Several can be at it at once, in one process or in many.
#[derive(Debug, Clone)]
pub struct KernelBackend {
    quiet_limit: Duration,
    batch: bool,
}

impl KernelBackend {
    /// How long a node may take to become quiet after a stimulus, before that is an error.
    #[must_use]
    pub fn quiet_limit(mut self, limit: Duration) -> Self {
        self.quiet_limit = limit;
        self
    }

    /// Whether frames that come at one time to one device are sent without waiting between them. Plans can be run so that
    /// [`crate::batch::gather`] takes.
    #[must_use]
    pub fn batch(mut self, batch: bool) -> Self {
        self.batch = batch;
        self
    }
}

impl Default for KernelBackend {
    fn default() -> Self {
        Self {
            quiet_limit: Duration::from_secs(5),
            batch: false,
        }
    }
}

impl Backend for KernelBackend {
    type Error = Error;

    fn run(&mut self, plan: &Plan) -> Result<Recording, Error> {
        self.run_and_show(plan, &mut |_| ())
    }
}

impl KernelBackend {
    /// Runs a plan and shows each journey as soon as it is over.
    ///
    /// # Errors
    /// As for [`Backend::run`].
    pub fn run_and_show(
        &mut self,
        plan: &Plan,
        each: &mut (dyn FnMut(&Journey) + Send),
    ) -> Result<Recording, Error> {
        let missing = missing();
        if !missing.is_empty() {
            return Err(Error::Missing(missing));
        }
        run::raise_memory_limit();
        let (limit, batch) = (self.quiet_limit, self.batch);
        run::apart("kernel run", |cpu| {
            let runtime = probe::runtime().map_err(Error::system("start a runtime"))?;
            runtime.block_on(async {
                let world = World::build(plan, cpu, limit).await?;
                world.play(plan, batch, each).await
            })
        })
    }
}
