//! The source keeps the rules of ARCHITECTURE.md. They are tables in `rules.rs`.

mod circles;
mod fixture;
mod paths;
mod resolve;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use circles::circles;
use resolve::Edge;
use rules::{AREAS, Area, MAX_LINES};
use source::{Crate, Files, read_files};

fn files() -> Files {
    read_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn library() -> Crate {
    Crate::parse(&files(), "lib.rs")
}

fn binary() -> Crate {
    Crate::parse(&files(), "main.rs")
}

fn edges() -> Vec<Edge> {
    [library().edges(), binary().edges()].concat()
}

/// The edges, one a line, as an editor can jump to them.
fn show<'e>(edges: impl IntoIterator<Item = &'e Edge>) -> String {
    edges.into_iter().map(|edge| format!("  {edge}\n")).collect()
}

#[test]
fn no_files_use_one_another_in_a_circle() {
    let edges = edges();
    let show_circle = |circle: BTreeSet<&str>| {
        let has = |file: &String| circle.contains(&**file);
        show(edges.iter().filter(|edge| has(&edge.from) && has(&edge.to)))
    };
    let shown: Vec<_> = circles(&edges).into_iter().map(show_circle).collect();
    assert!(shown.is_empty(), "files use one another in circles:\n{}", shown.join("\n"));
}

/// Whether a path is this folder or leads into it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The area of a file, by the longest path that fits it.
fn area_of(file: &str) -> &'static Area {
    let stem = file.strip_suffix(".rs").unwrap();
    let length = |area: &Area| {
        area.paths
            .iter()
            .filter(|path| is_within(stem, path))
            .map(|path| path.len())
            .max()
            .unwrap_or(0)
    };
    let area = AREAS.iter().max_by_key(|area| length(area)).unwrap();
    assert!(length(area) > 0, "src/{file} belongs to no area in rules.rs");
    area
}

#[test]
fn the_table_of_areas_points_down_only() {
    for (at, area) in AREAS.iter().enumerate() {
        for below in area.may_use {
            let stands_below = AREAS[at + 1..].iter().any(|area| area.name == *below);
            assert!(stands_below, "{} may not use {below}, which is not below it", area.name);
        }
    }
}

#[test]
fn every_area_has_files() {
    let files = files();
    let used: BTreeSet<_> = files.keys().map(|file| area_of(file).name).collect();
    let empty = AREAS.iter().map(|area| area.name).filter(|name| !used.contains(name));
    let empty: Vec<_> = empty.collect();
    assert!(empty.is_empty(), "remove these areas, which have no files, from rules.rs: {empty:?}");
}

#[test]
fn an_area_uses_only_those_that_it_may() {
    let edges = edges();
    let is_upward = |edge: &&Edge| {
        let from = area_of(&edge.from);
        let to = area_of(&edge.to);
        from.name != to.name && !from.may_use.iter().any(|area| is_within(to.name, area))
    };
    let upward: Vec<_> = edges.iter().filter(is_upward).collect();
    assert!(upward.is_empty(), "AREAS in rules.rs does not allow this:\n{}", show(upward));
}

#[test]
fn no_file_is_long() {
    let files = files();
    let is_long = |text: &str| text.lines().count() > MAX_LINES;
    let long: Vec<_> =
        files.iter().filter(|(_, text)| is_long(text)).map(|(file, _)| file).collect();
    assert!(long.is_empty(), "split these files, which have more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn the_protocol_knows_no_sockets_no_clock_and_no_log() {
    let library = library();
    let paths = library.external_paths();
    let paths: Vec<_> = paths.iter().filter(|(module, ..)| is_protocol(&module.file)).collect();
    assert!(paths.len() > 20, "the paths are found");
    for (module, line, path) in paths {
        let shown = path.join("::");
        assert!(is_allowed_in_protocol(path), "src/{}:{line} uses {shown}", module.file);
    }
}

fn is_protocol(file: &str) -> bool {
    file.starts_with("protocol/")
}

fn is_allowed_in_protocol(path: &[String]) -> bool {
    let is_std = path[0] == "std" || path[0] == "core" || path[0] == "alloc";
    let inner = path[1..].join("::");
    let is_within = |allowed: &&str| {
        inner.strip_prefix(*allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if is_std {
        rules::STD_IN_PROTOCOL.iter().any(is_within)
    } else {
        rules::CRATES_IN_PROTOCOL.contains(&&*path[0])
    }
}

#[test]
fn the_binary_uses_only_the_public_documented_api() {
    let library = library();
    let binary = binary();
    assert_eq!(library.files().intersection(&binary.files()).next(), None, "files of both");
    let own = binary.external_paths().into_iter().filter(|(_, _, path)| path[0] == "townhall");
    let own: Vec<_> = own.collect();
    assert!(own.len() > 5, "the paths are found");
    for (module, line, path) in own {
        let mut id = 0;
        for name in &path[1..] {
            let hidden = library.modules[id].hidden.contains(name);
            assert!(!hidden, "src/{}:{line} uses {name}, which is hidden", module.file);
            match library.modules[id].children.get(name) {
                Some(&child) => id = child,
                None => break,
            }
        }
    }
}

#[test]
fn nothing_asks_for_unsafe_code() {
    for (file, text) in files() {
        let code =
            text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            let asks = line.contains("unsafe") || line.contains("#[allow");
            assert!(!asks, "src/{file}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn every_function_that_the_documentation_names_exists() {
    let files = files();
    let text = include_str!("../../ARCHITECTURE.md");
    let words = text.split(|letter: char| letter.is_whitespace() || "`()".contains(letter));
    let named: Vec<_> = words.filter_map(|word| word.split_once(".rs::")).collect();
    assert!(named.len() > 10, "the functions are found");
    for (file, function) in named {
        let function = function.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let source = files.get(&format!("{file}.rs"));
        let source = source.unwrap_or_else(|| panic!("there is no file src/{file}.rs"));
        let exists = ["(", "<"].iter().any(|next| source.contains(&format!("fn {function}{next}")));
        assert!(exists, "src/{file}.rs has no function {function}");
    }
}

#[test]
fn every_file_that_the_documentation_names_exists() {
    let files = files();
    let text = include_str!("../../ARCHITECTURE.md");
    let quoted = text.split('`').skip(1).step_by(2);
    let named: Vec<_> =
        quoted.filter(|word| word.ends_with(".rs") && !word.contains(' ')).collect();
    assert!(named.len() > 20, "the files are found");
    for name in named {
        let suffix = format!("/{name}");
        let exists = files.keys().any(|file| file == name || file.ends_with(&suffix));
        let is_test = name.starts_with("tests/");
        assert!(exists || is_test, "there is no file {name}");
    }
}
