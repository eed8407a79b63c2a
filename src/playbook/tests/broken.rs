//! Each broken playbook under `tests/data/broken/playbooks` says what is wrong, where, and what to do.

use std::path::PathBuf;

use super::connectors;
use crate::diagnostic::Severity;
use crate::playbook::{Catalog, check};

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("tests/data/broken/playbooks")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

#[test]
fn broken_playbooks_say_where_and_what_to_do() {
    let connectors = connectors();
    for folder in folders() {
        let found = check(std::slice::from_ref(&folder), &connectors);
        assert!(!found.is_empty(), "{} passes", folder.display());
        for diagnostic in &found {
            let page = format!("docs/errors/{}.md", diagnostic.code);
            // Pages of the script room's own codes come with that room.
            let own = diagnostic.code < "P010";
            assert!(own || std::path::Path::new(&page).exists(), "{page} is missing");
            assert!(!diagnostic.help.is_empty(), "{diagnostic}");
        }
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let rendered: Vec<String> = found.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(name, rendered.join("\n\n"));
    }
}

#[test]
fn a_broken_playbook_is_not_loaded() {
    let connectors = connectors();
    for folder in folders() {
        let errors = Catalog::load(std::slice::from_ref(&folder), &connectors).unwrap_err();
        assert!(
            errors.iter().all(|error| error.severity == Severity::Error),
            "{}",
            folder.display()
        );
    }
}

#[test]
fn what_ships_passes_without_a_word() {
    let found = check(&[], &connectors());
    assert_eq!(
        found,
        [],
        "{}",
        found.iter().map(ToString::to_string).collect::<String>()
    );
}
