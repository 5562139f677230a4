//! The import rules of ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

/// The `.rs` files below `folder`.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| files_below(folder));
    let is_source = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files.into_iter().filter(is_source).chain(below).collect()
}

/// The lines of all `.rs` files below `folder`, with their places, without comments.
fn lines(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let mut lines = Vec::new();
    for path in files_below(&root) {
        let content = fs::read_to_string(&path).unwrap();
        for (number, line) in content.lines().enumerate() {
            if !line.trim_start().starts_with("//") {
                lines.push((format!("{}:{}", path.display(), number + 1), line.to_owned()));
            }
        }
    }
    assert!(lines.len() > 100, "the files are found");
    lines
}

fn assert_without(folder: &str, forbidden: &[&str]) {
    for (place, line) in lines(folder) {
        for word in forbidden {
            assert!(!line.contains(word), "{place} has {word}: {line}");
        }
    }
}

#[test]
fn the_protocol_knows_no_sockets_no_clock_and_no_log() {
    let forbidden =
        ["std::net", "std::io", "std::time", "mio::", "slab::", "log::", "crate::server"];
    assert_without("protocol", &forbidden);
}

#[test]
fn nothing_asks_for_unsafe_code() {
    let forbidden = ["unsafe", "#[allow"];
    assert_without("protocol", &forbidden);
    assert_without("server", &forbidden);
}
