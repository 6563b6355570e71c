//! All that a map holds, for reports and comparisons.

use super::Map;
use super::map::Storage;
use crate::memory::Memory;

/// An entry of a map: its key, and the value of each CPU or the only one.
pub type Entry = (Vec<u8>, Vec<Vec<u8>>);

impl Map {
    /// All entries.
    ///
    /// The order is that of [`Map::next_key`]: arrays by index, hashes as the kernel orders them with
    /// `BPF_F_ZERO_SEED`, tries with more specific prefixes first. Queues and stacks list their values
    /// under empty keys, the next one first; socket storage lists them by the socket's number. Maps of
    /// programs, maps, cgroups and sockets have numbers for values. Ring buffers, perf event arrays and
    /// bloom filters have no entries.
    pub fn entries(&self, memory: &Memory) -> Vec<Entry> {
        let number = |key: &[u8], value: u32| (key.to_vec(), vec![value.to_le_bytes().to_vec()]);
        match &self.storage {
            Storage::Array(array) => {
                let entry = |(index, block): (u32, u32)| {
                    let values = array.shape.values(memory, block);
                    (index.to_le_bytes().to_vec(), values)
                };
                array.blocks().map(entry).collect()
            }
            Storage::Hash(hash) => {
                let entry = |slot| {
                    let values = hash.shape.values(memory, hash.block(slot));
                    (hash.table.key(slot).to_vec(), values)
                };
                hash.table.slots().map(entry).collect()
            }
            Storage::Lpm(lpm) => {
                let entry =
                    |(key, block): (&[u8], u32)| (key.to_vec(), lpm.shape.values(memory, block));
                lpm.entries().map(entry).collect()
            }
            Storage::Local(local) => {
                let entry =
                    |(key, block): (&[u8], u32)| (key.to_vec(), local.shape.values(memory, block));
                local.iter().map(entry).collect()
            }
            Storage::Programs(programs) => {
                let entries = programs.iter();
                entries
                    .map(|(index, id)| number(&index.to_le_bytes(), id.0))
                    .collect()
            }
            Storage::Maps(maps) => {
                let entries = maps.iter();
                entries
                    .map(|(index, id)| number(&index.to_le_bytes(), id.0))
                    .collect()
            }
            Storage::MapsByKey(maps) => maps.iter().map(|(key, id)| number(key, id.0)).collect(),
            Storage::Cgroups(cgroups) => {
                let entries = cgroups.iter();
                let value = |id: u64| vec![id.to_le_bytes().to_vec()];
                entries
                    .map(|(index, id)| (index.to_le_bytes().to_vec(), value(id)))
                    .collect()
            }
            Storage::Targets(targets) => {
                let size = self.def.value_size as usize;
                let targets = targets.iter().into_iter();
                let value = |value: [u8; 8]| vec![value[..size].to_vec()];
                let entries = targets.map(|(key, target)| (key, value(target.value())));
                entries
                    .map(|(key, value)| (key.to_le_bytes().to_vec(), value))
                    .collect()
            }
            Storage::Sockets(sockets) => {
                let sockets = sockets.iter().into_iter();
                sockets
                    .map(|(key, id)| (key, vec![id.0.to_le_bytes().to_vec()]))
                    .collect()
            }
            Storage::Queue(queue) => {
                let values = queue.values().into_iter();
                values.map(|value| (Vec::new(), vec![value])).collect()
            }
            Storage::RingBuf(_) | Storage::PerfEvents(_) | Storage::Bloom(_) => Vec::new(),
        }
    }

    /// Appends the keys of all entries of an array or hash, one after the other, in the order of
    /// [`Map::next_key`].
    pub(crate) fn append_keys(&self, keys: &mut Vec<u8>) {
        match &self.storage {
            Storage::Array(array) => {
                for (index, _) in array.blocks() {
                    keys.extend(index.to_le_bytes());
                }
            }
            Storage::Hash(hash) => {
                for slot in hash.table.slots() {
                    keys.extend(hash.table.key(slot));
                }
            }
            _ => {}
        }
    }
}
