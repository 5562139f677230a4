//! The tests of the source tree, by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The folders with tests, and folders in them that hold other people's files.
const FOLDERS: [&str; 2] = ["src", "tests"];
const SKIPPED: [&str; 3] = ["node_modules", "target", "__pycache__"];

/// The files with a test of each name, as paths in the repository.
pub struct Sources(BTreeMap<String, Vec<String>>);

impl Sources {
    pub fn read(root: &Path) -> Self {
        let mut sources = Self(BTreeMap::new());
        FOLDERS.iter().for_each(|folder| sources.read_folder(root, &root.join(folder)));
        assert!(sources.0.len() > 500, "the tests are found");
        sources
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !SKIPPED.contains(&name) {
                    self.read_folder(root, &path);
                }
                continue;
            }
            let names_of = match path.extension().and_then(|extension| extension.to_str()) {
                Some("rs") => rust_tests,
                Some("js") => javascript_tests,
                _ => continue,
            };
            let file = path.strip_prefix(root).unwrap().to_str().unwrap();
            for test in names_of(&fs::read_to_string(&path).unwrap()) {
                self.0.entry(test).or_default().push(file.to_owned());
            }
        }
    }

    /// The file with a test, which is named as `name` or, if there are several, as `path::name`.
    pub fn find<'n>(&self, named: &'n str) -> Result<(String, &'n str), String> {
        let (path, name) = match named.rsplit_once("::") {
            Some((path, name)) => (Some(path), name),
            None => (None, named.trim_matches('"')),
        };
        let files = self.0.get(name).ok_or_else(|| format!("there is no test {name}"))?;
        match (path, &files[..]) {
            (Some(path), files) if files.iter().any(|file| file == path) => {
                Ok((path.to_owned(), name))
            }
            (Some(path), _) => Err(format!("{path} has no test {name}")),
            (None, [file]) => Ok((file.clone(), name)),
            (None, files) => Err(format!("write FILE::{name}, because it is in {files:?}")),
        }
    }
}

/// The functions with the attribute `#[test]`, except those that `#[ignore]` leaves out.
fn rust_tests(text: &str) -> Vec<String> {
    let mut tests = Vec::new();
    let (mut is_test, mut is_ignored) = (false, false);
    for line in text.lines().map(str::trim) {
        match line {
            "#[test]" => is_test = true,
            _ if line.starts_with("#[ignore") => is_ignored = true,
            _ if line.starts_with("#[") || line.starts_with("//") => {}
            _ => {
                let name = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next());
                tests.extend(name.filter(|_| is_test && !is_ignored).map(str::to_owned));
                (is_test, is_ignored) = (false, false);
            }
        }
    }
    tests
}

/// The first arguments of calls of `test`, without escapes.
fn javascript_tests(text: &str) -> Vec<String> {
    let calls = text.lines().filter_map(|line| line.trim_start().strip_prefix("test('"));
    calls
        .filter_map(|rest| rest.split_once("', "))
        .map(|(name, _)| name.replace('\\', ""))
        .collect()
}

#[test]
fn only_functions_that_run_as_tests_are_tests() {
    let text = "#[test]\n/// A comment.\n#[cfg(unix)]\nfn a() {}\n\nfn b() {}\n\
        #[test]\n#[ignore = \"slow\"]\nfn c() {}\n// #[test]\nfn d() {}\n    #[test]\n    fn e(x in 0..9) {}\n";
    assert_eq!(rust_tests(text), ["a", "e"]);
    let text = "test('it\\'s a, b', async () => {\n  test.skip('c', f);\nfunction test(d) {}\n";
    assert_eq!(javascript_tests(text), ["it's a, b"]);
}
