//! What a run is made of: it opens to what it was made from, and changes when any of that does.

use std::collections::BTreeMap;

use serde_json::Value;

use super::connectors;
use crate::connector::{self, Connector};
use crate::digest::Digest;
use crate::playbook::{Bundle, Catalog, Loaded, NotABundle, vocabulary};

fn malware() -> Bundle {
    Catalog::embedded(&connectors())
        .unwrap()
        .get("malware-on-host")
        .unwrap()
        .bundle
        .clone()
}

/// The shipped connectors with one file of one changed.
fn with_changed(name: &str, file: &str, change: impl Fn(&str) -> String) -> connector::Catalog {
    let shipped = connectors();
    let changed = shipped.connectors().map(|connector| {
        let mut files: BTreeMap<String, String> = connector.files.clone();
        if connector.manifest.name == name {
            let text = change(files.get(file).map_or("", String::as_str));
            files.insert(file.to_owned(), text);
        }
        Connector::parse(&files, &format!("connectors/{}", connector.manifest.name)).unwrap()
    });
    connector::Catalog::of(changed.collect::<Vec<_>>())
}

fn changed(bundle: &Bundle, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let mut written: Value = serde_json::from_slice(&bundle.bytes).unwrap();
    change(written.as_object_mut().unwrap());
    serde_json::to_vec(&written).unwrap()
}

#[test]
fn a_bundle_opens_to_the_same_program_and_words() {
    let connectors = connectors();
    let catalog = Catalog::embedded(&connectors).unwrap();
    for playbook in catalog.all() {
        let loaded = Loaded::open(&playbook.bundle.bytes).unwrap();
        assert_eq!(loaded.program.text(), playbook.script.text());
        assert_eq!(
            loaded.vocabulary.digest(),
            vocabulary(&connectors, false).unwrap().digest()
        );
        let digests = |catalog: &connector::Catalog| -> Vec<Digest> {
            catalog.connectors().map(|connector| connector.digest).collect()
        };
        assert_eq!(digests(&loaded.connectors), digests(&connectors));
        assert_eq!(playbook.bundle.digest, Digest::of(&playbook.bundle.bytes));
        assert_eq!(playbook.bundle.playbook, playbook.manifest.id);
    }
}

#[test]
fn the_same_content_has_the_same_digest_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["playbook.toml", "playbook.rhai", "trigger.yml"] {
        let shipped = std::path::Path::new("playbooks/endpoint/malware_on_host").join(name);
        std::fs::copy(shipped, dir.path().join(name)).unwrap();
    }
    let moved = Catalog::load(&[dir.path().to_owned()], &connectors()).unwrap();
    let moved = moved.get("malware-on-host").unwrap();
    assert_ne!(moved.folder, "playbooks/endpoint/malware_on_host");
    let bundle = moved.bundle.clone().published_by("cordon").at(malware().place);
    assert_eq!(bundle, malware(), "whoever publishes it");
}

#[test]
fn what_a_run_does_is_in_the_digest_and_its_documentation_is_not() {
    let of = |connectors: &connector::Catalog| {
        Catalog::embedded(connectors)
            .unwrap()
            .get("malware-on-host")
            .unwrap()
            .bundle
            .digest
    };
    let more = |text: &str| format!("{text}\n// more\n");
    assert_ne!(
        of(&with_changed("crowdstrike", "actions.rhai", more)),
        malware().digest
    );
    let more = |text: &str| format!("{text}\nmore\n");
    assert_eq!(
        of(&with_changed("crowdstrike", "README.md", more)),
        malware().digest
    );
    let more = |text: &str| format!("{text}\n# more\n");
    assert_eq!(
        of(&with_changed("crowdstrike", "tests/case.toml", more)),
        malware().digest
    );
}

#[test]
fn a_newer_bundle_is_refused_by_its_number_even_with_parts_unknown_here() {
    let newer = changed(&malware(), |written| {
        written.insert("format".into(), 3.into());
        written.insert("seal".into(), "…".into());
    });
    assert!(matches!(Loaded::open(&newer), Err(NotABundle::Newer(3))));
    let unknown = changed(&malware(), |written| {
        written.insert("seal".into(), "…".into());
    });
    assert!(matches!(Loaded::open(&unknown), Err(NotABundle::Unreadable(_))));
}

#[test]
fn a_bundle_cut_short_is_refused() {
    let bytes = malware().bytes;
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        let cut = bytes.get(..length).unwrap();
        assert!(
            matches!(Loaded::open(cut), Err(NotABundle::Unreadable(_))),
            "{length}"
        );
    }
}

#[test]
fn a_bundle_whose_connector_does_not_load_is_refused_with_the_reason() {
    let broken = changed(&malware(), |written| {
        let manifest = written
            .get_mut("connectors")
            .and_then(|all| all.get_mut("crowdstrike"));
        *manifest
            .and_then(|files| files.get_mut("connector.toml"))
            .unwrap() = "name = 1".into();
    });
    let error = Loaded::open(&broken).unwrap_err();
    assert!(
        matches!(&error, NotABundle::Refused(why) if why.contains("`name`")),
        "{error}"
    );
}
