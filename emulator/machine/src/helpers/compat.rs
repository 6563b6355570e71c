//! Which helper takes which type of map (`check_map_func_compatibility` in `kernel/bpf/verifier.c`).

use super::{Call, HelperId};
use crate::maps::{MapId, MapType};
use crate::memory::Checked;

impl Call<'_> {
    /// The map that an argument refers to, of a type that this helper takes.
    ///
    /// # Errors
    /// When the argument is no map, or a map that the kernel's verifier would refuse here.
    pub(super) fn map_for_helper(&mut self, number: u8) -> Checked<MapId> {
        let map = self.map(number)?;
        self.check_map(number, map)?;
        Ok(map)
    }

    /// Checks that this helper takes a map, and that programs may write it if the helper does.
    pub(super) fn check_map(&self, number: u8, map: MapId) -> Checked<()> {
        let def = self.machine.maps[map].def();
        if !takes(self.helper, def.kind) {
            let problem = format!("{:?} is a map of type {}", def.name, def.kind);
            return Err(self.refuse(number, problem));
        }
        if writes(self.helper) && def.flags.read_only_for_programs() {
            let problem = format!("programs may not write the map {:?}", def.name);
            return Err(self.refuse(number, problem));
        }
        Ok(())
    }
}

/// Whether a helper changes a map in a way that `BPF_F_RDONLY_PROG` forbids (`record_func_map`).
const fn writes(helper: HelperId) -> bool {
    matches!(
        helper,
        HelperId::MAP_UPDATE_ELEM
            | HelperId::MAP_DELETE_ELEM
            | HelperId::MAP_PUSH_ELEM
            | HelperId::MAP_POP_ELEM
    )
}

/// Whether a helper takes a map of this type.
pub(super) const fn takes(helper: HelperId, kind: MapType) -> bool {
    use MapType as T;
    match helper {
        HelperId::MAP_LOOKUP_ELEM => {
            plain(kind)
                || matches!(
                    kind,
                    T::DevMap
                        | T::DevMapHash
                        | T::XskMap
                        | T::ArrayOfMaps
                        | T::HashOfMaps
                        | T::SockMap
                        | T::SockHash
                )
        }
        // Of the sockets' maps, those program types that the emulator has may update them.
        HelperId::MAP_UPDATE_ELEM | HelperId::MAP_DELETE_ELEM => {
            plain(kind) || matches!(kind, T::SockMap | T::SockHash)
        }
        HelperId::MAP_PUSH_ELEM | HelperId::MAP_PEEK_ELEM => {
            matches!(kind, T::Queue | T::Stack | T::BloomFilter)
        }
        HelperId::MAP_POP_ELEM => matches!(kind, T::Queue | T::Stack),
        HelperId::MAP_LOOKUP_PERCPU_ELEM => {
            matches!(kind, T::PerCpuArray | T::PerCpuHash | T::LruPerCpuHash)
        }
        HelperId::FOR_EACH_MAP_ELEM => plain(kind) && !matches!(kind, T::LpmTrie),
        HelperId::TAIL_CALL => matches!(kind, T::ProgArray),
        HelperId::PERF_EVENT_OUTPUT => matches!(kind, T::PerfEventArray),
        HelperId::RINGBUF_OUTPUT
        | HelperId::RINGBUF_RESERVE
        | HelperId::RINGBUF_QUERY
        | HelperId::RINGBUF_RESERVE_DYNPTR => matches!(kind, T::RingBuf),
        HelperId::REDIRECT_MAP => {
            matches!(kind, T::DevMap | T::DevMapHash | T::CpuMap | T::XskMap)
        }
        HelperId::SKB_UNDER_CGROUP | HelperId::CURRENT_TASK_UNDER_CGROUP => {
            matches!(kind, T::CgroupArray)
        }
        HelperId::SK_STORAGE_GET | HelperId::SK_STORAGE_DELETE => matches!(kind, T::SkStorage),
        HelperId::GET_LOCAL_STORAGE => {
            matches!(kind, T::CgroupStorage | T::PerCpuCgroupStorage)
        }
        HelperId::SOCK_MAP_UPDATE => matches!(kind, T::SockMap),
        HelperId::SOCK_HASH_UPDATE => matches!(kind, T::SockHash),
        _ => false,
    }
}

/// Maps whose values programs read and write.
const fn plain(kind: MapType) -> bool {
    matches!(
        kind,
        MapType::Array
            | MapType::PerCpuArray
            | MapType::Hash
            | MapType::PerCpuHash
            | MapType::LruHash
            | MapType::LruPerCpuHash
            | MapType::LpmTrie
    )
}
