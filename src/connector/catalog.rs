//! All connectors there are: those inside the binary, and an operator's own, which take the place of one of the
//! same name. A connector loads only when its manifest and its scripts agree; the folder is the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use super::action_table::is_capability;
use super::manifest::Manifest;
use super::sender::source_vocabulary;
use super::settings::SETTINGS_INPUT;
use super::words::vocabulary;
use crate::action::{ActionName, ActionSpec};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::limits::SCRIPT_BYTES_MAX;
use crate::script::{self, Program, Word};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/connectors");

const MANIFEST: &str = "connector.toml";
const ACTIONS: &str = "actions.rhai";
const SOURCE: &str = "source.rhai";

/// Largest file of a connector that is read, bytes; tests carry whole alerts.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Deepest folder inside a connector's that is read.
const FOLDERS_MAX: usize = 3;

/// One connector: its manifest, and the scripts that do what it says.
#[derive(Clone, Debug)]
pub struct Connector {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its folder, as its author knows it.
    pub origin: String,
    /// Its files, by path inside its folder.
    pub files: BTreeMap<String, String>,
    /// `actions.rhai`, where it has actions.
    pub actions: Option<Program>,
    /// `source.rhai`, where it normalises alerts.
    pub source: Option<Program>,
    /// Functions of `actions.rhai` that read and take the arguments beside the target.
    pub(super) reads_with_args: BTreeSet<String>,
    /// Of manifest and scripts: what it does, without its tests and its README.
    pub digest: Digest,
}

impl Connector {
    /// Reads a connector from its files. `origin` is its folder, for messages.
    pub fn parse(files: &BTreeMap<String, String>, origin: &str) -> Result<Connector, Vec<Diagnostic>> {
        let path = |name: &str| format!("{origin}/{name}");
        let Some(text) = files.get(MANIFEST) else {
            return Err(vec![missing(path(MANIFEST), "the folder has no manifest")]);
        };
        let manifest = Manifest::parse(&path(MANIFEST), text)?;
        let mut mistakes = Vec::new();
        let mut script = |name: &'static str, needed: bool| match files.get(name) {
            Some(text) if needed => Some(Program::new(path(name), text.as_str())),
            None if needed => {
                mistakes.push(missing(
                    path(name),
                    "the manifest needs a script that is not there",
                ));
                None
            }
            _ => None,
        };
        let actions = script(ACTIONS, !manifest.actions.is_empty());
        let source = script(
            SOURCE,
            manifest.source.as_ref().is_some_and(|source| source.script),
        );
        let mut reads_with_args = BTreeSet::new();
        if let Some(program) = &actions {
            match disagreements(&manifest, program, &path(MANIFEST), text) {
                Ok(found) => reads_with_args = found,
                Err(found) => mistakes.extend(found),
            }
        }
        if let Some(program) = &source {
            let spec = manifest.source.as_ref();
            let looks_up = spec.is_some_and(|spec| spec.lookup.is_some());
            mistakes.extend(cannot_normalise(program, looks_up));
        }
        if let Some(folder) = origin.rsplit(['/', '\\']).next()
            && folder != manifest.name
        {
            mistakes.push(Diagnostic::whole_file(
                "C005",
                format!(
                    "the connector is named `{}` and its folder `{folder}`",
                    manifest.name
                ),
                path(MANIFEST),
                "give both the same name",
            ));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let parts: Vec<&str> = [MANIFEST, ACTIONS, SOURCE]
            .iter()
            .flat_map(|name| [*name, files.get(*name).map_or("", String::as_str)])
            .collect();
        Ok(Connector {
            digest: Digest::of_parts(&parts),
            manifest,
            origin: origin.to_owned(),
            files: files.clone(),
            actions,
            source,
            reads_with_args,
        })
    }
}

fn missing(file: String, message: &str) -> Diagnostic {
    let name = file.rsplit('/').next().unwrap_or_default().to_owned();
    Diagnostic::whole_file("C017", message, file, format!("add the file `{name}`"))
}

/// Every connector, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    connectors: BTreeMap<String, Arc<Connector>>,
}

impl Catalog {
    /// A catalog of these connectors; of two with one name the later counts.
    pub fn of(connectors: impl IntoIterator<Item = Connector>) -> Catalog {
        Catalog {
            connectors: connectors
                .into_iter()
                .map(|connector| (connector.manifest.name.clone(), Arc::new(connector)))
                .collect(),
        }
    }

    /// The connectors inside the binary.
    pub fn embedded() -> Result<Catalog, Vec<Diagnostic>> {
        Catalog::load(None)
    }

    /// The connectors inside the binary, and those of a folder, which take their place by name.
    pub fn load(override_dir: Option<&Path>) -> Result<Catalog, Vec<Diagnostic>> {
        let mut folders: BTreeMap<String, (String, BTreeMap<String, String>)> = BTreeMap::new();
        for folder in EMBEDDED.dirs() {
            let name = folder.path().to_string_lossy().into_owned();
            let mut files = BTreeMap::new();
            embedded_files(folder, folder.path(), &mut files);
            folders.insert(name.clone(), (format!("connectors/{name}"), files));
        }
        let mut mistakes = Vec::new();
        if let Some(dir) = override_dir {
            match own_folders(dir) {
                Ok(own) => folders.extend(own),
                Err(mistake) => mistakes.push(*mistake),
            }
        }
        let mut connectors = Vec::new();
        for (origin, files) in folders.values() {
            match Connector::parse(files, origin) {
                Ok(connector) => connectors.push(connector),
                Err(found) => mistakes.extend(found),
            }
        }
        if mistakes.is_empty() {
            Ok(Catalog::of(connectors))
        } else {
            Err(mistakes)
        }
    }

    /// The connector of this name.
    pub fn connector(&self, name: &str) -> Option<&Arc<Connector>> {
        self.connectors.get(name)
    }

    /// All connectors, by name.
    pub fn connectors(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.connectors.values()
    }

    /// A vendor's action, and its connector.
    pub fn action(&self, name: &ActionName) -> Option<(&Arc<Connector>, &ActionSpec)> {
        let connector = self.connectors.get(name.namespace())?;
        Some((connector, connector.manifest.action(name.verb())?))
    }

    /// The actions that provide a capability, and their connectors.
    pub fn providers<'a>(
        &'a self,
        capability: &'a ActionName,
    ) -> impl Iterator<Item = (&'a Arc<Connector>, &'a ActionSpec)> {
        self.connectors.values().flat_map(move |connector| {
            connector
                .manifest
                .actions
                .iter()
                .filter(move |spec| spec.provides.as_ref() == Some(capability))
                .map(move |spec| (connector, spec))
        })
    }

    /// True for a name a playbook may call: an action or a capability somebody provides.
    pub fn knows(&self, name: &ActionName) -> bool {
        if is_capability(name.namespace()) {
            self.providers(name).next().is_some()
        } else {
            self.action(name).is_some()
        }
    }

    /// All actions and capabilities as words of playbooks: `(target, options)`, or `(options)` where there is no
    /// target. Arguments and options such as `lease` share the one map.
    pub fn words(&self) -> Vec<Word> {
        let mut words: BTreeMap<String, Word> = BTreeMap::new();
        for connector in self.connectors.values() {
            for spec in &connector.manifest.actions {
                let arity = arity(spec);
                words.insert(
                    spec.name.to_string(),
                    Word::ask(spec.name.to_string(), arity.clone(), &spec.title),
                );
                let Some(capability) = &spec.provides else {
                    continue;
                };
                words
                    .entry(capability.to_string())
                    .and_modify(|word| {
                        let start = *word.arity.start().min(arity.start());
                        let end = *word.arity.end().max(arity.end());
                        word.arity = start..=end;
                    })
                    .or_insert_with(|| Word::ask(capability.to_string(), arity, &spec.title));
            }
        }
        words.into_values().collect()
    }
}

fn arity(spec: &ActionSpec) -> std::ops::RangeInclusive<usize> {
    let target = usize::from(!spec.targets.is_empty());
    let map = usize::from(spec.args.values().any(|required| *required));
    target + map..=target + 1
}

/// Holds manifest and script against each other; answers the functions that read and take arguments.
///
/// # Errors
/// A function that is missing or takes something else, and all that the script room finds wrong in the script
/// itself.
fn disagreements(
    manifest: &Manifest,
    program: &Program,
    file: &str,
    text: &str,
) -> Result<BTreeSet<String>, Vec<Diagnostic>> {
    let facts = script::check(program, vocabulary(manifest.transport), &[SETTINGS_INPUT])?;
    let mut reads_with_args = BTreeSet::new();
    let mut mistakes = Vec::new();
    let mut named: Vec<(&str, &[usize])> = Vec::new();
    for needed in &manifest.functions {
        // Many actions share a function; one that is missing is said once.
        if named.contains(&(needed.name.as_str(), needed.arities)) {
            continue;
        }
        named.push((&needed.name, needed.arities));
        let arities: Vec<usize> = facts
            .functions
            .iter()
            .filter(|(name, _)| *name == needed.name)
            .map(|(_, n)| *n)
            .collect();
        if arities.iter().any(|n| needed.arities.contains(n)) {
            if needed.arities.contains(&1) && arities.contains(&2) {
                reads_with_args.insert(needed.name.clone());
            }
            continue;
        }
        let (message, help) = if arities.is_empty() {
            (
                format!("`{ACTIONS}` has no function `{}`", needed.name),
                format!("add `fn {}`, which {}", needed.name, needed.purpose),
            )
        } else {
            (
                format!(
                    "`{}` in `{ACTIONS}` does not take {} arguments",
                    needed.name,
                    needed
                        .arities
                        .iter()
                        .map(usize::to_string)
                        .collect::<Vec<_>>()
                        .join(" or ")
                ),
                format!("it {}", needed.purpose),
            )
        };
        mistakes.push(Diagnostic::error(
            "C016",
            message,
            file,
            text,
            needed.span.clone(),
            help,
        ));
    }
    if mistakes.is_empty() {
        Ok(reads_with_args)
    } else {
        Err(mistakes)
    }
}

/// What keeps a sender's script from being called: it asks no more than its manifest says, and has
/// `normalise(raw, headers)`.
fn cannot_normalise(program: &Program, looks_up: bool) -> Vec<Diagnostic> {
    match script::check(program, source_vocabulary(looks_up), &["settings"]) {
        Err(found) => found,
        Ok(facts) if facts.functions.contains(&("normalise".to_owned(), 2)) => Vec::new(),
        Ok(_) => vec![Diagnostic::whole_file(
            "C016",
            format!("`{SOURCE}` has no function `normalise` of two arguments"),
            program.name(),
            "add `fn normalise(raw, headers)`, which returns a finding or a list of findings",
        )],
    }
}

fn embedded_files(dir: &Dir<'_>, root: &Path, files: &mut BTreeMap<String, String>) {
    for file in dir.files() {
        if let (Ok(inner), Some(text)) = (file.path().strip_prefix(root), file.contents_utf8()) {
            files.insert(inner.to_string_lossy().into_owned(), text.to_owned());
        }
    }
    for inner in dir.dirs() {
        embedded_files(inner, root, files);
    }
}

type Folders = BTreeMap<String, (String, BTreeMap<String, String>)>;

fn own_folders(dir: &Path) -> Result<Folders, Box<Diagnostic>> {
    let mut folders = Folders::new();
    let unreadable = |path: &Path, why: &dyn std::fmt::Display| {
        Box::new(Diagnostic::whole_file(
            "C017",
            format!("cannot be read: {why}"),
            path.display().to_string(),
            "check that the folder exists and that cordon may read it",
        ))
    };
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
        let entry = entry.map_err(|error| unreadable(dir, &error))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !path.is_dir() || name.starts_with('.') {
            continue;
        }
        let mut files = BTreeMap::new();
        own_files(&path, &path, FOLDERS_MAX, &mut files).map_err(|error| unreadable(&path, &error))?;
        folders.insert(name, (path.display().to_string(), files));
    }
    Ok(folders)
}

fn own_files(
    dir: &Path,
    root: &Path,
    folders_left: usize,
    files: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    for entry in fs::read_dir(dir).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if folders_left > 0 {
                own_files(&path, root, folders_left - 1, files)?;
            }
            continue;
        }
        let length = fs::metadata(&path).map_err(|error| error.to_string())?.len();
        let most = if name.ends_with(".rhai") {
            SCRIPT_BYTES_MAX as u64
        } else {
            FILE_BYTES_MAX
        };
        if length > most {
            return Err(format!("`{name}` is longer than {most} bytes"));
        }
        // Files that are no text are none of a connector's.
        if let (Ok(inner), Ok(text)) = (path.strip_prefix(root), fs::read_to_string(&path)) {
            files.insert(inner.to_string_lossy().into_owned(), text);
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
