//! Keeps the house in the order that `docs/ARCHITECTURE.md` describes: which room may use which, what the
//! lower floors never contain, that every diagnostic code has its page. Reads the source as text and compiles
//! nothing; what it cannot see (a macro that builds a path, say) is left to the reader of a change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use floors::House;
use source::File;

fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&whole).unwrap_or_else(|error| panic!("`{path}` cannot be read: {error}"))
}

/// Every file below a folder: path from that folder, with `/`, to whole path.
fn walk(folder: &Path, under: &str, found: &mut BTreeMap<String, std::path::PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if under.is_empty() {
            name
        } else {
            format!("{under}/{name}")
        };
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &path, found);
        } else {
            found.insert(path, entry.path());
        }
    }
}

fn files(folder: &str) -> BTreeMap<String, std::path::PathBuf> {
    let mut found = BTreeMap::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        "",
        &mut found,
    );
    found
}

fn sources() -> Vec<File> {
    let texts: Vec<(String, String)> = files("src")
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, whole)| (path, std::fs::read_to_string(whole).unwrap()))
        .collect();
    source::read_all(&texts)
}

fn house() -> House {
    House::parse(&read("docs/ARCHITECTURE.md"))
        .unwrap_or_else(|error| panic!("docs/ARCHITECTURE.md: {error}"))
}

#[track_caller]
fn none(mut violations: Vec<String>) {
    violations.sort();
    violations.dedup();
    assert!(
        violations.is_empty(),
        "{} to put right:\n  {}",
        violations.len(),
        violations.join("\n  ")
    );
}

#[test]
fn the_reading_sees_what_is_there() {
    let sources = sources();
    let next = sources.iter().find(|file| file.path == "run/next.rs").unwrap();
    let names = |path: &[&str]| next.paths.iter().any(|found| found.what == path && !found.test);
    assert!(names(&["crate", "journal", "RunState"]) && names(&["crate", "clock", "Time"]));
    let to_rooms = sources
        .iter()
        .flat_map(|file| &file.paths)
        .filter(|found| found.what[0] == "crate");
    assert!(to_rooms.count() > 500, "most imports are not seen");
}

#[test]
fn rooms_import_rooms_on_lower_floors_only() {
    let house = house();
    none(
        sources()
            .iter()
            .flat_map(|file| rules::direction(&house, file))
            .collect(),
    );
}

#[test]
fn the_engine_waits_where_a_simulation_can_order_it() {
    none(sources().iter().flat_map(rules::waits).collect());
}

#[test]
fn the_lower_floors_have_no_clock_no_chance_no_io() {
    let house = house();
    let sources = sources();
    let mut violations: Vec<String> = sources
        .iter()
        .flat_map(|file| rules::purity(&house, file))
        .collect();
    violations.extend(rules::exceptions_without_use(&house, &sources));
    none(violations);
}

#[test]
fn the_floors_table_and_the_source_name_the_same_rooms() {
    let paths: Vec<String> = files("src").into_keys().collect();
    none(rules::rooms(&house(), &paths));
}

#[test]
fn no_file_or_folder_has_a_name_that_says_nothing() {
    let paths: Vec<String> = files("src").into_keys().collect();
    none(rules::names(&paths));
}

#[test]
fn every_diagnostic_code_has_a_page_and_every_page_a_use() {
    let pages: BTreeMap<String, String> = files("docs/errors")
        .into_iter()
        .map(|(path, whole)| (path, std::fs::read_to_string(whole).unwrap()))
        .collect();
    none(rules::codes(&sources(), &pages));
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    for (path, whole) in files("docs") {
        if path.ends_with(".md") {
            pages.insert(format!("docs/{path}"), std::fs::read_to_string(whole).unwrap());
        }
    }
    for page in ["README.md", "CHANGELOG.md"] {
        pages.insert(page.to_owned(), read(page));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dead: BTreeSet<String> = rules::links(&pages)
        .into_iter()
        .filter(|(_, target)| !root.join(target).exists())
        .map(|(page, target)| format!("{page}: `{target}` is not there"))
        .collect();
    none(dead.into_iter().collect());
}
