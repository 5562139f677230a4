//! Finds the module, or the other crate, that a path leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::source::{Crate, Mention, Module, ModuleId};

/// How many re-exports a path may pass through. A name that stands for itself would never end.
const MAX_STEPS: usize = 32;

/// The types of the language, whose functions have paths but no module.
const PRIMITIVES: [&str; 17] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16",
    "u32", "u64", "u128", "usize",
];

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To this module of the same crate, or to something that it defines.
    Module(ModuleId),
    /// Into another crate, by this path.
    External(Vec<String>),
    /// To something local: a variable, a type parameter, or what the prelude has.
    Local,
}

/// The uses of one file by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub from: String,
    pub to: String,
    /// The lines of `from` in which `to` is used.
    pub lines: BTreeSet<usize>,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines.iter().map(usize::to_string).collect();
        write!(f, "src/{}:{} uses src/{}", self.from, lines.join(","), self.to)
    }
}

impl Crate {
    /// The uses of one file by another, in order.
    pub fn edges(&self) -> Vec<Edge> {
        let mut lines = BTreeMap::<_, BTreeSet<_>>::new();
        for (id, module) in self.modules.iter().enumerate() {
            for Mention { path, line } in &module.mentions {
                let Target::Module(target) = self.resolve(id, path) else { continue };
                let from = module.file.clone();
                let to = self.modules[target].file.clone();
                if from != to {
                    lines.entry((from, to)).or_default().insert(*line);
                }
            }
        }
        lines.into_iter().map(|((from, to), lines)| Edge { from, to, lines }).collect()
    }

    /// Each mention of another crate: where it stands, and the path.
    pub fn external_paths(&self) -> Vec<(&Module, usize, Vec<String>)> {
        let mut paths = Vec::new();
        for (id, module) in self.modules.iter().enumerate() {
            for Mention { path, line } in &module.mentions {
                if let Target::External(path) = self.resolve(id, path) {
                    paths.push((module, *line, path));
                }
            }
        }
        paths
    }

    /// Where a path that is written in module `from` leads.
    pub fn resolve(&self, from: ModuleId, path: &[String]) -> Target {
        self.resolve_within(from, path, MAX_STEPS)
    }

    fn resolve_within(&self, from: ModuleId, path: &[String], steps: usize) -> Target {
        let Some(first) = path.first() else { return Target::Local };
        match &**first {
            "crate" => self.walk(0, &path[1..], steps),
            "self" | "super" => self.walk(from, path, steps),
            _ if self.has(from, first, steps) => self.walk(from, path, steps),
            name if path.len() > 1 && is_crate_name(name) => Target::External(path.to_vec()),
            _ => Target::Local,
        }
    }

    /// Goes down from a module along the names of a path.
    fn walk(&self, from: ModuleId, path: &[String], steps: usize) -> Target {
        let module = &self.modules[from];
        let Some((first, rest)) = path.split_first() else { return Target::Module(from) };
        if first == "self" {
            return self.walk(from, rest, steps);
        }
        if first == "super" {
            let parent = module.parent.expect("a module that names its parent has one");
            return self.walk(parent, rest, steps);
        }
        if let Some(&child) = module.children.get(first) {
            return self.walk(child, rest, steps);
        }
        if module.items.contains(first) || steps == 0 {
            return Target::Module(from);
        }
        if let Some(binding) = module.bindings.get(first) {
            let path = [binding, rest].concat();
            // `use log::log` names another crate, not itself.
            if binding[0] == *first {
                return Target::External(path);
            }
            return self.resolve_within(from, &path, steps - 1);
        }
        let named = |glob: &&Vec<String>| self.glob_has(from, glob, first, steps - 1).is_some();
        match module.globs.iter().find(named) {
            Some(glob) => {
                let source = self.glob_has(from, glob, first, steps - 1).expect("it has the name");
                self.walk(source, path, steps - 1)
            }
            None => Target::Module(from),
        }
    }

    /// Whether a name is in the scope of a module.
    fn has(&self, id: ModuleId, name: &str, steps: usize) -> bool {
        let module = &self.modules[id];
        let globs = || module.globs.iter();
        module.children.contains_key(name)
            || module.items.contains(name)
            || module.bindings.contains_key(name)
            || steps > 0 && globs().any(|glob| self.glob_has(id, glob, name, steps - 1).is_some())
    }

    /// The module that a glob imports from, if it has this name.
    fn glob_has(
        &self,
        id: ModuleId,
        glob: &[String],
        name: &str,
        steps: usize,
    ) -> Option<ModuleId> {
        match self.resolve_within(id, glob, steps) {
            Target::Module(source) if source != id => {
                self.has(source, name, steps).then_some(source)
            }
            _ => None,
        }
    }
}

fn is_crate_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase()) && !PRIMITIVES.contains(&name)
}
