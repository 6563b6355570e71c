//! In the kernel, by `BPF_PROG_TEST_RUN`.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::{Ran, ReplayError, Replayer, Setup, Stop, Verdict};
use crate::kernel::Error;
use crate::kernel::events::{EventReader, Room};
use crate::kernel::test_run::{Loaded, TestInput, apart, read_map};
use crate::recording::{Event, MapContents, MapRef};

/// A program in the kernel, in a network namespace of its own: what it sends does not reach this machine's devices.
struct InKernel<'a> {
    setup: &'a Setup,
    loaded: Loaded,
    events: Vec<EventReader>,
}

/// Loads the program into the kernel and hands it over, on a thread of its own that stays on one CPU.
///
/// # Errors
/// When the kernel refuses the object, and those of `run`.
pub fn with_kernel<T, E>(
    setup: &Setup,
    run: impl FnOnce(&mut dyn Replayer) -> Result<T, E> + Send,
) -> Result<T, E>
where
    T: Send,
    E: From<ReplayError> + From<Error> + Send,
{
    apart(|| {
        let loaded = Loaded::load(
            setup.path.clone(),
            setup.bytes.clone(),
            &setup.globals,
            &setup.max_entries,
            &setup.program,
            setup.kind,
        )?;
        let mut events = Vec::new();
        for (name, map) in loaded.maps() {
            let readers = EventReader::of(map, &setup.map_ref(name));
            events.extend(readers.map_err(Error::system(format!("read map `{name}`")))?);
        }
        run(&mut InKernel {
            setup,
            loaded,
            events,
        })
    })
}

impl InKernel<'_> {
    /// The records that the program wrote, map by map, and what is missing.
    fn events(&mut self) -> (Vec<Event>, Vec<String>) {
        let (mut events, mut notices) = (Vec::new(), Vec::new());
        for reader in &mut self.events {
            let taken = reader.finish();
            events.extend(taken.events);
            let map = reader.map();
            if taken.room == Room::Full {
                notices.push(format!(
                    "ring buffer {map} was full: records may be missing"
                ));
            }
            if taken.lost > 0 {
                notices.push(format!("{} records of {map} were lost", taken.lost));
            }
        }
        (events, notices)
    }
}

impl Replayer for InKernel<'_> {
    fn packet(&mut self, _: Duration, bytes: &[u8]) -> Result<Ran, ReplayError> {
        let output = match self.loaded.program().test_run(TestInput::packet(bytes)) {
            Ok(output) => output,
            Err(error) if is_about_the_packet(&error) => {
                return Ok(Ran::stopped(Stop::Refused(error.to_string())));
            }
            Err(error) => {
                return Err(ReplayError::Run {
                    program: self.setup.program.clone(),
                    problem: error.to_string(),
                });
            }
        };
        let (events, notices) = self.events();
        Ok(Ran {
            result: Ok(Verdict::new(self.setup.kind, output.code)),
            bytes: Some(output.packet),
            cost: None,
            ends: None,
            events,
            notices,
        })
    }

    fn maps(&self) -> Result<BTreeMap<MapRef, MapContents>, ReplayError> {
        let mut contents = BTreeMap::new();
        for (name, map) in self.loaded.maps() {
            let read = read_map(map).map_err(Error::system(format!("read map `{name}`")))?;
            if let Some(read) = read {
                contents.insert(self.setup.map_ref(name), read);
            }
        }
        Ok(contents)
    }
}

/// The kernel says `EINVAL` of a packet that is too short or too long, and `ENOMEM` of one that is much too long.
fn is_about_the_packet(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOMEM))
}
