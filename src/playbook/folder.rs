//! Folders of playbooks as text in memory: those inside the binary, and an operator's own on disk. Knows which
//! files belong to a playbook and never what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::diagnostic::{Diagnostic, nearest};
use crate::script::Program;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/playbooks");

pub(super) const MANIFEST: &str = "playbook.toml";
pub(super) const TRIGGER: &str = "trigger.yml";
pub(super) const SCRIPT: &str = "playbook.rhai";
const TESTS: &str = "tests";
const FILES: [&str; 3] = [MANIFEST, TRIGGER, SCRIPT];
/// The folder beside the areas whose scripts every playbook may call.
const LIBRARY: &str = "lib";

/// Largest file of a playbook, bytes. Scripts and triggers have smaller bounds of their own.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Deepest folder below the one that was named: `area/situation` and room to spare.
const FOLDERS_MAX: usize = 6;

/// One folder with a playbook, or part of one, in it.
#[derive(Debug)]
pub(super) struct Folder {
    /// The folder as its author knows it.
    pub(super) path: String,
    /// Its text files, by name.
    pub(super) files: BTreeMap<String, String>,
    /// The text files of its folder `tests`, by path from this one. They do nothing in a run.
    pub(super) tests: BTreeMap<String, String>,
    /// What is wrong with the folder itself.
    pub(super) found: Vec<Diagnostic>,
}

impl Folder {
    fn new(path: String) -> Folder {
        Folder {
            path,
            files: BTreeMap::new(),
            tests: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// A file's path as its author knows it.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// A name that could be meant for one of ours, so that `trigger.yaml` is not passed over in silence.
    fn judge(&mut self, name: &str) {
        let ours = [".toml", ".yml", ".yaml", ".rhai"];
        if FILES.contains(&name) || !ours.iter().any(|ending| name.ends_with(ending)) {
            return;
        }
        let help = match nearest(name, FILES) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "a playbook is `playbook.toml`, `playbook.rhai` and `trigger.yml`; move the file elsewhere"
                    .to_owned()
            }
        };
        let message = format!("`{name}` is no file of a playbook and would never be read");
        self.found
            .push(Diagnostic::whole_file("P015", message, self.file(name), help));
    }
}

/// What a folder of folders holds.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Its playbooks.
    pub(super) folders: Vec<Folder>,
    /// The files of its library, by their names; each script is named by its path.
    pub(super) library: BTreeMap<String, Program>,
    /// What is wrong with the folder of the library itself.
    pub(super) found: Vec<Diagnostic>,
}

impl Tree {
    /// Takes a file of the library in.
    fn shared(&mut self, path: String, name: &str, text: String) {
        if name.ends_with(".rhai") {
            self.library.insert(name.to_owned(), Program::new(path, text));
        } else if [".toml", ".yml", ".yaml"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            let message = format!("`{name}` is no script and would never be read");
            let help = "the library holds scripts of functions, `lib/NAME.rhai`; move the file elsewhere";
            self.found
                .push(Diagnostic::whole_file("P015", message, path, help));
        }
    }
}

/// The folders inside the binary.
pub(super) fn embedded() -> Tree {
    let mut tree = Tree::default();
    walk_embedded(&EMBEDDED, &mut tree);
    tree
}

fn walk_embedded(dir: &Dir<'_>, tree: &mut Tree) {
    let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<String> = dir.files().filter_map(|file| name_of(file.path())).collect();
    if !is_playbook(&names) {
        for inner in dir.dirs() {
            if inner.path() != Path::new(LIBRARY) {
                walk_embedded(inner, tree);
                continue;
            }
            for file in inner.files() {
                if let (Some(name), Some(text)) = (name_of(file.path()), file.contents_utf8()) {
                    tree.shared(format!("playbooks/{LIBRARY}/{name}"), &name, text.to_owned());
                }
            }
        }
        return;
    }
    let mut folder = Folder::new(format!("playbooks/{}", dir.path().display()));
    for file in dir.files() {
        if let (Some(name), Some(text)) = (name_of(file.path()), file.contents_utf8()) {
            folder.judge(&name);
            folder.files.insert(name, text.to_owned());
        }
    }
    let tests = dir
        .dirs()
        .find(|inner| name_of(inner.path()).as_deref() == Some(TESTS));
    for file in tests.into_iter().flat_map(Dir::files) {
        if let (Some(name), Some(text)) = (name_of(file.path()), file.contents_utf8()) {
            folder.tests.insert(format!("{TESTS}/{name}"), text.to_owned());
        }
    }
    tree.folders.push(folder);
}

/// The folders below `dir`, which may itself be one, and the library in it. An unreadable one is among the
/// folders, with the reason.
pub(super) fn below(dir: &Path) -> Tree {
    let mut tree = Tree::default();
    walk(dir, FOLDERS_MAX, &mut tree);
    tree
}

fn read_library(dir: &Path, tree: &mut Tree) {
    let names = match entries(dir) {
        Ok((names, _)) => names,
        Err(error) => {
            tree.found.push(unreadable(dir.display().to_string(), &error));
            return;
        }
    };
    for name in names {
        let path = dir.join(&name);
        let shown = path.display().to_string();
        match read(&path) {
            Ok(text) => tree.shared(shown, &name, text),
            // What is no text is no script either.
            Err(error) if name.ends_with(".rhai") => tree.found.push(unreadable(shown, &error)),
            Err(_) => {}
        }
    }
}

fn walk(dir: &Path, folders_left: usize, tree: &mut Tree) {
    let mut folder = Folder::new(dir.display().to_string());
    let (names, inner) = match entries(dir) {
        Ok(entries) => entries,
        Err(error) => {
            folder.found.push(unreadable(folder.path.clone(), &error));
            tree.folders.push(folder);
            return;
        }
    };
    if is_playbook(&names) {
        for name in names {
            folder.judge(&name);
            if !FILES.contains(&name.as_str()) {
                continue;
            }
            match read(&dir.join(&name)) {
                Ok(text) => {
                    folder.files.insert(name, text);
                }
                Err(error) => folder.found.push(unreadable(folder.file(&name), &error)),
            }
        }
        if inner.iter().any(|name| name == TESTS) {
            tests(dir, &mut folder);
        }
        tree.folders.push(folder);
        return;
    }
    let is_root = folders_left == FOLDERS_MAX;
    let Some(folders_left) = folders_left.checked_sub(1) else {
        let message = format!("the folder lies deeper than {FOLDERS_MAX} and is not read");
        folder.found.push(Diagnostic::whole_file(
            "P015",
            message,
            folder.path.clone(),
            "move it up",
        ));
        tree.folders.push(folder);
        return;
    };
    for name in inner {
        if is_root && name == LIBRARY {
            read_library(&dir.join(name), tree);
        } else {
            walk(&dir.join(name), folders_left, tree);
        }
    }
}

/// The files of a playbook's cases; one that is no text is none of a case's.
fn tests(dir: &Path, folder: &mut Folder) {
    let dir = dir.join(TESTS);
    let names = match entries(&dir) {
        Ok((names, _)) => names,
        Err(error) => return folder.found.push(unreadable(dir.display().to_string(), &error)),
    };
    for name in names {
        match read(&dir.join(&name)) {
            Ok(text) => {
                folder.tests.insert(format!("{TESTS}/{name}"), text);
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
            Err(error) => folder
                .found
                .push(unreadable(dir.join(&name).display().to_string(), &error)),
        }
    }
}

fn is_playbook(names: &[String]) -> bool {
    names.iter().any(|name| FILES.contains(&name.as_str()))
}

/// Names of the files and of the folders in a folder, sorted; hidden ones are left out.
fn entries(dir: &Path) -> std::io::Result<(Vec<String>, Vec<String>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            folders.push(name)
        } else {
            files.push(name)
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "it is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

fn unreadable(path: String, error: &std::io::Error) -> Diagnostic {
    let help = "check that it exists, that cordon may read it, and that it is text";
    Diagnostic::whole_file("P015", format!("`{path}` cannot be read: {error}"), path, help)
}
