//! What is evaluated: a program, where it starts, what it is given, and what was answered so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;

use super::advance::{Answers, Told};
use super::library::Library;
use super::vocabulary::Vocabulary;
use crate::digest::Digest;

/// The text of one script, under the name its author knows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Program(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    text: String,
    library: Library,
    digest: Digest,
}

impl Program {
    /// A program. `name` is the file as its author knows it; diagnostics carry it. The text is not looked at
    /// before `check` or an evaluation.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Program {
        let (name, text) = (name.into(), text.into());
        let digest = Digest::of(text.as_bytes());
        Program(Arc::new(Inner {
            name,
            text,
            library: Library::default(),
            digest,
        }))
    }

    /// The same program over a library: it may call `lib::name(…)`.
    pub fn with_library(&self, library: &Library) -> Program {
        Program(Arc::new(Inner {
            name: self.0.name.clone(),
            text: self.0.text.clone(),
            digest: library.digest_with(&self.0.text),
            library: library.clone(),
        }))
    }

    /// The file as its author knows it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The functions it shares with others.
    pub fn library(&self) -> &Library {
        &self.0.library
    }

    /// The digest of the text and of the library; the program's own name does not count.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

/// Where a program starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// At the top: a playbook.
    Main,
    /// With one function: an action of a connector.
    Function {
        /// The name of the function.
        name: String,
        /// Its arguments. Objects are read only; lists may be changed.
        args: Vec<Value>,
    },
}

/// The names a program may read, such as `finding`. Objects and lists are read only.
pub type Inputs = BTreeMap<String, Value>;

/// One evaluation. Everything in it is shared, so a job is cheap to build and to clone.
#[derive(Clone)]
pub struct Job {
    /// The script.
    pub program: Program,
    /// The names it may call that leave it.
    pub vocabulary: Arc<Vocabulary>,
    /// Where it starts.
    pub entry: Entry,
    /// What it may read.
    pub inputs: Arc<Inputs>,
    /// What was answered so far.
    pub answers: Arc<Answers>,
    /// What was told and recorded so far; it is compared, and not told again.
    pub told: Arc<Told>,
    /// How long this evaluation may take, counted from when a thread takes it up.
    pub deadline: Duration,
    /// Ends the evaluation soon after it is set.
    pub stop: Arc<AtomicBool>,
}

impl Job {
    /// A first evaluation of a program from the top, with the usual deadline.
    pub fn new(program: Program, vocabulary: Arc<Vocabulary>, inputs: Arc<Inputs>) -> Job {
        Job {
            program,
            vocabulary,
            entry: Entry::Main,
            inputs,
            answers: Arc::default(),
            told: Arc::default(),
            deadline: Duration::from_millis(crate::limits::SCRIPT_DEADLINE_MS),
            stop: Arc::default(),
        }
    }
}
