//! Replays the corpus of the fuzz targets: each input passes the check of its target. `fuzz/corpus` has
//! seeds, and `fuzz/found` what the fuzzer has found.
//!
//! `src/fuzz` is a link to `fuzz/src`, so that the package of the crate, which cannot contain another package such
//! as `fuzz`, has the targets, and its tests compile. It has no corpus.

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

#[expect(
    clippy::field_reassign_with_default,
    reason = "outside this crate, `Limits` has no literals"
)]
#[path = "fuzz/lib.rs"]
mod targets;

/// Defines a test for each target, and their names.
macro_rules! replay {
    ($($target:ident),+) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),+];

        $(
            #[test]
            fn $target() {
                replay(stringify!($target), targets::$target::check);
            }
        )+
    };
}

replay!(
    client,
    connection,
    deflate,
    frame,
    handshake,
    mask,
    proxy_header,
    request,
    response,
    room,
    state,
    utf8
);

#[test]
fn every_target_is_replayed() {
    if is_packed() {
        return;
    }
    let targets: BTreeSet<_> = TARGETS.iter().map(|&target| target.to_owned()).collect();
    assert_eq!(names_in("fuzz/fuzz_targets"), targets);
    assert_eq!(names_in("fuzz/corpus"), targets);
    assert_eq!(names_in("fuzz/found"), targets);
}

/// Whether this is the package of the crate. In the repository, nothing compiles without `fuzz`.
fn is_packed() -> bool {
    !path_of("fuzz").exists()
}

fn path_of(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// The names of the files and folders here, without extensions.
fn names_in(folder: &str) -> BTreeSet<String> {
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths_in(folder).into_iter().map(name).collect()
}

fn paths_in(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(path_of(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Checks every input of a target, so that one run shows all that fail.
fn replay(target: &str, check: fn(&[u8])) {
    let failures: Vec<_> = inputs(target).iter().filter_map(|path| failure(path, check)).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn inputs(target: &str) -> Vec<PathBuf> {
    if is_packed() {
        return Vec::new();
    }
    // Files with other names are not part of the corpus: somebody's fuzzer wrote them.
    let is_seed = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "bin");
    let seeds: Vec<_> =
        paths_in(&format!("fuzz/corpus/{target}")).into_iter().filter(is_seed).collect();
    let found = paths_in(&format!("fuzz/found/{target}"));
    assert!(!seeds.is_empty(), "fuzz/corpus/{target} has no seeds");
    assert!(!found.is_empty(), "fuzz/found/{target} has no inputs");
    [seeds, found].concat()
}

/// The path of an input that fails, and why.
fn failure(path: &Path, check: fn(&[u8])) -> Option<String> {
    let input = fs::read(path).unwrap();
    let panic = panic::catch_unwind(|| check(&input)).err()?;
    let reason = panic.downcast_ref::<String>().map(String::as_str);
    let reason = reason.or_else(|| panic.downcast_ref().copied()).unwrap_or("it panicked");
    Some(format!("{}: {reason}", path.display()))
}
