//! LRU hashes. The kernel evicts by an approximation, so that all that can be the same is what must
//! hold of any LRU map: no more entries than its capacity, the entry just written is there, and each
//! entry that is there has the value last written. Ours is held against an exact model besides.

use std::collections::BTreeMap;

use proptest::prelude::*;
use twinpath_machine::{MapFlags, MapType};

use super::faces::{Ours, Theirs};
use super::program::{Action, Command};
use super::steps::{Case, Step};

/// Entries by key, and the keys from the least to the most recently used, on each list.
struct Model {
    values: BTreeMap<u8, Vec<u8>>,
    lists: Vec<Vec<u8>>,
    capacity: usize,
}

impl Model {
    fn new(case: &Case, cpus: usize) -> Self {
        let lists = if case.def.flags.has(MapFlags::NO_COMMON_LRU) {
            cpus
        } else {
            1
        };
        let capacity = (case.def.max_entries as usize).div_ceil(lists);
        Self {
            values: BTreeMap::new(),
            lists: vec![Vec::new(); lists],
            capacity,
        }
    }

    fn remove(&mut self, key: u8) -> bool {
        for list in &mut self.lists {
            list.retain(|other| *other != key);
        }
        self.values.remove(&key).is_some()
    }

    fn touch(&mut self, key: u8) {
        for list in &mut self.lists {
            if let Some(at) = list.iter().position(|other| *other == key) {
                let key = list.remove(at);
                list.push(key);
            }
        }
    }

    /// A new entry on the list of a CPU.
    fn enter(&mut self, key: u8, value: Vec<u8>, cpu: usize) {
        let list = cpu % self.lists.len();
        self.remove(key);
        if self.lists[list].len() == self.capacity {
            let oldest = self.lists[list].remove(0);
            self.values.remove(&oldest);
        }
        self.lists[list].push(key);
        self.values.insert(key, value);
    }

    fn update(&mut self, key: u8, value: Vec<u8>, cpu: usize, flags: u64) -> Result<(), i32> {
        let known = self.values.contains_key(&key);
        match flags {
            1 if known => Err(libc::EEXIST),
            2 if !known => Err(libc::ENOENT),
            0..=2 => {
                self.enter(key, value, cpu);
                Ok(())
            }
            _ => Err(libc::EINVAL),
        }
    }
}

/// Exactly what the documentation says, of maps that are not per CPU.
pub fn exact(case: &Case) -> Result<u64, TestCaseError> {
    let mut ours = Ours::new(&case.def).expect("a map");
    let cpus = ours.machine.cpus() as usize;
    let mut model = Model::new(case, cpus);
    for step in &case.steps {
        step_of_model(case, step, &mut ours, &mut model)?;
        let found = ours.machine.maps[ours.map].entries(&ours.machine.memory);
        let found: BTreeMap<_, _> = found.into_iter().collect();
        let wanted = model.values.iter();
        let wanted: BTreeMap<_, _> = wanted
            .map(|(key, value)| (case.key(*key), vec![value.clone()]))
            .collect();
        prop_assert_eq!(found, wanted, "after {:?}", step);
    }
    Ok(case.steps.len() as u64)
}

fn step_of_model(
    case: &Case,
    step: &Step,
    ours: &mut Ours,
    model: &mut Model,
) -> Result<(), TestCaseError> {
    match *step {
        // User space's lookups do not count as uses.
        Step::Lookup(key) => {
            let found = ours.lookup(&case.key(key)).ok();
            prop_assert_eq!(found, model.values.get(&key).cloned());
        }
        Step::Update { key, value, flags } => {
            let value = case.value(value);
            let done = ours.update(&case.key(key), &value, flags);
            let flags = if flags & 4 != 0 { 4 } else { flags };
            prop_assert_eq!(done, model.update(key, value, 0, flags));
        }
        Step::Delete(key) => {
            let done = ours.delete(&case.key(key));
            prop_assert_eq!(done.is_ok(), model.remove(key));
        }
        Step::Run {
            action,
            cpu,
            key,
            value,
            flags,
            ..
        } => {
            let Some(action) = case.action(action) else {
                return Ok(());
            };
            let command = command(case, action, key, value, flags);
            let Some((_, result, _)) = ours.run(cpu, &command) else {
                return Ok(());
            };
            match action {
                Action::Lookup | Action::Write => {
                    prop_assert_eq!(result == 1, model.values.contains_key(&key));
                    model.touch(key);
                    if let (Action::Write, Some(place)) = (action, model.values.get_mut(&key)) {
                        *place = case.value(value);
                    }
                }
                Action::Update => {
                    let done = model.update(key, case.value(value), cpu as usize, flags);
                    prop_assert_eq!(result, done.map_or_else(|error| -i64::from(error), |()| 0));
                }
                Action::Delete => prop_assert_eq!(result == 0, model.remove(key)),
                _ => {}
            }
        }
        Step::Next(_) | Step::Take(_) | Step::Freeze => {}
    }
    Ok(())
}

fn command(case: &Case, action: Action, key: u8, value: u8, flags: u64) -> Command {
    Command {
        action: action as u32,
        cpu: 0,
        flags,
        key: case.key(key),
        value: case.value(value),
    }
}

/// What must hold of both sides.
pub fn lawful(case: &Case) -> Result<u64, TestCaseError> {
    let mut theirs =
        Theirs::new(&case.def).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let mut ours = Ours::new(&case.def).expect("a map");
    let capacity = ours.map().def().max_entries as usize;
    let mut written: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for step in &case.steps {
        match *step {
            Step::Update {
                key,
                value,
                flags: 0,
            } => {
                let bytes = case.user_value(value);
                prop_assert_eq!(theirs.map.update(&case.key(key), &bytes, 0), Ok(()));
                prop_assert_eq!(ours.update(&case.key(key), &bytes, 0), Ok(()));
                written.insert(key, bytes);
                prop_assert!(theirs.map.lookup(&case.key(key)).is_ok());
                prop_assert!(ours.lookup(&case.key(key)).is_ok());
            }
            // Both refuse flags that they do not know, whatever is there.
            Step::Update { key, value, flags } if flags > 2 => {
                let bytes = case.user_value(value);
                let done = ours.update(&case.key(key), &bytes, flags);
                prop_assert_eq!(theirs.map.update(&case.key(key), &bytes, flags), done);
            }
            Step::Delete(key) => {
                let there = theirs.map.lookup(&case.key(key)).is_ok();
                prop_assert_eq!(theirs.map.delete(&case.key(key)).is_ok(), there);
                let there = ours.lookup(&case.key(key)).is_ok();
                prop_assert_eq!(ours.delete(&case.key(key)).is_ok(), there);
                written.remove(&key);
            }
            Step::Run {
                action,
                cpu,
                key,
                value,
                ..
            } if case.def.kind == MapType::LruHash => {
                let Some(action) = case.action(action) else {
                    continue;
                };
                let command = command(case, action, key, value, 0);
                run(
                    &mut theirs,
                    &mut ours,
                    cpu,
                    (action, &command),
                    &mut written,
                    key,
                );
            }
            _ => {}
        }
        check(case, &theirs, &mut ours, &written, capacity)?;
    }
    Ok(case.steps.len() as u64)
}

fn run(
    theirs: &mut Theirs,
    ours: &mut Ours,
    cpu: u32,
    (action, command): (Action, &Command),
    written: &mut BTreeMap<u8, Vec<u8>>,
    key: u8,
) {
    let there = theirs.map.lookup(&command.key).is_ok() || ours.lookup(&command.key).is_ok();
    theirs.run(cpu, command);
    ours.run(cpu, command);
    match action {
        Action::Update => {
            written.insert(key, command.value.clone());
        }
        // A side that has evicted the entry has nothing to write to, nor to show.
        Action::Write if there => {
            written.insert(key, command.value.clone());
        }
        Action::Delete => {
            written.remove(&key);
        }
        _ => {}
    }
}

fn check(
    case: &Case,
    theirs: &Theirs,
    ours: &mut Ours,
    written: &BTreeMap<u8, Vec<u8>>,
    capacity: usize,
) -> Result<(), TestCaseError> {
    prop_assert!(theirs.map.keys().len() <= capacity);
    prop_assert!(ours.map().def().max_entries as usize == capacity);
    for number in 0..8 {
        let key = case.key(number);
        for found in [theirs.map.lookup(&key), ours.lookup(&key)] {
            let wanted = written.get(&number);
            prop_assert!(
                found.is_err() || found.as_ref().ok() == wanted,
                "{found:?}, {wanted:?}"
            );
        }
    }
    Ok(())
}
