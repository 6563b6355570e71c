//! Cgroups and the programs attached to them (`kernel/bpf/cgroup.c`).

use std::collections::BTreeMap;

use twinpath_machine::{AttachType, CgroupKey, Errno, ProgramId};

/// A cgroup by its number, which programs see (`bpf_get_current_cgroup_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupId(pub u64);

impl CgroupId {
    /// The cgroup that all others are in.
    pub const ROOT: Self = Self(1);
}

/// Whether programs of a cgroup and of those around it run beside each other (`BPF_F_ALLOW_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AttachMode {
    /// One program, and none in cgroups inside.
    Alone,
    /// One program, which gives way to those of cgroups inside.
    Override,
    /// Several programs, which run after those of cgroups inside.
    #[default]
    Multi,
}

/// A program, and the cgroup that it is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) program: ProgramId,
    pub(super) cgroup: CgroupId,
}

impl Attached {
    /// Under which the program has its cgroup's storage.
    pub(super) fn key(self, hook: AttachType) -> CgroupKey {
        CgroupKey {
            cgroup: self.cgroup.0,
            attach_type: hook as u32,
        }
    }
}

/// The hierarchy. Numbers are handed out in order.
#[derive(Debug)]
pub(crate) struct Cgroups {
    cgroups: BTreeMap<CgroupId, Cgroup>,
    next: u64,
}

#[derive(Debug, Default)]
struct Cgroup {
    parent: Option<CgroupId>,
    hooks: BTreeMap<AttachType, Hook>,
}

#[derive(Debug, Default)]
struct Hook {
    mode: AttachMode,
    programs: Vec<ProgramId>,
}

impl Default for Cgroups {
    fn default() -> Self {
        Self {
            cgroups: BTreeMap::from([(CgroupId::ROOT, Cgroup::default())]),
            next: CgroupId::ROOT.0 + 1,
        }
    }
}

impl Cgroups {
    /// Adds a cgroup; none when there is no such parent.
    pub(super) fn add(&mut self, parent: CgroupId) -> Option<CgroupId> {
        self.cgroups.get(&parent)?;
        let id = CgroupId(self.next);
        self.next += 1;
        let cgroup = Cgroup {
            parent: Some(parent),
            ..Cgroup::default()
        };
        self.cgroups.insert(id, cgroup);
        Some(id)
    }

    pub(super) fn has(&self, id: CgroupId) -> bool {
        self.cgroups.contains_key(&id)
    }

    /// The cgroups around one, the nearest first, itself among them.
    fn around(&self, id: CgroupId) -> impl Iterator<Item = (CgroupId, &Cgroup)> {
        let start = self.cgroups.get(&id).map(|cgroup| (id, cgroup));
        std::iter::successors(start, |(_, cgroup)| {
            let parent = cgroup.parent?;
            Some((parent, self.cgroups.get(&parent)?))
        })
    }

    /// The cgroup so many levels below the root that one is in (`cgroup_ancestor`).
    pub(crate) fn ancestor(&self, id: CgroupId, level: u32) -> Option<CgroupId> {
        let path: Vec<CgroupId> = self.around(id).map(|(id, _)| id).collect();
        path.iter().rev().nth(level as usize).copied()
    }

    /// Whether one cgroup is another or in it.
    pub(crate) fn is_under(&self, id: CgroupId, other: CgroupId) -> bool {
        self.around(id).any(|(id, _)| id == other)
    }

    /// Attaches a program (`__cgroup_bpf_attach`).
    pub(super) fn attach(
        &mut self,
        id: CgroupId,
        hook: AttachType,
        program: ProgramId,
        mode: AttachMode,
    ) -> Result<(), Errno> {
        const MAX_PROGRAMS: usize = 64;
        if !self.allows(id, hook) {
            return Err(Errno::EPERM);
        }
        let cgroup = self.cgroups.get_mut(&id).ok_or(Errno::ENOENT)?;
        let hook = cgroup.hooks.entry(hook).or_default();
        if !hook.programs.is_empty() && hook.mode != mode {
            return Err(Errno::EPERM);
        }
        if hook.programs.len() >= MAX_PROGRAMS {
            return Err(Errno::E2BIG);
        }
        hook.mode = mode;
        match mode {
            AttachMode::Multi if hook.programs.contains(&program) => return Err(Errno::EINVAL),
            AttachMode::Multi => hook.programs.push(program),
            AttachMode::Alone | AttachMode::Override => hook.programs = vec![program],
        }
        Ok(())
    }

    /// Whether a program is attached to a hook of any cgroup (`cgroup_bpf_enabled`).
    pub(super) fn uses(&self, hook: AttachType) -> bool {
        let mut hooks = self
            .cgroups
            .values()
            .filter_map(|cgroup| cgroup.hooks.get(&hook));
        hooks.any(|hook| !hook.programs.is_empty())
    }

    /// Whether the cgroups around one leave a hook to it (`hierarchy_allows_attach`).
    fn allows(&self, id: CgroupId, hook: AttachType) -> bool {
        let mut hooks = self
            .around(id)
            .skip(1)
            .filter_map(|(_, cgroup)| cgroup.hooks.get(&hook));
        let nearest = hooks.find(|hook| !hook.programs.is_empty());
        nearest.is_none_or(|hook| hook.mode != AttachMode::Alone)
    }

    /// Detaches a program; whether it was attached.
    pub(super) fn detach(&mut self, id: CgroupId, hook: AttachType, program: ProgramId) -> bool {
        let cgroup = self.cgroups.get_mut(&id);
        let Some(hook) = cgroup.and_then(|cgroup| cgroup.hooks.get_mut(&hook)) else {
            return false;
        };
        let at = hook.programs.iter().position(|other| *other == program);
        at.map(|at| hook.programs.remove(at)).is_some()
    }

    /// The programs that run at a hook for a cgroup, in order (`compute_effective_progs`).
    pub(super) fn effective(&self, id: CgroupId, hook: AttachType) -> Vec<Attached> {
        let mut effective = Vec::new();
        for (cgroup, found) in self.around(id) {
            let Some(hook) = found.hooks.get(&hook) else {
                continue;
            };
            if effective.is_empty() || hook.mode == AttachMode::Multi {
                let attached = |program: &ProgramId| Attached {
                    program: *program,
                    cgroup,
                };
                effective.extend(hook.programs.iter().map(attached));
            }
        }
        effective
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: AttachType = AttachType::CgroupInet4Connect;

    fn programs(cgroups: &Cgroups, id: CgroupId) -> Vec<u32> {
        let effective = cgroups.effective(id, HOOK);
        effective
            .iter()
            .map(|attached| attached.program.0)
            .collect()
    }

    #[test]
    fn programs_of_inner_cgroups_run_first() {
        let mut cgroups = Cgroups::default();
        let outer = cgroups.add(CgroupId::ROOT).unwrap();
        let inner = cgroups.add(outer).unwrap();
        for (id, program) in [(CgroupId::ROOT, 0), (outer, 1), (inner, 2), (outer, 3)] {
            cgroups
                .attach(id, HOOK, ProgramId(program), AttachMode::Multi)
                .unwrap();
        }
        assert_eq!(programs(&cgroups, inner), [2, 1, 3, 0]);
        assert_eq!(programs(&cgroups, outer), [1, 3, 0]);
        let again = cgroups.attach(outer, HOOK, ProgramId(1), AttachMode::Multi);
        assert_eq!(again, Err(Errno::EINVAL));
        assert!(cgroups.detach(outer, HOOK, ProgramId(1)));
        assert_eq!(programs(&cgroups, inner), [2, 3, 0]);
    }

    #[test]
    fn a_mode_decides_about_inner_cgroups() {
        let mut cgroups = Cgroups::default();
        let outer = cgroups.add(CgroupId::ROOT).unwrap();
        let inner = cgroups.add(outer).unwrap();
        cgroups
            .attach(outer, HOOK, ProgramId(0), AttachMode::Alone)
            .unwrap();
        let refused = cgroups.attach(inner, HOOK, ProgramId(1), AttachMode::Multi);
        assert_eq!(refused, Err(Errno::EPERM));
        assert!(cgroups.detach(outer, HOOK, ProgramId(0)));
        cgroups
            .attach(outer, HOOK, ProgramId(0), AttachMode::Override)
            .unwrap();
        assert_eq!(programs(&cgroups, inner), [0]);
        cgroups
            .attach(inner, HOOK, ProgramId(1), AttachMode::Alone)
            .unwrap();
        assert_eq!(programs(&cgroups, inner), [1]);
        assert_eq!(cgroups.ancestor(inner, 1), Some(outer));
        assert!(cgroups.is_under(inner, CgroupId::ROOT) && !cgroups.is_under(outer, inner));
    }
}
