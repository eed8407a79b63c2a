//! All playbooks there are: those inside the binary, and an operator's own, which take the place of those with
//! the same id. Only what passed every check is in a catalog, so what is in one can run.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::approving::Estate;
use super::binding::Acting;
use super::bundle::{Bundle, Parts};
use super::check::{Checked, Ground, check_folder, check_library};
use super::folder::{self, Folder, MANIFEST, Tree};
use super::manifest::Manifest;
use super::starting::{self, Startable};
use super::telling::Addressed;
use crate::action::ActionName;
use crate::connector;
use crate::diagnostic::{Diagnostic, Severity};
use crate::digest::Digest;
use crate::script::{Library, Program};
use crate::trigger::{Index, Trigger};

/// One playbook, checked and ready to be started.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its folder, as its author knows it.
    pub folder: String,
    /// Of its files as they are written.
    pub written: Digest,
    /// `playbook.rhai`.
    pub script: Program,
    /// Actions and capabilities it can come to.
    pub reaches: BTreeSet<ActionName>,
    /// The calls of them that stand in its script.
    pub acts: Vec<Acting>,
    /// What starts it: none for a playbook that people start, else one.
    pub triggers: Vec<Trigger>,
    /// What a run of it is made of, to be stored when one starts.
    pub bundle: Bundle,
    /// The files of its folder `tests`, by path from its own folder: cases for `cordon test`.
    pub tests: BTreeMap<String, String>,
    /// Whom its script tells by name.
    pub addressed: Vec<Addressed>,
}

/// Every playbook, by id.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    playbooks: BTreeMap<String, Arc<Playbook>>,
}

impl Catalog {
    /// The playbooks inside the binary.
    ///
    /// # Errors
    ///
    /// As [`Catalog::load`]; with the connectors inside the binary there are none.
    pub fn embedded(connectors: &connector::Catalog) -> Result<Catalog, Vec<Diagnostic>> {
        Catalog::load(&[], connectors)
    }

    /// The playbooks inside the binary, and those below `dirs`, which take their place by id.
    ///
    /// # Errors
    ///
    /// Everything wrong in any of them, warnings left out; nothing is loaded then.
    pub fn load(dirs: &[PathBuf], connectors: &connector::Catalog) -> Result<Catalog, Vec<Diagnostic>> {
        Catalog::loaded(read(dirs, connectors, None))
    }

    /// The same, with the estate's own playbooks held against who is there to be asked, and published by whom it
    /// says. Loaded without an estate, their author is not known, and nobody may approve what they do.
    ///
    /// # Errors
    ///
    /// As [`Catalog::load`].
    pub fn load_in(
        dirs: &[PathBuf],
        connectors: &connector::Catalog,
        estate: &Estate,
    ) -> Result<Catalog, Vec<Diagnostic>> {
        Catalog::loaded(read(dirs, connectors, Some(estate)))
    }

    fn loaded((catalog, mut found): (Catalog, Vec<Diagnostic>)) -> Result<Catalog, Vec<Diagnostic>> {
        found.retain(|diagnostic| diagnostic.severity == Severity::Error);
        if found.is_empty() { Ok(catalog) } else { Err(found) }
    }

    /// The playbook of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Playbook>> {
        self.playbooks.get(id)
    }

    /// All playbooks, by id.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Playbook>> {
        self.playbooks.values()
    }

    /// All triggers, by the id of their playbook.
    pub fn triggers(&self) -> Vec<Trigger> {
        self.all()
            .flat_map(|playbook| playbook.triggers.iter().cloned())
            .collect()
    }

    /// All triggers, ready to be met by findings.
    pub fn index(&self) -> Index {
        Index::build(self.triggers())
    }
}

/// Reads everything, and says everything that was found, errors and warnings, by file and place.
pub(super) fn read(
    dirs: &[PathBuf],
    connectors: &connector::Catalog,
    estate: Option<&Estate>,
) -> (Catalog, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let own_trees: Vec<Tree> = dirs.iter().map(|dir| folder::below(dir)).collect();
    let ours_tree = folder::embedded();
    // A file of an operator's library takes the place of ours of that name, as folders do.
    let mut library = BTreeMap::new();
    for tree in [&ours_tree].into_iter().chain(&own_trees) {
        found.extend(tree.found.iter().cloned());
        library.extend(tree.library.clone());
    }
    let mut ground = match Ground::new(connectors, Library::new(library.into_values())) {
        Ok(ground) => ground,
        Err(diagnostic) => return (Catalog::default(), vec![*diagnostic]),
    };
    found.extend(check_library(&ground));
    let mut own: BTreeMap<String, (Folder, Checked)> = BTreeMap::new();
    let mut ours: BTreeMap<String, (Folder, Checked)> = BTreeMap::new();
    // An operator's folder may lie in two of the named ones; it is the same playbook then, not a twin.
    let mut seen = std::collections::BTreeSet::new();
    ground.estate = estate.cloned();
    for folder in own_trees.into_iter().flat_map(|tree| tree.folders) {
        let real = std::fs::canonicalize(&folder.path).unwrap_or_else(|_| PathBuf::from(&folder.path));
        if seen.insert(real) {
            gather(folder, &ground, &mut own, &mut found);
        }
    }
    ground.estate = None;
    let authors: BTreeMap<String, String> = own
        .iter()
        .map(|(id, (_, checked))| {
            let said = checked
                .manifest
                .as_ref()
                .and_then(|manifest| manifest.author.clone());
            let author = said.or_else(|| estate.and_then(|estate| estate.author.clone()));
            (id.clone(), author.unwrap_or_default())
        })
        .collect();
    for folder in ours_tree.folders {
        gather(folder, &ground, &mut ours, &mut found);
    }
    for (id, playbook) in ours {
        own.entry(id).or_insert(playbook);
    }
    let startable = own.iter().filter_map(|(id, (folder, checked))| {
        let one = Startable {
            place: starting::place(&folder.path),
            inputs: &checked.manifest.as_ref()?.inputs,
            starts: &checked.starts,
        };
        Some((id.as_str(), one))
    });
    found.extend(starting::check(&startable.collect()));
    let mut playbooks = BTreeMap::new();
    for (id, (folder, checked)) in own {
        found.extend(checked.found);
        if let (Some(manifest), Some(script)) = (checked.manifest, checked.script) {
            let bundle = bundle(&manifest, &script, &ground).at(starting::place(&folder.path));
            let bundle = match authors.get(&id) {
                Some(author) => bundle.published_by(author),
                None => bundle,
            };
            let files = folder.files.iter().flat_map(|(name, text)| [name, text]);
            let playbook = Playbook {
                written: Digest::of_parts(&files.collect::<Vec<_>>()),
                manifest,
                folder: folder.path,
                script,
                reaches: checked.reaches,
                acts: checked.acts,
                triggers: checked.triggers,
                bundle,
                tests: folder.tests,
                addressed: checked.addressed,
            };
            playbooks.insert(id, Arc::new(playbook));
        }
    }
    found.sort_by(|one, two| (&one.file, one.line, one.column).cmp(&(&two.file, two.line, two.column)));
    // What is wrong with the library because of one playbook may be so because of another too.
    found.dedup();
    (Catalog { playbooks }, found)
}

/// Checks a folder and files it under its id. One without an id has mistakes that are told at once.
fn gather(
    folder: Folder,
    ground: &Ground<'_>,
    playbooks: &mut BTreeMap<String, (Folder, Checked)>,
    found: &mut Vec<Diagnostic>,
) {
    let checked = check_folder(&folder, ground);
    let Some(id) = checked.manifest.as_ref().map(|manifest| manifest.id.clone()) else {
        found.extend(checked.found);
        return;
    };
    match playbooks.entry(id) {
        Entry::Vacant(place) => {
            place.insert((folder, checked));
        }
        Entry::Occupied(first) => {
            found.extend(checked.found);
            let id = first.key();
            let other = first.get().0.file(MANIFEST);
            let text = folder.files.get(MANIFEST).map_or("", String::as_str);
            let at = text.find(id.as_str()).unwrap_or(0);
            found.push(Diagnostic::error(
                "P016",
                format!("`{id}` is the id of another playbook too"),
                folder.file(MANIFEST),
                text,
                at..at + id.len(),
                format!("give one of the two another id; the other is `{other}`"),
            ));
        }
    }
}

fn bundle(manifest: &Manifest, script: &Program, ground: &Ground<'_>) -> Bundle {
    // The name inside a bundle does not depend on where the folder lies, so that its digest does not either.
    let script = Program::new(format!("{}/playbook.rhai", manifest.id), script.text());
    let parts = Parts {
        playbook: &manifest.id,
        title: &manifest.title,
        kind: manifest.kind,
        on_failure: manifest.on_failure,
        ask: manifest.ask.clone(),
        deadline_ms: manifest.deadline_ms,
        inputs: &manifest.inputs,
        script: &script.with_library(ground.library()),
    };
    Bundle::of(&parts, ground.connectors())
}
