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
use crate::playbook;

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

/// The playbooks of the binary and those a configuration says.
///
/// # Errors
/// Their mistakes have been printed.
pub fn playbooks(config: &Config, connectors: &connector::Catalog) -> Result<playbook::Catalog, Failure> {
    playbook::Catalog::load_in(&folders(config), connectors, &config.estate())
        .map_err(|found| not_loaded(&found))
}

/// Where playbooks are, beside those of the binary.
pub fn folders(config: &Config) -> Vec<PathBuf> {
    config.playbooks.iter().cloned().collect()
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
