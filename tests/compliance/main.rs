//! What the RFCs require, and which tests show it. `docs/compliance.md` is made of these tables.

mod page;
mod results;
mod sources;
mod table;

use std::path::{Path, PathBuf};
use std::{env, fs};

use results::{Run, are_cases};
use sources::Sources;
use table::{Document, GapKind};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> [Document; 4] {
    [
        include_str!("rfc6455.txt"),
        include_str!("rfc7692.txt"),
        include_str!("rfc9110.txt"),
        include_str!("rfc9112.txt"),
    ]
    .map(Document::parse)
}

/// What is wrong with each requirement, according to `complaint`.
fn complaints(complaint: impl Fn(&table::Requirement) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents() {
        for (section, one) in document.requirements() {
            if let Some(complaint) = complaint(one) {
                let Document { name, .. } = &document;
                found.push(format!("{name}, {}: {complaint}: {}", section.number, one.quotation));
            }
        }
    }
    found
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_key_word_of_a_complete_document_is_quoted() {
    for document in documents() {
        for section in &document.sections {
            let quoted: usize = section.requirements.iter().map(|one| one.key_words()).sum();
            let expected = section.key_words.unwrap_or(quoted);
            assert_eq!(quoted, expected, "{}, section {}", document.name, section.number);
        }
    }
    assert_none(&complaints(|one| (one.key_words() == 0).then(|| "no key word".to_owned())));
}

#[test]
fn every_requirement_is_shown_or_the_reason_is_given() {
    assert_none(&complaints(|one| {
        let is_wrong = match one.gap {
            Some(_) if one.is(GapKind::NotApplicable) => one.is_shown(),
            Some(_) => false,
            None => !one.is_shown(),
        };
        is_wrong.then(|| "tests or a reason why there are none".to_owned())
    }));
}

#[test]
fn every_test_that_is_named_exists() {
    let sources = Sources::read(&root());
    assert_none(&complaints(|one| one.tests.iter().find_map(|name| sources.find(name).err())));
    for name in page::HTTP_2_TESTS {
        sources.find(name).unwrap();
    }
    assert_none(&complaints(|one| one.cases.iter().find(|case| !are_cases(case)).cloned()));
}

#[test]
fn the_page_is_what_the_tables_make() {
    let root = root();
    let path = root.join("docs/compliance.md");
    let page = page::page(&documents(), &Run::read_all(&root), &Sources::read(&root));
    if env::var_os("TOWNHALL_WRITE").is_some() {
        fs::write(&path, page).unwrap();
        return;
    }
    assert!(
        is_written(&path, &page),
        "write it with TOWNHALL_WRITE=1 cargo test --test compliance"
    );
}

fn is_written(path: &Path, page: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|written| written == page)
}
