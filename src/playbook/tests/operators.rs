//! An operator's own playbooks beside those that ship.

use std::path::{Path, PathBuf};

use super::{connectors, finding};
use crate::guardrail::Groups;
use crate::playbook::{Catalog, Estate, check, check_in};

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

fn estate(author: Option<&str>) -> Estate {
    let members = ["ana", "ben"].map(str::to_owned).into();
    Estate {
        author: author.map(str::to_owned),
        groups: Groups([("leads".to_owned(), members)].into()),
    }
}

#[test]
fn who_is_asked_is_held_against_the_groups_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let script = "approve(#{ ask: \"Go on?\", by: \"leeds\" });\napprove(#{ ask: \"Go on?\", by: \"leads\", quorum: 3 });\n\
                  approve(#{ ask: \"Go on?\", by: \"ben\" });\n";
    write(dir.path(), "own/asks", "asks", script);
    let dirs = [dir.path().to_owned()];
    assert_eq!(check(&dirs, &connectors()), [], "nothing is known of groups");
    let told = |estate: &Estate| {
        let found = check_in(&dirs, &connectors(), estate);
        found.iter().map(|one| (one.code, one.line)).collect::<Vec<_>>()
    };
    assert_eq!(told(&estate(Some("ana"))), [("P024", 1), ("P024", 2)]);
    let unknown = told(&estate(None));
    assert_eq!(
        unknown.iter().filter(|(code, _)| *code == "P027").count(),
        3,
        "{unknown:?}"
    );
}

#[test]
fn a_playbook_is_published_by_whom_it_or_its_estate_says() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "own/one", "one", "note(\"a\");");
    write(dir.path(), "own/two", "two", "note(\"b\");");
    let manifest = dir.path().join("own/two/playbook.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}author = \"ben\"\n")).unwrap();
    let author = |estate: &Estate, id: &str| {
        let catalog = Catalog::load_in(&[dir.path().to_owned()], &connectors(), estate).unwrap();
        catalog.get(id).unwrap().bundle.author.clone()
    };
    assert_eq!(author(&estate(Some("ana")), "one"), "ana");
    assert_eq!(author(&estate(Some("ana")), "two"), "ben");
    assert_eq!(author(&estate(None), "one"), "", "nobody knows");
    assert_eq!(author(&estate(Some("ana")), "malware-on-host"), "cordon");
}
