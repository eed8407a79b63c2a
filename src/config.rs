//! `cordon.toml`: where to listen and keep things, who sends alerts, which accounts actions go to, what is never
//! touched. Read in two steps: the file alone ([`Config::load`]), then held against the connectors there are and
//! the secrets it names ([`Config::resolve`]). Never holds a secret before the second step, and ignores nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::diagnostic::Diagnostic;
use crate::guardrail::Policy;
use crate::notify::Rota;
use crate::page::{Codes, Page, Placed, Table};
use crate::playbook::Estate;
use crate::upkeep::Keep;

mod budget;
mod identity;
mod instance;
mod mask;
mod notify;
mod policy;
mod read;
mod resolve;
mod resolve_instance;
mod retention;
mod secret_ref;
mod source;
mod store;
mod ways;

#[cfg(test)]
mod notify_tests;
#[cfg(test)]
mod tests;

pub use resolve::Resolved;
pub use secret_ref::{Machine, SecretRef, Secrets};
pub use store::{NoStoreSecrets, NotAStore, StoreSecrets, StoreSettings, StoreUrl};

use identity::IdentityDraft;
use instance::InstanceDraft;
use notify::NotifyDraft;
use source::SourceDraft;

/// A configuration to start from, with everything explained; what `cordon init` writes.
pub const TEMPLATE: &str = include_str!("config.default.toml");

/// Of the mistakes that every file can have.
const CODES: Codes = Codes {
    unknown: "K002",
    missing: "K003",
    wrong: "K004",
    duration: "K004",
};

/// A configuration that reads well. Names of connectors and secrets in it are not looked up yet.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Where everything durable is.
    pub store: StoreUrl,
    /// What a store of many nodes needs beside its address.
    pub store_settings: StoreSettings,
    /// For how long settled runs and alerts are kept.
    pub retention: Keep,
    /// A folder of playbooks beside those in the binary.
    pub playbooks: Option<PathBuf>,
    /// A folder of connectors that take the place of those in the binary by name.
    pub connectors: Option<PathBuf>,
    /// What is never touched, what has to be approved, and by whom.
    pub policy: Policy,
    /// The principal who publishes the playbooks in `playbooks`, where they do not say themselves.
    pub author: Option<String>,
    /// The actions that rules of approval name, to be held against the connectors there are.
    approval_actions: Vec<Placed<String>>,
    /// Log lines as JSON.
    pub log_json: bool,
    /// Where people reach the server, for links in messages.
    pub public_url: Option<String>,
    notify: NotifyDraft,
    sources: Vec<SourceDraft>,
    instances: Vec<InstanceDraft>,
    bind: Vec<(Placed<String>, Placed<String>)>,
    identities: Vec<IdentityDraft>,
    file: String,
    text: String,
    dir: PathBuf,
}

impl Config {
    /// A path relative to the configuration's folder.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// The configuration of an empty file in `dir`: loopback, SQLite, no sources, no connectors.
    pub fn empty(dir: &Path) -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8765)),
            store: StoreUrl::Sqlite(dir.join("./cordon-data/cordon.db")),
            store_settings: StoreSettings::default(),
            retention: Keep::default(),
            playbooks: None,
            connectors: None,
            policy: Policy::default(),
            author: None,
            approval_actions: Vec::new(),
            log_json: false,
            public_url: None,
            notify: NotifyDraft {
                window_ms: crate::limits::NOTIFY_WINDOW_MS,
                ..NotifyDraft::default()
            },
            sources: Vec::new(),
            instances: Vec::new(),
            bind: Vec::new(),
            identities: Vec::new(),
            file: "cordon.toml".to_owned(),
            text: String::new(),
            dir: dir.to_owned(),
        }
    }

    /// Reads a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, with places: codes `K001` to `K019` of `docs/errors`.
    pub fn load(path: &Path) -> Result<Config, Vec<Diagnostic>> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            vec![Diagnostic::whole_file(
                "K001",
                format!("the configuration cannot be read: {error}"),
                shown.clone(),
                "`cordon init` writes one to start from; `--config FILE` names another",
            )]
        })?;
        let dir = path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        Config::parse(&shown, &text, dir)
    }

    /// Reads a configuration's text. `file` is its name in messages, `dir` what its paths are relative to.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &str, text: &str, dir: &Path) -> Result<Config, Vec<Diagnostic>> {
        let mut page = Page::new(file, text, CODES);
        let root = match DeTable::parse(text) {
            Ok(root) => root,
            Err(error) => {
                page.mistake(
                    "K001",
                    error.span().unwrap_or(0..0),
                    format!("this is not TOML: {}", error.message().replace('\n', ", ")),
                    "a text stands in quotes, a table in `[brackets]`",
                );
                return Err(page.mistakes);
            }
        };
        let masked = mask::masked(text, root.get_ref());
        let mut page = Page::new(file, &masked, CODES);
        let config = read::config(&mut page, Table::root(root.get_ref()), dir);
        if page.mistakes.is_empty() {
            Ok(config)
        } else {
            Err(in_order(page.mistakes))
        }
    }

    /// Who is on call, by rota, and the rota that is meant where none is named.
    pub fn rotas(&self) -> (&BTreeMap<String, Rota>, Option<&str>) {
        (&self.notify.rotas, self.notify.first_rota.as_deref())
    }

    /// The names that `[notify]` has for a `team`, `person` or `channel`; `None` where there is no `[notify]`.
    pub fn told(&self, what: &str) -> Option<Vec<&str>> {
        let notify = self.notify.is_given.then_some(&self.notify)?;
        Some(match what {
            "team" => notify.teams.keys().map(String::as_str).collect(),
            "person" => notify.people.keys().map(String::as_str).collect(),
            _ => notify.channels.keys().map(String::as_str).collect(),
        })
    }

    /// What own playbooks are held against.
    pub fn estate(&self) -> Estate {
        Estate {
            author: self.author.clone(),
            groups: self.policy.groups.clone(),
        }
    }

    /// Names of the sources, in the order of the file.
    pub fn source_names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.name.value.as_str())
    }

    /// The connector that the source of this name uses.
    pub fn connector_of(&self, source: &str) -> Option<&str> {
        self.sources
            .iter()
            .find(|draft| draft.name.value == source)
            .map(|draft| draft.connector.value.as_str())
    }
}

/// Mistakes as they stand in the file, whichever was found first.
fn in_order(mut mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
    mistakes.sort_by_key(|one| (one.line, one.column));
    mistakes
}
