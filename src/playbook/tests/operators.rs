//! An operator's own playbooks beside those that ship.

use std::path::{Path, PathBuf};

use super::{connectors, finding};
use crate::playbook::{Catalog, check};

fn write(root: &Path, folder: &str, id: &str, script: &str) {
    let folder = root.join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!("id = \"{id}\"\ntitle = \"Ours\"\nkind = \"response\"\nowner = \"us\"\n");
    std::fs::write(folder.join("playbook.toml"), manifest).unwrap();
    std::fs::write(folder.join("playbook.rhai"), script).unwrap();
}

#[test]
fn a_playbook_with_the_same_id_takes_the_place_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "own/malware",
        "malware-on-host",
        "note(\"by hand here\");",
    );
    write(dir.path(), "own/other", "something-else", "note(finding.title);");
    let catalog = Catalog::load(&[dir.path().to_owned()], &connectors()).unwrap();
    let ours = catalog.get("malware-on-host").unwrap();
    assert_eq!(ours.manifest.title, "Ours");
    assert_eq!(ours.folder, dir.path().join("own/malware").display().to_string());
    assert!(
        catalog.index().matches(&finding(&["web-07"])).is_empty(),
        "the shipped trigger went with it"
    );
    assert!(catalog.get("something-else").is_some());
}

#[test]
fn a_folder_named_twice_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "own/one", "one", "note(\"a\");");
    let dirs = [
        dir.path().to_owned(),
        dir.path().join("own"),
        dir.path().join("own/one"),
    ];
    assert_eq!(check(&dirs, &connectors()), []);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let errors = Catalog::load(&[PathBuf::from("tests/no/such/folder")], &connectors()).unwrap_err();
    assert_eq!(errors.first().map(|error| error.code), Some("P015"));
}

#[test]
fn a_warning_does_not_keep_a_playbook_out() {
    let dir = tempfile::tempdir().unwrap();
    let script = "for host in finding.all(\"host\") { endpoint::isolate(host); }";
    write(dir.path(), "own/slow", "slow", script);
    let dirs = [dir.path().to_owned()];
    assert_eq!(
        check(&dirs, &connectors()).first().map(|warning| warning.code),
        Some("P007")
    );
    assert!(Catalog::load(&dirs, &connectors()).unwrap().get("slow").is_some());
}

#[test]
fn functions_of_the_library_are_called_by_playbooks_and_are_in_their_bundles() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "own/one",
        "one",
        "note(lib::named(finding.all(\"host\")));",
    );
    let before = Catalog::load(&[dir.path().to_owned()], &connectors()).unwrap_err();
    assert_eq!(before.first().map(|error| error.code), Some("P002"));
    let library = dir.path().join("lib");
    std::fs::create_dir_all(&library).unwrap();
    let text = "fn named(list) { list.map(|one| one.name) }\n";
    std::fs::write(library.join("named.rhai"), text).unwrap();
    std::fs::write(library.join("README.md"), "words").unwrap();
    let load = || Catalog::load(&[dir.path().to_owned()], &connectors()).unwrap();
    let first = load().get("one").unwrap().bundle.clone();
    let loaded = crate::playbook::Loaded::open(&first.bytes).unwrap();
    let file = loaded
        .program
        .library()
        .files()
        .iter()
        .find(|file| file.name() == "lib/named.rhai");
    assert_eq!(file.map(|file| file.text()), Some(text));
    std::fs::write(library.join("named.rhai"), format!("{text}// more")).unwrap();
    assert_ne!(load().get("one").unwrap().bundle.digest, first.digest);
}

#[test]
fn a_mistake_in_the_library_is_told_once_and_names_its_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "own/one", "one", "note(finding.title);");
    write(dir.path(), "own/two", "two", "note(finding.title);");
    let library = dir.path().join("lib");
    std::fs::create_dir_all(&library).unwrap();
    let script = "fn stop(host) {\n    endpoint::isolate(host, #{ laese: \"4h\" })\n}\n";
    std::fs::write(library.join("stop.rhai"), script).unwrap();
    std::fs::write(library.join("notes.toml"), "").unwrap();
    let found = check(&[dir.path().to_owned()], &connectors());
    let told: Vec<(&str, &str, usize)> = found
        .iter()
        .map(|one| (one.code, one.file.rsplit('/').next().unwrap(), one.line))
        .collect();
    assert_eq!(told, [("P015", "notes.toml", 0), ("P017", "stop.rhai", 2)]);
}
