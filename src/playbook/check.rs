//! Everything that can be found wrong with a playbook before it runs: its folder, manifest, trigger and script,
//! and each call of an action as far as it can be read off the text. What is only known when a finding is
//! there is refused by the run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::approving::Estate;
use super::binding::{self, Acting};
use super::folder::{Folder, MANIFEST, SCRIPT, TRIGGER};
use super::input::Input;
use super::manifest::Manifest;
use super::starting::{self, Starting};
use super::telling::Addressed;
use super::text::Text;
use super::{branches, calls, capability, catalog, fields, habits, reach, shapes, telling, words};
use crate::action::{ActionName, ActionSpec};
use crate::connector;
use crate::diagnostic::{Diagnostic, nearest};
use crate::guardrail::Groups;
use crate::limits::RUN_DEADLINE_MS;
use crate::script::{self, Library, Program, Vocabulary};
use crate::trigger::Trigger;

/// What a playbook's script may read.
const INPUTS: [&str; 1] = ["finding"];

/// Checks the playbooks inside the binary and those below `dirs`, each of which may be a playbook itself or a
/// folder of folders. Answers errors and warnings in the order of files and places.
pub fn check(dirs: &[PathBuf], connectors: &connector::Catalog) -> Vec<Diagnostic> {
    catalog::read(dirs, connectors, None).1
}

/// The same, with an estate's own playbooks held against who is there to be asked.
pub fn check_in(dirs: &[PathBuf], connectors: &connector::Catalog, estate: &Estate) -> Vec<Diagnostic> {
    catalog::read(dirs, connectors, Some(estate)).1
}

/// What playbooks are held against.
pub(super) struct Ground<'a> {
    connectors: &'a connector::Catalog,
    words: Vocabulary,
    unprovided: BTreeSet<String>,
    library: Library,
    /// The estate that the playbooks are of; `None` for those inside the binary, whose groups are each estate's
    /// own to name, and where nothing is known of it.
    pub(super) estate: Option<Estate>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(
        connectors: &'a connector::Catalog,
        library: Library,
    ) -> Result<Ground<'a>, Box<Diagnostic>> {
        let unworded = |error: script::NotAWord| {
            let help = "rename the connector or the action";
            Box::new(Diagnostic::whole_file(
                "C005",
                error.to_string(),
                "connectors",
                help,
            ))
        };
        let unprovided = capability::unprovided(connectors);
        let names = unprovided.iter().map(|word| word.name.clone()).collect();
        let known = words::vocabulary(connectors, false).map_err(unworded)?;
        let all = unprovided.into_iter().chain(known.words().cloned());
        let words = Vocabulary::new(all).map_err(unworded)?;
        Ok(Ground {
            connectors,
            words,
            unprovided: names,
            library,
            estate: None,
        })
    }

    /// The connectors there are.
    pub(super) fn connectors(&self) -> &'a connector::Catalog {
        self.connectors
    }

    /// The functions that playbooks share.
    pub(super) fn library(&self) -> &Library {
        &self.library
    }

    /// The actions a name in a script can come to; none for words that are no actions.
    pub(super) fn specs(&self, name: &str) -> Vec<&ActionSpec> {
        let Ok(name) = name.parse::<ActionName>() else {
            return Vec::new();
        };
        match self.connectors.action(&name) {
            Some((_, spec)) => vec![spec],
            None => self
                .connectors
                .connectors()
                .flat_map(|connector| &connector.manifest.actions)
                .filter(|spec| spec.provides.as_ref() == Some(&name))
                .collect(),
        }
    }

    /// Who may be asked, where that is known.
    pub(super) fn groups(&self) -> Option<&Groups> {
        self.estate.as_ref().map(|estate| &estate.groups)
    }

    /// Names of all actions and of the capabilities they provide.
    pub(super) fn action_names(&self) -> Vec<String> {
        let specs = self.connectors.connectors().flat_map(|one| &one.manifest.actions);
        specs
            .flat_map(|spec| [Some(&spec.name), spec.provides.as_ref()])
            .flatten()
            .map(ActionName::to_string)
            .collect()
    }

    /// True for a capability that exists and that nobody provides.
    pub(super) fn is_unprovided(&self, name: &str) -> bool {
        self.unprovided.contains(name)
    }
}

/// One folder, checked. What could be read is there even when something is wrong with it.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) manifest: Option<Manifest>,
    pub(super) script: Option<Program>,
    pub(super) triggers: Vec<Trigger>,
    /// Actions and capabilities the script can come to.
    pub(super) reaches: BTreeSet<ActionName>,
    /// The calls of them that stand in it.
    pub(super) acts: Vec<Acting>,
    /// Errors and warnings.
    pub(super) found: Vec<Diagnostic>,
    /// Whom the script tells by name.
    pub(super) addressed: Vec<Addressed>,
    /// The playbooks it starts.
    pub(super) starts: Vec<Starting>,
}

pub(super) fn check_folder(folder: &Folder, ground: &Ground<'_>) -> Checked {
    let mut checked = Checked {
        found: folder.found.clone(),
        ..Checked::default()
    };
    if folder.files.is_empty() {
        return checked;
    }
    match folder.files.get(MANIFEST) {
        Some(text) => match Manifest::parse(&folder.file(MANIFEST), text) {
            Ok(manifest) => {
                checked
                    .found
                    .extend(asked_on_failure(&manifest, ground, &folder.file(MANIFEST), text));
                checked.manifest = Some(manifest);
            }
            Err(mistakes) => checked.found.extend(mistakes),
        },
        None => checked
            .found
            .push(missing(folder, MANIFEST, "the playbook has no manifest")),
    }
    let deadline_ms = checked
        .manifest
        .as_ref()
        .map_or(RUN_DEADLINE_MS, |manifest| manifest.deadline_ms);
    match folder.files.get(SCRIPT) {
        Some(text) => {
            let program = Program::new(folder.file(SCRIPT), text.as_str());
            let inputs: Vec<&str> = INPUTS
                .into_iter()
                .chain(
                    checked
                        .manifest
                        .iter()
                        .flat_map(|manifest| manifest.inputs.keys().map(String::as_str)),
                )
                .collect();
            let authored = ground.estate.as_ref().is_none_or(|estate| {
                let own = checked.manifest.as_ref().and_then(|one| one.author.as_ref());
                own.or(estate.author.as_ref()).is_some()
            });
            let script = check_script(&program, ground, deadline_ms, authored, &inputs);
            let manifest = folder.file(MANIFEST);
            checked.found.extend(script.found.into_iter().map(|mut one| {
                if one.code == "P005" && one.file != program.name() {
                    one.help = format!(
                        "give the parameter another name, or the input that `{manifest}` declares under `[inputs]`"
                    );
                }
                one
            }));
            checked.addressed = script.addressed;
            checked.reaches = script.reaches;
            checked.acts = script.acts;
            checked.starts = script.starts;
            checked.script = Some(program);
        }
        None if folder.files.contains_key(TRIGGER) => {
            checked.found.push(missing(
                folder,
                SCRIPT,
                "the trigger starts a playbook that has no script",
            ));
        }
        None => checked
            .found
            .push(missing(folder, SCRIPT, "the playbook has no script")),
    }
    if let (Some(manifest), true, Some(text)) = (
        &checked.manifest,
        folder.files.contains_key(TRIGGER),
        folder.files.get(MANIFEST),
    ) && let Some((name, _)) = manifest.inputs.iter().find(|(_, spec)| **spec == Input::Required)
    {
        checked.found.push(Diagnostic::error(
            "P047",
            format!("a finding starts this playbook, and nobody gives it the input `{name}` then"),
            folder.file(MANIFEST),
            text,
            manifest.inputs_at.clone(),
            format!("write `{name} = \"optional\"` or a default, or take `{TRIGGER}` away"),
        ));
    }
    if let Some(text) = folder.files.get(TRIGGER) {
        let id = checked
            .manifest
            .as_ref()
            .map_or("", |manifest| manifest.id.as_str());
        match Trigger::load(&folder.file(TRIGGER), text, id) {
            Ok(trigger) => checked.triggers.push(trigger),
            Err(mistakes) => checked.found.extend(mistakes),
        }
    }
    checked
}

fn missing(folder: &Folder, name: &str, message: &str) -> Diagnostic {
    Diagnostic::whole_file(
        "P015",
        message,
        folder.file(name),
        format!("add the file `{name}`"),
    )
}

/// Whoever is to be asked when a run fails, held against the groups there are, as the question of a script is.
fn asked_on_failure(manifest: &Manifest, ground: &Ground<'_>, file: &str, text: &str) -> Vec<Diagnostic> {
    let Some(ask) = &manifest.ask else {
        return Vec::new();
    };
    let at = manifest.ask_at.clone();
    let mut found = Vec::new();
    let is_authored = ground.estate.as_ref().is_none_or(|estate| {
        let own = manifest.author.as_ref();
        own.or(estate.author.as_ref()).is_some()
    });
    if !is_authored {
        let message =
            "who published this playbook is not known, so nobody could say whether it is rolled back";
        let help = "say `author = \"NAME\"` here, or for all of yours in `[content]`";
        found.push(Diagnostic::error("P027", message, file, text, at.clone(), help));
    }
    let Some(groups) = ground.groups() else {
        return found;
    };
    match groups.members(&ask.by) {
        None => {
            let message = format!(
                "`{}` is neither a group of `[groups]` nor a member of one",
                ask.by
            );
            let help = match nearest(&ask.by, groups.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "add `{} = [\"NAME\", …]` to `[groups]`; until then nothing is rolled back",
                    ask.by
                ),
            };
            found.push(Diagnostic::error("P024", message, file, text, at, help).as_warning());
        }
        Some(people) if people.len() < ask.quorum => {
            let message = format!(
                "{} of `{}` cannot agree: it has {}",
                ask.quorum,
                ask.by,
                people.len()
            );
            found.push(Diagnostic::error(
                "P024",
                message,
                file,
                text,
                at,
                "ask fewer, or a larger group",
            ));
        }
        Some(_) => {}
    }
    found
}

/// A script, checked.
#[derive(Default)]
struct CheckedScript {
    found: Vec<Diagnostic>,
    addressed: Vec<Addressed>,
    reaches: BTreeSet<ActionName>,
    acts: Vec<Acting>,
    starts: Vec<Starting>,
}

fn check_script(
    program: &Program,
    ground: &Ground<'_>,
    deadline_ms: u64,
    authored: bool,
    inputs: &[&str],
) -> CheckedScript {
    // Mistakes of the library are told once, by `check_library`.
    let own = |found: Vec<Diagnostic>| found.into_iter().filter(|one| one.file == program.name());
    let whole = program.with_library(&ground.library);
    let facts = match script::check(&whole, &ground.words, inputs) {
        Ok(facts) => facts,
        Err(mistakes) => {
            let clashes = clashes(&mistakes, ground, inputs);
            return CheckedScript {
                found: own(mistakes).chain(clashes).collect(),
                ..CheckedScript::default()
            };
        }
    };
    let reaches = reach::words(&whole, &facts)
        .iter()
        .filter(|name| !ground.specs(name).is_empty())
        .filter_map(|name| name.parse().ok())
        .collect();
    let text = Text::new(program.text());
    let mut found: Vec<Diagnostic> = own(facts.warnings).collect();
    found.extend(calls::check(
        program,
        &text,
        &facts.calls,
        ground,
        deadline_ms,
        authored,
    ));
    found.extend(fields::check(program, &text));
    found.extend(shapes::check(program, &text, ground));
    found.extend(branches::check(program, &text));
    found.extend(habits::check(program, &text, &facts.calls, ground));
    let (starts, wrong) = starting::starting(program, &text, &facts.calls);
    found.extend(wrong);
    CheckedScript {
        found,
        starts,
        addressed: telling::addressed(program, &text, &facts.calls),
        reaches,
        acts: binding::acting(program, &text, &facts.calls),
    }
}

/// What is wrong with functions of the library only because this playbook has the inputs it has: a parameter with the
/// name of one. Of all else that is wrong there the library's own check tells.
fn clashes(mistakes: &[Diagnostic], ground: &Ground<'_>, inputs: &[&str]) -> Vec<Diagnostic> {
    let of_library = |one: &&Diagnostic| ground.library.files().iter().any(|file| file.name() == one.file);
    let own_inputs = inputs.iter().filter(|name| !INPUTS.contains(name));
    let named: Vec<String> = own_inputs.map(|name| format!("`{name}` is an input")).collect();
    let clash =
        |one: &&Diagnostic| one.code == "P005" && named.iter().any(|name| one.message.starts_with(name));
    mistakes
        .iter()
        .filter(of_library)
        .filter(clash)
        .cloned()
        .collect()
}

/// Everything that is wrong with the functions that playbooks share.
pub(super) fn check_library(ground: &Ground<'_>) -> Vec<Diagnostic> {
    // As a playbook that does nothing would see it.
    let nobody = Program::new("", "").with_library(&ground.library);
    let facts = match script::check(&nobody, &ground.words, &INPUTS) {
        Ok(facts) => facts,
        Err(mistakes) => return mistakes,
    };
    let mut found = facts.warnings;
    for (file, calls) in ground.library.files().iter().zip(&facts.library) {
        let text = Text::new(file.text());
        found.extend(starting::in_library(file, &text, calls));
        found.extend(calls::check(file, &text, calls, ground, RUN_DEADLINE_MS, true));
        found.extend(shapes::check(file, &text, ground));
        found.extend(branches::check(file, &text));
        found.extend(habits::check(file, &text, calls, ground));
    }
    found
}
