//! Connectors, playbooks, triggers and configuration from the folders of this machine, for commands that work
//! without a server.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::{Exit, Failure};
use super::output;
use crate::config::Config;
use crate::connector;
use crate::diagnostic::Diagnostic;
use crate::trigger::{Index, Trigger};

/// Deepest folder below `playbooks/` that is looked into.
const DEPTH_MAX: usize = 4;

/// Where configuration and content are.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Configuration file
    #[arg(long, short, env = "CORDON_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Place {
    /// The named configuration, or `cordon.toml` here where there is one, or an empty one.
    ///
    /// # Errors
    /// Its mistakes have been printed.
    pub fn config(&self) -> Result<Config, Failure> {
        let here = Path::new("cordon.toml");
        let read = match &self.config {
            Some(path) => Config::load(path),
            None if here.is_file() => Config::load(here),
            None => Ok(Config::empty(Path::new("."))),
        };
        read.map_err(|found| not_loaded(&found))
    }
}

/// Prints what is wrong with content.
pub fn not_loaded(found: &[Diagnostic]) -> Failure {
    output::diagnostics(found);
    Failure::said(Exit::Content)
}

/// The connectors a configuration says.
///
/// # Errors
/// Their mistakes have been printed.
pub fn connectors(config: &Config) -> Result<connector::Catalog, Failure> {
    connector::Catalog::load(config.connectors.as_deref()).map_err(|found| not_loaded(&found))
}

/// The triggers a configuration says.
///
/// # Errors
/// Their mistakes have been printed.
pub fn triggers(config: &Config) -> Result<Index, Failure> {
    let mut found = Vec::new();
    let triggers = playbooks(config, &mut found);
    if found.is_empty() { Ok(Index::build(triggers)) } else { Err(not_loaded(&found)) }
}

/// Every trigger below the playbooks' folder; mistakes go to `found`.
//
// Waits for `playbook::Catalog`, which also checks manifests and scripts and knows the playbooks in the binary.
pub fn playbooks(config: &Config, found: &mut Vec<Diagnostic>) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    if let Some(dir) = &config.playbooks {
        walk(dir, DEPTH_MAX, &mut triggers, found);
    }
    triggers
}

fn walk(dir: &Path, depth: usize, triggers: &mut Vec<Trigger>, found: &mut Vec<Diagnostic>) {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Diagnostic::whole_file(
            "K001",
            format!("cannot be read: {error}"),
            path.display().to_string(),
            "check that it exists and that cordon may read it",
        )
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return found.push(unreadable(dir, &error)),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && depth > 0 {
            walk(&path, depth - 1, triggers, found);
        } else if path.file_name().is_some_and(|name| name == "trigger.yml") {
            let name = dir.file_name().map(|name| name.to_string_lossy().replace('_', "-")).unwrap_or_default();
            match fs::read_to_string(&path) {
                Ok(text) => match Trigger::load(&path.display().to_string(), &text, &name) {
                    Ok(trigger) => triggers.push(trigger),
                    Err(mistakes) => found.extend(mistakes),
                },
                Err(error) => found.push(unreadable(&path, &error)),
            }
        }
    }
}

/// A file that was named on the command line.
///
/// # Errors
/// It cannot be read.
pub fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("cannot read `{}`: {error}", path.display()),
            "name a file that exists",
        )
    })
}
