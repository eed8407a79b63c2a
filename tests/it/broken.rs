//! Every mistake under `tests/data/broken`, loaded as `cordon check` loads it: each is told with file, line,
//! column, a help, and a code that has a page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cordon::config::{Config, Machine};
use cordon::connector;
use cordon::diagnostic::Diagnostic;
use cordon::playbook;
use cordon::trigger::Trigger;

/// Codes that mean a whole file here, because what is wrong stands nowhere in it: a folder of another name (C005), a
/// function a script lacks (C016), files that are missing or misnamed (C017, P015), a key a trigger lacks (T005).
const WHOLE_FILE: [&str; 5] = ["C005", "C016", "C017", "P015", "T005"];

fn entries(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/broken")
        .join(kind);
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

fn connector(folder: &Path) -> Vec<Diagnostic> {
    let own = tempfile::tempdir().unwrap();
    let name = folder.file_name().unwrap();
    std::fs::create_dir(own.path().join(name)).unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), own.path().join(name).join(file.file_name())).unwrap();
    }
    connector::Catalog::load(Some(own.path()))
        .err()
        .unwrap_or_default()
}

fn config(file: &Path) -> Vec<Diagnostic> {
    let catalog = connector::Catalog::embedded().unwrap();
    let nowhere = Machine { run_commands: false };
    match Config::load(file) {
        Err(found) => found,
        Ok(config) => config.resolve(&catalog, &nowhere).err().unwrap_or_default(),
    }
}

fn trigger(file: &Path) -> Vec<Diagnostic> {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    Trigger::load(&name, &text, "p").err().unwrap_or_default()
}

#[test]
fn every_diagnostic_names_a_place_a_help_and_a_code_with_a_page() {
    let embedded = connector::Catalog::embedded().unwrap();
    let mut wrong = Vec::new();
    let mut counts = Vec::new();
    let mut seen_whole = BTreeSet::new();
    for kind in ["playbooks", "triggers", "connectors", "config"] {
        let entries = entries(kind);
        let mut told = 0;
        for entry in &entries {
            let found = match kind {
                "playbooks" => playbook::check(std::slice::from_ref(entry), &embedded),
                "triggers" => trigger(entry),
                "connectors" => connector(entry),
                _ => config(entry),
            };
            let name = entry.file_name().unwrap().to_string_lossy();
            if found.is_empty() {
                wrong.push(format!("{kind}/{name}: nothing is found"));
            }
            told += found.len();
            for one in found {
                let page = format!("{}/docs/errors/{}.md", env!("CARGO_MANIFEST_DIR"), one.code);
                let says = std::fs::read_to_string(page)
                    .is_ok_and(|text| text.starts_with(&format!("# {}: ", one.code)));
                let placed = one.line >= 1 && one.column >= 1;
                let whole = one.line == 0 && one.column == 0 && WHOLE_FILE.contains(&one.code);
                if whole {
                    seen_whole.insert(one.code);
                }
                for (good, what) in [
                    (says, "no page"),
                    (placed || whole, "no place"),
                    (!one.file.trim().is_empty(), "no file"),
                    (!one.help.trim().is_empty(), "no help"),
                    (!one.message.trim().is_empty(), "no message"),
                    (one.render(false).contains(one.code), "no code in its text"),
                ] {
                    if !good {
                        wrong.push(format!("{kind}/{name}: {what}: {one}"));
                    }
                }
            }
        }
        counts.push((kind, entries.len(), told));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    eprintln!("{counts:?}, whole files: {seen_whole:?}");
    assert!(
        seen_whole.iter().eq(&WHOLE_FILE),
        "{seen_whole:?}: shorten the list"
    );
    let pieces: usize = counts.iter().map(|(_, files, _)| files).sum();
    assert!(pieces >= 50, "{counts:?}");
    assert!(counts.iter().all(|(_, _, told)| *told >= 20), "{counts:?}");
}
