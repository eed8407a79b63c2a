//! `cordon check`: everything that is wrong with configuration, connectors, triggers and playbooks, at once.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failure::{Done, Exit, Failure};
use super::{content, output};
use crate::config::{Config, Machine};
use crate::connector::Catalog;
use crate::diagnostic::{Diagnostic, Severity};
use crate::playbook;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon check
  cordon check /etc/cordon --json

A secret that is not there on this machine is a warning; `cordon serve` refuses to start without it. Commands named
by `exec:` are not run. Exit code 5 says that there are errors.")]
pub struct Check {
    /// Folder with `cordon.toml`
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print the diagnostics as JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// There are errors in the content.
pub fn run(args: &Check) -> Done {
    let (found, counted) = look(&args.dir);
    let errors = found.iter().filter(|one| one.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    if args.json {
        output::json(&json!({ "errors": errors, "warnings": warnings, "diagnostics": found }))?;
    } else {
        output::diagnostics(&found);
        let tail = if warnings > 0 {
            format!(", {}", several(warnings, "warning"))
        } else {
            String::new()
        };
        output::data(&format!("{counted}: {}{tail}", several(errors, "error")))?;
    }
    if errors > 0 {
        Err(Failure::said(Exit::Content))
    } else {
        Ok(())
    }
}

/// All diagnostics, and what was looked at.
fn look(dir: &std::path::Path) -> (Vec<Diagnostic>, String) {
    let mut found = Vec::new();
    let config = match Config::load(&dir.join("cordon.toml")) {
        Ok(config) => config,
        Err(mistakes) => {
            found.extend(mistakes);
            // Folders by their usual names, so that one mistake in the file does not hide all others.
            let mut config = Config::empty(dir);
            config.playbooks = Some(dir.join("playbooks")).filter(|dir| dir.is_dir());
            config.connectors = Some(dir.join("connectors")).filter(|dir| dir.is_dir());
            config
        }
    };
    let catalog = match Catalog::load(config.connectors.as_deref()) {
        Ok(catalog) => catalog,
        Err(mistakes) => {
            found.extend(mistakes);
            Catalog::embedded().unwrap_or_default()
        }
    };
    if let Err(mistakes) = config.resolve(&catalog, &Machine { run_commands: false }) {
        let elsewhere = |one: Diagnostic| if one.code == "K006" { one.as_warning() } else { one };
        found.extend(mistakes.into_iter().map(elsewhere));
    }
    let folders = content::folders(&config);
    found.extend(playbook::check_in(&folders, &catalog, &config.estate()));
    let connectors = several(catalog.connectors().count(), "connector");
    let counted = match playbook::Catalog::load_in(&folders, &catalog, &config.estate()) {
        Ok(playbooks) => {
            found.extend(playbooks.all().flat_map(|playbook| unknown(&config, playbook)));
            found.extend(unbound(&config, &catalog, &playbooks));
            format!("{connectors}, {}", several(playbooks.all().count(), "playbook"))
        }
        Err(_) => connectors,
    };
    (found, counted)
}

/// Calls of the estate's own playbooks that nothing here would do. Those in the binary are for any estate, and are
/// held against none.
fn unbound(config: &Config, catalog: &Catalog, playbooks: &playbook::Catalog) -> Vec<Diagnostic> {
    // What is wrong with the instances themselves has been told.
    let (Some(folder), Ok(instances)) = (&config.playbooks, config.instances(catalog)) else {
        return Vec::new();
    };
    let own = playbooks
        .all()
        .filter(|playbook| std::path::Path::new(&playbook.folder).starts_with(folder));
    own.flat_map(|playbook| playbook::unbound(playbook, catalog, &instances))
        .collect()
}

/// Whom a playbook tells by a name that the configuration does not have.
fn unknown(config: &Config, playbook: &playbook::Playbook) -> Vec<Diagnostic> {
    let of = |one: &playbook::Addressed| {
        let known = config.told(one.what)?;
        (!known.contains(&one.name.as_str())).then(|| one.unknown(&known))
    };
    playbook.addressed.iter().filter_map(of).collect()
}

fn several(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}
