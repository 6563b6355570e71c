//! Object files: read, named, and asked what they offer.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use twinpath_machine::AttachType;
use twinpath_machine::object::btf::Btf;

use crate::datapath::is_datapath;
use crate::object::{Contents, MapShape, fits, is_for_sockets};
use crate::plan::{HookKind, NodeName, ObjectName, ObjectPlan, SocketProgram};
use crate::scenario::bytes::Bytes;
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::ObjectEntry;
use crate::scenario::place::Place;
use crate::scenario::source::{Located, Source};

use super::datapath;
use super::network::Network;

/// The objects of a scenario, by name.
pub(super) struct Objects {
    source: Arc<Source>,
    loaded: BTreeMap<ObjectName, Contents>,
    /// In the order of the file, without values of global variables.
    plans: Vec<ObjectPlan>,
}

impl Objects {
    /// Reads the objects that the scenario names, or takes the built-in datapath when it names none.
    pub fn read(
        source: &Arc<Source>,
        entries: &[ObjectEntry],
        network: &Network,
    ) -> Result<Self, ScenarioError> {
        let mut objects = Self {
            source: Arc::clone(source),
            loaded: BTreeMap::new(),
            plans: Vec::new(),
        };
        if entries.is_empty() {
            let plan = datapath::object();
            objects.add(&plan, 0..0)?;
            objects.plans.push(plan);
        }
        for entry in entries {
            objects.entry(entry)?;
            for node in entry.node_globals.keys() {
                network.node(source, Some(node), node.span())?;
            }
        }
        Ok(objects)
    }

    fn entry(&mut self, entry: &ObjectEntry) -> Result<(), ScenarioError> {
        let path = beside(&self.source.path, &entry.path);
        let bytes = std::fs::read(&path).map_err(|error| {
            Problem::new(
                format!("failed to read {}: {error}", path.display()),
                "expected an object file, relative to the scenario",
            )
            .at(&self.source, entry.path.span())
        })?;
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = entry
            .name
            .as_ref()
            .map_or(stem, |name| name.value().clone());
        let plan = ObjectPlan {
            name: ObjectName::new(name),
            path,
            bytes: bytes.into(),
            globals: BTreeMap::new(),
        };
        let span = entry.name.as_ref().map_or(entry.path.span(), Located::span);
        if self.loaded.contains_key(&plan.name) {
            return Err(Problem::new(
                format!("two objects are named `{}`", plan.name),
                "expected a `name` of its own for each",
            )
            .at(&self.source, span));
        }
        self.add(&plan, entry.path.span())?;
        self.plans.push(plan);
        Ok(())
    }

    /// Whether an object has a global variable of this name.
    pub fn has_global(&self, object: &ObjectName, name: &str) -> bool {
        let contents = self.loaded.get(object);
        contents.is_some_and(|contents| contents.globals.contains_key(name))
    }

    /// The objects that a node loads, with its values of global variables.
    pub fn plans(
        &self,
        network: &Network,
        entries: &[ObjectEntry],
        node: &NodeName,
        loads: impl Fn(&ObjectName) -> bool,
    ) -> Result<Vec<ObjectPlan>, ScenarioError> {
        let mut plans = Vec::new();
        for (number, plan) in self.plans.iter().enumerate() {
            if !loads(&plan.name) {
                continue;
            }
            let mut plan = plan.clone();
            if let Some(entry) = entries.get(number) {
                self.set_globals(network, entry, node, &mut plan)?;
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    fn set_globals(
        &self,
        network: &Network,
        entry: &ObjectEntry,
        node: &NodeName,
        plan: &mut ObjectPlan,
    ) -> Result<(), ScenarioError> {
        let own = entry.node_globals.iter();
        let own = own.filter(|(name, _)| name.as_str() == node.as_str());
        let own = own.flat_map(|(_, globals)| globals);
        for (symbol, value) in entry.globals.iter().chain(own) {
            let bytes = self.global(network, node, &plan.name, symbol, value)?;
            plan.globals.insert(symbol.clone(), bytes);
        }
        Ok(())
    }

    fn global(
        &self,
        network: &Network,
        node: &NodeName,
        object: &ObjectName,
        symbol: &str,
        value: &Located<Bytes>,
    ) -> Result<Vec<u8>, ScenarioError> {
        let contents = self.loaded.get(object);
        let globals = contents.into_iter().flat_map(|contents| &contents.globals);
        let shape = globals.clone().find(|(name, _)| *name == symbol);
        let Some((_, shape)) = shape else {
            let known = globals.map(|(name, _)| name.as_str());
            let problem = Problem::unknown("global variable", symbol, known);
            return Err(problem.at(&self.source, value.span()));
        };
        let of = self.types(object).zip(shape.of);
        let place = Place::new(format!("the global variable `{symbol}`"), shape.size, of);
        let encoded = place.encode(value, &|name| network.index(node, name));
        let encoded = encoded.map_err(|misfit| misfit.problem.at(&self.source, misfit.span))?;
        Ok(encoded.bytes)
    }

    /// The types that an object tells of.
    pub fn types(&self, object: &ObjectName) -> Option<&Btf> {
        self.loaded.get(object)?.types.as_deref()
    }

    fn add(&mut self, plan: &ObjectPlan, span: Range<usize>) -> Result<(), ScenarioError> {
        let contents = Contents::read(&plan.bytes).map_err(|error| {
            Problem::new(format!("{} {error}", plan.path.display()), "named here")
                .at(&self.source, span)
        })?;
        self.loaded.insert(plan.name.clone(), contents);
        Ok(())
    }

    /// Those of the objects that are the datapath.
    pub fn datapaths(&self) -> impl Iterator<Item = &ObjectName> {
        self.loaded
            .iter()
            .filter(|(_, contents)| is_datapath(contents))
            .map(|(name, _)| name)
    }

    /// Finds `program` or `object:program`, and sees that it can be attached at the hook.
    pub fn program(
        &self,
        name: &str,
        hook: HookKind,
        span: Range<usize>,
    ) -> Result<(ObjectName, String), ScenarioError> {
        let find = |contents: &Contents, name: &str| contents.programs.get(name).copied();
        let all = |contents: &Contents| contents.programs.keys().cloned().collect();
        let (object, program, kind) = self.find("program", name, span.clone(), find, all)?;
        if let Some(attach @ (AttachType::XdpDevmap | AttachType::XdpCpumap)) =
            self.attach_type(&object, &program)
        {
            return Err(Problem::new(
                format!("`{program}` is for entries of maps ({attach})"),
                format!("expected a program for {hook}; in `[[map]]`, an entry of a map of devices has it as its `program`"),
            )
            .at(&self.source, span));
        }
        if fits(kind, hook) {
            return Ok((object, program));
        }
        Err(Problem::new(
            format!("`{program}` is a program of type {kind}"),
            format!("expected a program for {hook}"),
        )
        .at(&self.source, span))
    }

    /// Finds `program` or `object:program`, whose section says at which hook of sockets it is.
    pub fn socket_program(
        &self,
        name: &str,
        span: Range<usize>,
    ) -> Result<SocketProgram, ScenarioError> {
        let find = |contents: &Contents, name: &str| {
            let kind = contents.programs.get(name).copied()?;
            Some((kind, contents.attach_types.get(name).copied()))
        };
        let all = |contents: &Contents| contents.programs.keys().cloned().collect();
        let (object, program, (kind, attach)) =
            self.find("program", name, span.clone(), find, all)?;
        match attach.filter(|_| is_for_sockets(kind)) {
            Some(hook) => Ok(SocketProgram {
                object,
                program,
                hook,
            }),
            None => Err(Problem::new(
                format!("`{program}` is a program of type {kind}"),
                "expected one whose section names a hook of sockets, such as `cgroup/connect4` or `sk_lookup`",
            )
            .at(&self.source, span)),
        }
    }

    /// Finds a program of an object.
    pub fn program_of(
        &self,
        object: &ObjectName,
        name: &Located<String>,
    ) -> Result<String, ScenarioError> {
        let contents = self.loaded.get(object);
        let known = || {
            contents
                .iter()
                .flat_map(|contents| contents.programs.keys())
        };
        match known().any(|known| known == name.value()) {
            true => Ok(name.value().clone()),
            false => {
                let known = known().map(String::as_str);
                Err(Problem::unknown("program", name, known).at(&self.source, name.span()))
            }
        }
    }

    /// The hook that the name of a program's section gives.
    pub fn attach_type(&self, object: &ObjectName, program: &str) -> Option<AttachType> {
        let contents = self.loaded.get(object)?;
        contents.attach_types.get(program).copied()
    }

    /// Finds `map` or `object:map`.
    pub fn map(
        &self,
        name: &Located<String>,
    ) -> Result<(ObjectName, String, MapShape), ScenarioError> {
        let find = |contents: &Contents, name: &str| contents.maps.get(name).copied();
        let all = |contents: &Contents| contents.maps.keys().cloned().collect();
        self.find("map", name, name.span(), find, all)
    }

    fn find<T>(
        &self,
        kind: &str,
        name: &str,
        span: Range<usize>,
        find: impl Fn(&Contents, &str) -> Option<T>,
        all: impl Fn(&Contents) -> Vec<String>,
    ) -> Result<(ObjectName, String, T), ScenarioError> {
        let at = |problem: Problem| problem.at(&self.source, span.clone());
        let (object, wanted) = match name.split_once(':') {
            Some((object, wanted)) => (Some(object), wanted),
            None => (None, name),
        };
        if let Some(object) = object
            && !self.loaded.keys().any(|name| name.as_str() == object)
        {
            return Err(at(Problem::unknown(
                "object",
                object,
                self.loaded.keys().map(ObjectName::as_str),
            )));
        }
        let candidates = || {
            self.loaded
                .iter()
                .filter(|(name, _)| object.is_none_or(|object| name.as_str() == object))
        };
        let mut found = candidates()
            .filter_map(|(object, contents)| Some((object.clone(), find(contents, wanted)?)));
        match (found.next(), found.next()) {
            (Some((object, value)), None) => Ok((object, wanted.to_owned(), value)),
            (Some((first, _)), Some((second, _))) => Err(at(Problem::new(
                format!("`{first}` and `{second}` both have a {kind} named `{wanted}`"),
                format!("expected `{first}:{wanted}` or `{second}:{wanted}`"),
            ))),
            (None, _) => {
                let known: Vec<String> = candidates()
                    .flat_map(|(_, contents)| all(contents))
                    .collect();
                Err(at(Problem::unknown(
                    kind,
                    wanted,
                    known.iter().map(String::as_str),
                )))
            }
        }
    }
}

/// A path in a scenario file starts from that file's folder.
pub(super) fn beside(file: &Path, path: &Path) -> std::path::PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}
