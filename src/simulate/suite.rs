//! All cases of all content, and the threads that run them. A case runs on one thread, by itself, so that the order in
//! which cases run shows nowhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::case::{Case, What};
use super::play::{Ground, Played, play};
use super::read::{Of, cases};
use super::verdict::{Kind, Verdict};
use super::{call, delivery, judge, known};
use crate::clock::SystemClock;
use crate::connector::{Catalog, Connector, Invoker, NoClient};
use crate::diagnostic::Diagnostic;
use crate::evidence::timeline;
use crate::playbook::{self, Loaded, Playbook};
use crate::script::Evaluators;

/// Who published a playbook that does not say.
const AUTHOR: &str = "cordon";
/// Columns of a timeline.
const COLUMNS: usize = 110;

/// A case and the content it belongs to.
#[derive(Clone, Debug)]
struct Subject {
    case: Case,
    owner: Owner,
}

#[derive(Clone, Debug)]
enum Owner {
    Playbook(Arc<Playbook>),
    Connector(Arc<Connector>),
}

/// Every case there is.
#[derive(Debug, Default)]
pub struct Found {
    subjects: Vec<Subject>,
    /// Mistakes in cases.
    pub mistakes: Vec<Diagnostic>,
    /// Folders of content without a case.
    pub without: Vec<String>,
}

impl Found {
    fn of(folder: &str, (cases, mistakes): (Vec<Case>, Vec<Diagnostic>), owner: &Owner) -> Found {
        let without = if cases.is_empty() && mistakes.is_empty() {
            vec![folder.to_owned()]
        } else {
            Vec::new()
        };
        let subject = |case| Subject {
            case,
            owner: owner.clone(),
        };
        Found {
            subjects: cases.into_iter().map(subject).collect(),
            mistakes,
            without,
        }
    }

    fn join(&mut self, other: Found) {
        self.subjects.extend(other.subjects);
        self.mistakes.extend(other.mistakes);
        self.without.extend(other.without);
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Keeps the cases of these files and folders; of all where none is named.
    pub fn below(&mut self, paths: &[PathBuf]) {
        if paths.is_empty() {
            return;
        }
        let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let paths: Vec<PathBuf> = paths.iter().map(|path| whole(path)).collect();
        let is_below = |file: &str| paths.iter().any(|path| whole(Path::new(file)).starts_with(path));
        self.subjects.retain(|one| is_below(&one.case.sheet.file));
        self.mistakes.retain(|one| is_below(&one.file));
        self.without.retain(|folder| is_below(folder));
    }

    /// Keeps the cases whose name or file contains a text.
    pub fn named(&mut self, text: &str) {
        let fits = |one: &Subject| one.case.name.contains(text) || one.case.sheet.file.contains(text);
        self.subjects.retain(fits);
        self.mistakes.retain(|one| one.file.contains(text));
        self.without.clear();
    }
}

/// Every case of these connectors and playbooks.
pub fn gather(connectors: &Catalog, playbooks: &playbook::Catalog) -> Found {
    let mut found = Found::default();
    for connector in connectors.connectors() {
        found.join(of_connector(connector.clone(), &connector.files));
    }
    for playbook in playbooks.all() {
        found.join(of_playbook(playbook.clone(), &playbook.tests));
    }
    found
}

/// The cases of a connector among these files.
pub(super) fn of_connector(connector: Arc<Connector>, files: &BTreeMap<String, String>) -> Found {
    let folder = connector.origin.clone();
    Found::of(
        &folder,
        cases(&folder, files, Of::Connector),
        &Owner::Connector(connector),
    )
}

/// A playbook whose author nobody named is published by somebody who is in no group, as shipped content is: who
/// published it is for the estate to say, and is not what its cases are about.
fn published(playbook: Arc<Playbook>) -> Arc<Playbook> {
    if !playbook.bundle.author.is_empty() {
        return playbook;
    }
    Arc::new(Playbook {
        bundle: playbook.bundle.clone().published_by(AUTHOR),
        ..(*playbook).clone()
    })
}

/// The cases of a playbook among these files.
pub(super) fn of_playbook(playbook: Arc<Playbook>, files: &BTreeMap<String, String>) -> Found {
    let folder = playbook.folder.clone();
    let playbook = published(playbook);
    Found::of(
        &folder,
        cases(&folder, files, Of::Playbook),
        &Owner::Playbook(playbook),
    )
}

/// Cases cannot be run on this machine.
#[derive(Debug, thiserror::Error)]
pub enum CannotTest {
    /// No thread, or no runtime.
    #[error("the machine gives no thread for cases: {0}")]
    Threads(#[from] std::io::Error),
    /// The client that is replaced by a script could not be made.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// A defect.
    #[error("{0}")]
    Defect(String),
}

/// What runs cases.
pub struct Suite {
    ground: Ground,
    invoker: Invoker,
    /// Open bundles by playbook id, each opened when it is first needed.
    loaded: Mutex<BTreeMap<String, Arc<Loaded>>>,
    threads: usize,
}

impl Suite {
    /// A suite over these connectors that uses so many threads.
    ///
    /// # Errors
    /// The machine gives no threads, or our own playbooks do not open, which is a defect.
    pub fn new(connectors: Arc<Catalog>, threads: usize) -> Result<Suite, CannotTest> {
        let threads = threads.max(1);
        let evaluators = Arc::new(Evaluators::start(threads)?);
        let invoker = Invoker::new(evaluators.clone(), Arc::new(SystemClock))?;
        let revert = playbook::revert(&connectors);
        let opened =
            Arc::new(Loaded::open(&revert.bytes).map_err(|error| CannotTest::Defect(error.to_string()))?);
        Ok(Suite {
            ground: Ground {
                act: playbook::act(&connectors),
                revert: (revert, opened),
                connectors,
                evaluators,
                playbooks: Arc::default(),
            },
            invoker,
            loaded: Mutex::default(),
            threads,
        })
    }

    /// The same, for scripts that start playbooks of this catalog.
    pub fn over(mut self, playbooks: &playbook::Catalog) -> Suite {
        let bundles = playbooks
            .all()
            .map(|one| (one.manifest.id.clone(), one.bundle.clone()));
        self.ground.playbooks = Arc::new(bundles.collect());
        self
    }

    /// Runs every case; `progress` is told how many are over. Verdicts come in the order of the cases.
    ///
    /// # Errors
    /// The machine gives no runtime.
    pub fn run(&self, found: &Found, progress: &(dyn Fn(usize) + Sync)) -> Result<Vec<Verdict>, CannotTest> {
        let next = AtomicUsize::new(0);
        let over = AtomicUsize::new(0);
        let verdicts: Mutex<BTreeMap<usize, Verdict>> = Mutex::default();
        let work = || -> Result<(), CannotTest> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(subject) = found.subjects.get(n) else {
                    return Ok(());
                };
                let verdict = runtime.block_on(self.one(subject));
                verdicts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(n, verdict);
                progress(over.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                match thread.join() {
                    Ok(done) => done?,
                    Err(_) => {
                        let why = "a thread that runs cases ended by a defect".to_owned();
                        return Err(CannotTest::Defect(why));
                    }
                }
            }
            Ok(())
        })?;
        let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(verdicts.into_values().collect())
    }

    async fn one(&self, subject: &Subject) -> Verdict {
        let case = &subject.case;
        let began = Instant::now();
        let mut timeline = String::new();
        let (kind, failures) = match (&case.what, &subject.owner) {
            (What::Playbook(_), Owner::Playbook(playbook)) => {
                let (failures, told) = self.playbook(case, playbook).await;
                timeline = told;
                (Kind::Playbook, failures)
            }
            (What::Call(call), Owner::Connector(connector)) => {
                (Kind::Call, call::run(&self.invoker, connector, case, call).await)
            }
            (What::Delivery(delivered), Owner::Connector(connector)) => {
                let evaluators = &self.ground.evaluators;
                (
                    Kind::Delivery,
                    delivery::run(evaluators, connector, case, delivered).await,
                )
            }
            // Readers of a folder make cases of its own kind alone.
            (What::Playbook(_), Owner::Connector(_)) | (_, Owner::Playbook(_)) => {
                let help = "this is a defect of cordon, please report it";
                let failure = case
                    .sheet
                    .says("S014", &case.span, "the case belongs to other content", help);
                (Kind::Playbook, vec![failure])
            }
        };
        Verdict {
            name: case.name.clone(),
            file: case.sheet.file.clone(),
            kind,
            failures,
            timeline,
            took: began.elapsed(),
        }
    }

    /// What was not as expected, and what happened.
    async fn playbook(&self, case: &Case, playbook: &Arc<Playbook>) -> (Vec<Diagnostic>, String) {
        let What::Playbook(wanted) = &case.what else {
            return (Vec::new(), String::new());
        };
        let loaded = match self.open(playbook) {
            Ok(loaded) => loaded,
            Err(why) => {
                let help = "run `cordon check`";
                return (
                    vec![case.sheet.says("S014", &case.span, why, help)],
                    String::new(),
                );
            }
        };
        let mistakes = known::mistakes(case, wanted, &self.ground.connectors, &loaded.vocabulary);
        if !mistakes.is_empty() {
            return (mistakes, String::new());
        }
        match play(&self.ground, playbook, &loaded, wanted).await {
            Ok(played) => {
                let failures = judge::judge(case, wanted, playbook, &played);
                let told = if failures.is_empty() {
                    String::new()
                } else {
                    told(&played)
                };
                (failures, told)
            }
            Err(not_played) => {
                let help = "what a case begins with and what happens in it has to be possible";
                let failure = case.sheet.says("S014", &not_played.span, not_played.why, help);
                (vec![failure], String::new())
            }
        }
    }

    /// Every run of every case, with the bundle it ran from and its journal as stored: for golden journals.
    #[cfg(test)]
    pub(super) async fn journals(&self, found: &Found) -> Vec<(String, Vec<u8>, Vec<crate::journal::Entry>)> {
        let mut all = Vec::new();
        for subject in &found.subjects {
            let (Owner::Playbook(playbook), What::Playbook(wanted)) = (&subject.owner, &subject.case.what)
            else {
                continue;
            };
            let loaded = self.open(playbook).unwrap();
            let Ok(played) = play(&self.ground, playbook, &loaded, wanted).await else {
                continue;
            };
            let bundles = self.ground.playbooks.values();
            let bundles = bundles.chain([&playbook.bundle, &self.ground.revert.0, &self.ground.act]);
            let bundles: BTreeMap<_, _> = bundles.map(|one| (one.digest, &one.bytes)).collect();
            for run in played.runs {
                let bytes = bundles[&run.state.header.bundle].clone();
                all.push((
                    format!("{}: {}", playbook.manifest.id, subject.case.name),
                    bytes,
                    run.entries,
                ));
            }
        }
        all
    }

    fn open(&self, playbook: &Playbook) -> Result<Arc<Loaded>, String> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(&playbook.manifest.id) {
            return Ok(known.clone());
        }
        let opened = Loaded::open(&playbook.bundle.bytes).map_err(|error| error.to_string())?;
        let opened = Arc::new(opened);
        loaded.insert(playbook.manifest.id.clone(), opened.clone());
        Ok(opened)
    }
}

fn told(played: &Played) -> String {
    let runs = played.runs.iter();
    let texts: Vec<String> = runs
        .map(|run| timeline::render(&run.row, &run.events, false, COLUMNS))
        .collect();
    texts.join("\n")
}
