//! Where golden journals come from: the cases of every shipped playbook, and of those in `tests/data/journal/playbooks`,
//! played by the real engine. `CORDON_GOLDEN=write cargo test golden` writes those that are not there yet; one that is
//! there is never written again, for it has to stay readable. `tests/it/golden.rs` replays them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Suite, gather};
use crate::digest::Digest;
use crate::journal::Event;
use crate::{connector, playbook};

/// Journals kept of one playbook: those that differ in the kinds of their events.
const EACH_MAX: usize = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal")
}

#[tokio::test]
async fn golden_journals_are_there_of_every_playbook() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let connectors = connector::Catalog::load(Some(&root.join("connectors"))).unwrap();
    let dirs = [root.join("playbooks"), folder().join("playbooks")];
    let playbooks = playbook::Catalog::load(&dirs, &connectors).unwrap();
    if std::env::var("CORDON_GOLDEN").is_ok_and(|what| what == "write") {
        let found = gather(&connectors, &playbooks);
        assert_eq!(found.mistakes, []);
        let suite = Suite::new(Arc::new(connectors), 1).unwrap().over(&playbooks);
        write(suite.journals(&found).await);
    }
    let mut seen = BTreeSet::new();
    for file in std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if file.extension().is_some_and(|ending| ending == "json") {
            let text = std::fs::read_to_string(&file).unwrap();
            let golden: Value = serde_json::from_str(&text).unwrap();
            seen.insert(golden["playbook"].as_str().unwrap().to_owned());
        }
    }
    for playbook in playbooks.all() {
        let id = &playbook.manifest.id;
        assert!(
            seen.contains(id),
            "no golden journal of `{id}`: CORDON_GOLDEN=write cargo test golden"
        );
    }
}

fn write(journals: Vec<(String, Vec<u8>, Vec<crate::journal::Entry>)>) {
    let mut kept: BTreeMap<String, BTreeSet<BTreeSet<String>>> = BTreeMap::new();
    for (case, bundle, entries) in journals {
        let Event::RunStarted(header) = entries[0].event().unwrap().1 else {
            panic!("{case}");
        };
        let kinds: BTreeSet<String> = entries.iter().map(|entry| entry.kind.clone()).collect();
        let of = kept.entry(header.playbook.clone()).or_default();
        if of.len() >= EACH_MAX || !of.insert(kinds) {
            continue;
        }
        // Connectors are the same in every bundle of one moment, so they stand beside them once.
        let mut bundle: Value = serde_json::from_slice(&bundle).unwrap();
        let connectors = std::mem::take(&mut bundle["connectors"]);
        let connectors_digest = Digest::of_json(&connectors).short();
        keep(
            &folder()
                .join("connectors")
                .join(format!("{connectors_digest}.json")),
            &connectors,
        );
        bundle["connectors"] = json!(connectors_digest);
        keep(
            &folder()
                .join("bundles")
                .join(format!("{}.json", header.bundle.short())),
            &bundle,
        );
        let name = format!("{}.{}.json", header.playbook.replace('/', "_"), of.len());
        let golden = json!({
            "playbook": header.playbook, "case": case, "bundle": header.bundle.short(), "entries": entries,
        });
        keep(&folder().join(name), &golden);
    }
}

fn keep(file: &Path, value: &Value) {
    if !file.exists() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, serde_json::to_string(value).unwrap() + "\n").unwrap();
    }
}
