//! The modules of `src`, with the names that each defines and the paths that each mentions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;
use syn::{Item, Meta};

use crate::paths::PathCollector;

/// The text of each file, by its path below `src`.
pub type Files = BTreeMap<String, String>;

/// All `.rs` files below `folder`.
pub fn read_files(folder: &Path) -> Files {
    let mut files = Files::new();
    read_into(&mut files, folder, folder);
    assert!(files.len() > 50, "the files are found");
    files
}

fn read_into(files: &mut Files, root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_into(files, root, &path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

pub type ModuleId = usize;

/// A module. An inline one shares the file of the module around it.
#[derive(Debug, Default)]
pub struct Module {
    pub file: String,
    pub parent: Option<ModuleId>,
    pub children: HashMap<String, ModuleId>,
    /// What the module defines, except other modules.
    pub items: HashSet<String>,
    /// What `use` brings into scope: the local name, and the path that it stands for.
    pub bindings: HashMap<String, Vec<String>>,
    /// The modules whose contents a glob brings into scope.
    pub globs: Vec<Vec<String>>,
    /// The names of items that are hidden from the documentation.
    pub hidden: HashSet<String>,
    pub mentions: Vec<Mention>,
}

/// A path as it is written somewhere in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub path: Vec<String>,
    pub line: usize,
}

/// The modules of one crate. Those that exist only in tests and fuzzers are left out.
#[derive(Debug)]
pub struct Crate {
    pub modules: Vec<Module>,
}

impl Crate {
    /// Reads the modules that `root`, such as `lib.rs`, declares.
    pub fn parse(files: &Files, root: &str) -> Self {
        let mut parsed = Self { modules: Vec::new() };
        parsed.add_file(files, root.to_owned(), None, "");
        parsed
    }

    /// The files of the crate.
    pub fn files(&self) -> HashSet<&str> {
        self.modules.iter().map(|module| &*module.file).collect()
    }

    /// Adds the module in `file`, whose children are in the files below `folder`.
    fn add_file(
        &mut self,
        files: &Files,
        file: String,
        parent: Option<ModuleId>,
        folder: &str,
    ) -> ModuleId {
        let syntax = match syn::parse_file(&files[&file]) {
            Ok(syntax) => syntax,
            Err(error) => panic!("{file}: {error}"),
        };
        self.add(files, Module { file, parent, ..Module::default() }, &syntax.items, folder)
    }

    fn add(&mut self, files: &Files, module: Module, items: &[Item], folder: &str) -> ModuleId {
        let id = self.modules.len();
        self.modules.push(module);
        for item in items.iter().filter(|item| is_compiled(attributes_of(item))) {
            if is_hidden(attributes_of(item))
                && let Some(name) = name_of(item)
            {
                self.modules[id].hidden.insert(name);
            }
            if let Item::Mod(module) = item {
                self.add_child(files, id, module, folder);
                continue;
            }
            self.modules[id].items.extend(name_of(item));
            PathCollector { module: &mut self.modules[id] }.visit_item(item);
        }
        id
    }

    fn add_child(&mut self, files: &Files, id: ModuleId, module: &syn::ItemMod, folder: &str) {
        let name = module.ident.to_string();
        let below = format!("{folder}{name}/");
        let child = match &module.content {
            Some((_, items)) => {
                let file = self.modules[id].file.clone();
                let inline = Module { file, parent: Some(id), ..Module::default() };
                self.add(files, inline, items, &below)
            }
            None => {
                let candidates = [format!("{folder}{name}.rs"), format!("{below}mod.rs")];
                let file = candidates.into_iter().find(|file| files.contains_key(file));
                let file = file.unwrap_or_else(|| panic!("no file for the module {below}"));
                self.add_file(files, file, Some(id), &below)
            }
        };
        self.modules[id].children.insert(name, child);
    }
}

/// Whether something with these attributes is part of the program itself, and not only of its tests
/// or fuzzers. Conditions on the system count as met.
pub fn is_compiled(attributes: &[syn::Attribute]) -> bool {
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.map(|attribute| attribute.parse_args::<Meta>().unwrap()).all(|meta| is_met(&meta))
}

fn is_met(condition: &Meta) -> bool {
    let parts = || {
        let Meta::List(list) = condition else { panic!("a condition with parts") };
        let parse = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
        list.parse_args_with(parse).unwrap().into_iter()
    };
    let path = condition.path();
    if path.is_ident("any") {
        parts().any(|part| is_met(&part))
    } else if path.is_ident("all") {
        parts().all(|part| is_met(&part))
    } else if path.is_ident("not") {
        let only_part = parts().next().unwrap();
        // A condition on the system may be met or not; both sides are looked at.
        !(is_met(&only_part) && is_about_tests(only_part.path()))
    } else {
        !is_about_tests(path)
    }
}

fn is_about_tests(path: &syn::Path) -> bool {
    path.is_ident("test") || path.is_ident("fuzzing")
}

fn is_hidden(attributes: &[syn::Attribute]) -> bool {
    let docs = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    docs.filter_map(|doc| doc.parse_args::<syn::Ident>().ok()).any(|ident| ident == "hidden")
}

pub fn attributes_of(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
