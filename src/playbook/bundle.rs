//! Everything a run is made of besides its journal: playbook, connectors, and the words between them. Stored
//! by digest when a run starts; a run keeps its bundle to its end, whatever changes in the folders meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::input::InputSpecs;
use super::words::vocabulary;
use crate::connector::{Catalog, Connector};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::journal::{AskOnFailure, ENGINE_ABI, OnFailure, PlaybookKind, SHIPPED};
use crate::script::{Library, Program, Vocabulary};

/// A bundle to be stored, and what a run's header takes from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// Of `bytes`.
    pub digest: Digest,
    /// What is stored.
    pub bytes: Vec<u8>,
    /// Playbook id.
    pub playbook: String,
    /// Its area and situation, `identity/leaver`: the last two parts of where its folder lies. Blank for our own. No part
    /// of what is stored.
    pub place: String,
    /// Playbook title.
    pub title: String,
    /// What it is for.
    pub kind: PlaybookKind,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Who is asked when it fails, where that is what happens.
    pub ask: Option<AskOnFailure>,
    /// How long a run may take, ms.
    pub deadline_ms: u64,
    /// What whoever starts it gives.
    pub inputs: InputSpecs,
    /// The principal who published it; `cordon` for what is shipped, blank where nobody knows. No part of what
    /// is stored: the same content has the same digest whoever publishes it.
    pub author: String,
}

/// What a bundle holds, as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    engine_abi: u32,
    playbook: String,
    title: String,
    kind: PlaybookKind,
    on_failure: OnFailure,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ask: Option<AskOnFailure>,
    deadline_ms: u64,
    script_name: String,
    script: String,
    /// Files of the library, by the names they have inside bundles.
    #[serde(default)]
    library: BTreeMap<String, String>,
    connectors: BTreeMap<String, BTreeMap<String, String>>,
}

/// The one part every format has; read first, so that a newer bundle is told from a broken one.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// The format of bundles this program writes.
const FORMAT: u32 = 2;

/// What goes into a bundle beside the connectors.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// Playbook id.
    pub playbook: &'a str,
    /// Playbook title.
    pub title: &'a str,
    /// What it is for.
    pub kind: PlaybookKind,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Who is asked when it fails, where that is what happens.
    pub ask: Option<AskOnFailure>,
    /// How long a run may take, ms.
    pub deadline_ms: u64,
    /// What whoever starts it gives.
    pub inputs: &'a InputSpecs,
    /// The script, with its library.
    pub script: &'a Program,
}

impl Bundle {
    /// Bundles a playbook with every connector there is: which one acts is decided when a target is known.
    pub fn of(parts: &Parts<'_>, connectors: &Catalog) -> Bundle {
        // Tests and read-me files of connectors do nothing in a run.
        let scripts = |files: &BTreeMap<String, String>| {
            files
                .iter()
                .filter(|(name, _)| {
                    !name.contains('/') && (name.ends_with(".toml") || name.ends_with(".rhai"))
                })
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect()
        };
        let written = Written {
            format: FORMAT,
            engine_abi: ENGINE_ABI,
            playbook: parts.playbook.to_owned(),
            title: parts.title.to_owned(),
            kind: parts.kind,
            on_failure: parts.on_failure,
            ask: parts.ask.clone(),
            deadline_ms: parts.deadline_ms,
            script_name: parts.script.name().to_owned(),
            script: parts.script.text().to_owned(),
            library: library(parts.script),
            connectors: connectors
                .connectors()
                .map(|connector| (connector.manifest.name.clone(), scripts(&connector.files)))
                .collect(),
        };
        // Maps of text always have a JSON form; an empty bundle would be refused when opened.
        let bytes = serde_json::to_vec(&written).unwrap_or_default();
        Bundle {
            digest: Digest::of(&bytes),
            bytes,
            playbook: written.playbook,
            place: String::new(),
            title: written.title,
            kind: written.kind,
            on_failure: written.on_failure,
            ask: written.ask,
            deadline_ms: written.deadline_ms,
            inputs: parts.inputs.clone(),
            author: SHIPPED.to_owned(),
        }
    }

    /// The same, found at this area and situation.
    pub fn at(self, place: impl Into<String>) -> Bundle {
        Bundle {
            place: place.into(),
            ..self
        }
    }

    /// The same, published by this principal.
    pub fn published_by(self, author: impl Into<String>) -> Bundle {
        Bundle {
            author: author.into(),
            ..self
        }
    }
}

/// The library of a script under names that do not depend on where it lies.
fn library(script: &Program) -> BTreeMap<String, String> {
    let files = script.library().files().iter().map(|file| {
        let name = file.name().rsplit('/').next().unwrap_or_default();
        (format!("lib/{name}"), file.text().to_owned())
    });
    files.collect()
}

/// A bundle, ready to run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The playbook's script.
    pub program: Program,
    /// What it may call.
    pub vocabulary: Arc<Vocabulary>,
    /// The connectors as they were.
    pub connectors: Catalog,
}

/// The bytes are not a bundle this program can run.
#[derive(Debug, thiserror::Error)]
pub enum NotABundle {
    /// Not the shape of one.
    #[error("its bundle cannot be read: {0}")]
    Unreadable(String),
    /// Written by a newer program.
    #[error("its bundle has format {0}, this program knows {FORMAT}: run the newer program")]
    Newer(u32),
    /// A connector in it does not load any more.
    #[error("its bundle does not load with this program: {0}")]
    Refused(String),
}

impl Loaded {
    /// What a run has whose bundle cannot be had: no script, no words of a connector, no connector.
    ///
    /// # Errors
    ///
    /// Our own words make no vocabulary: a defect.
    pub fn nothing() -> Result<Loaded, NotABundle> {
        let connectors = Catalog::of(Vec::new());
        let vocabulary =
            vocabulary(&connectors, false).map_err(|error| NotABundle::Refused(error.to_string()))?;
        Ok(Loaded {
            program: Program::new(String::new(), String::new()),
            vocabulary,
            connectors,
        })
    }

    /// Opens a stored bundle.
    ///
    /// # Errors
    ///
    /// The bytes are no bundle, or one that this program cannot run; nothing of it was started.
    pub fn open(bytes: &[u8]) -> Result<Loaded, NotABundle> {
        let unreadable = |error: serde_json::Error| NotABundle::Unreadable(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(unreadable)?;
        if head.format > FORMAT {
            return Err(NotABundle::Newer(head.format));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(unreadable)?;
        let refused = |mistakes: Vec<Diagnostic>| {
            let texts: Vec<String> = mistakes.iter().map(|mistake| mistake.message.clone()).collect();
            NotABundle::Refused(texts.join("; "))
        };
        let mut connectors = Vec::new();
        for (name, files) in &written.connectors {
            connectors.push(Connector::parse(files, &format!("connectors/{name}")).map_err(refused)?);
        }
        let connectors = Catalog::of(connectors);
        let own_kind = written.kind == PlaybookKind::Internal;
        let vocabulary =
            vocabulary(&connectors, own_kind).map_err(|error| NotABundle::Refused(error.to_string()))?;
        let library = Library::new(
            written
                .library
                .into_iter()
                .map(|(name, text)| Program::new(name, text)),
        );
        Ok(Loaded {
            program: Program::new(written.script_name, written.script).with_library(&library),
            vocabulary,
            connectors,
        })
    }
}
