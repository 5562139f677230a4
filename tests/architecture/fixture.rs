//! The tests of the checks themselves, on a small source tree.

use crate::circles::circles;
use crate::resolve::Edge;
use crate::source::{Crate, Files};

const LIB: &str = "
mod a;
mod b;
mod folder;
#[cfg(any(test, fuzzing))]
mod tests_only;
pub use folder::Inner;
#[doc(hidden)]
pub mod benches {}
";

const A: &str = "
use std::{fmt, net as network};
use crate::{b::{self, B}, folder::{Inner as Renamed, one}};

#[cfg(test)]
use crate::folder::two;

pub struct A(B, Renamed);

impl A {
    fn of(socket: network::TcpStream) -> fmt::Result {
        assert!(matches!(socket, _ if super::folder::two::limit() > 1));
        one::run();
        mio::Poll::new()
    }

    #[cfg(test)]
    fn in_tests() {
        crate::tests_only::run();
    }
}

mod inline {
    use super::super::b::B;
}
";

fn tree() -> Crate {
    let files = [
        ("lib.rs", LIB),
        ("a.rs", A),
        ("b.rs", "pub struct B;\nfn of() { crate::folder::Inner::new(); }"),
        (
            "folder/mod.rs",
            "mod one;\nmod two;\npub use one::{Inner, run};\npub const LIMIT: u8 = 1;",
        ),
        ("folder/one.rs", "use super::LIMIT;\npub struct Inner;\npub fn run() {}"),
        ("folder/two.rs", "use super::*;\npub fn limit() -> u8 { run(); LIMIT }"),
    ];
    let files: Files =
        files.map(|(file, text)| (file.to_owned(), text.to_owned())).into_iter().collect();
    Crate::parse(&files, "lib.rs")
}

fn lines_of(edges: &[Edge], from: &str, to: &str) -> Vec<usize> {
    let edge = edges.iter().find(|edge| edge.from == from && edge.to == to);
    edge.map(|edge| edge.lines.iter().copied().collect()).unwrap_or_default()
}

#[test]
fn uses_are_found_in_imports_code_and_macros_but_not_in_tests() {
    let edges = tree().edges();
    assert_eq!(lines_of(&edges, "a.rs", "b.rs"), [3, 8, 24]);
    assert_eq!(lines_of(&edges, "a.rs", "folder/two.rs"), [12]);
    assert!(tree().files().iter().all(|file| *file != "tests_only.rs"));
}

#[test]
fn a_re_export_counts_as_the_file_that_it_comes_from() {
    let edges = tree().edges();
    assert_eq!(lines_of(&edges, "a.rs", "folder/one.rs"), [3, 8, 13]);
    assert_eq!(lines_of(&edges, "b.rs", "folder/one.rs"), [2]);
    assert_eq!(lines_of(&edges, "folder/two.rs", "folder/one.rs"), [2]);
    assert_eq!(lines_of(&edges, "a.rs", "folder/mod.rs"), []);
    assert_eq!(lines_of(&edges, "lib.rs", "folder/one.rs"), []);
}

#[test]
fn a_child_that_uses_its_parent_is_no_circle() {
    let edges = tree().edges();
    assert_eq!(lines_of(&edges, "folder/one.rs", "folder/mod.rs"), [1]);
    assert!(circles(&edges).is_empty(), "{edges:?}");
}

#[test]
fn files_that_use_one_another_are_a_circle_however_long() {
    let edge = |(from, to): (&str, &str)| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        lines: [1].into(),
    };
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")].map(edge);
    assert_eq!(circles(&edges), [["a", "b", "c"].into()]);
    assert!(circles(&edges[1..]).is_empty());
}

#[test]
fn paths_into_other_crates_are_found_under_any_name() {
    let tree = tree();
    let paths: Vec<_> =
        tree.external_paths().into_iter().map(|(.., path)| path.join("::")).collect();
    for path in
        ["std::fmt", "std::net", "std::net::TcpStream", "std::fmt::Result", "mio::Poll::new"]
    {
        assert!(paths.iter().any(|found| found == path), "{path} in {paths:?}");
    }
}

#[test]
fn hidden_modules_are_known() {
    assert!(tree().modules[0].hidden.contains("benches"));
}
