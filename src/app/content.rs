//! The folders of content: loading them, and looking whether they changed. Only connectors, playbooks and triggers
//! are looked at; `cordon.toml` is read once, when the server starts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use crate::config::Config;
use crate::connector;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::intake::{Content, Reloaded, Stock};
use crate::limits::{CONTENT_FILES_MAX, CONTENT_LOOK_MS};
use crate::playbook;
use crate::run::Handle;

/// Loads everything a configuration says.
///
/// # Errors
/// Everything that is wrong with it; nothing of it is to be used then.
pub(super) fn load(config: &Config) -> Result<Stock, Vec<Diagnostic>> {
    let connectors = Arc::new(connector::Catalog::load(config.connectors.as_deref())?);
    let folders: Vec<PathBuf> = config.playbooks.iter().cloned().collect();
    let playbooks = playbook::Catalog::load_in(&folders, &connectors, &config.estate())?;
    // What the configuration says of connectors has to fit those there are now.
    config.instances(&connectors)?;
    Ok(Stock::new(connectors, &playbooks))
}

/// Loads the content again whenever its folders change, until `stop` is set.
pub(super) async fn watch(content: Arc<Content>, handle: Handle, config: Config, stop: Arc<AtomicBool>) {
    let folders: Vec<PathBuf> = [&config.connectors, &config.playbooks]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    if folders.is_empty() {
        return;
    }
    let mut tick = tokio::time::interval(Duration::from_millis(CONTENT_LOOK_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut used = look(&folders).await;
    let mut last = used;
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        let seen = look(&folders).await;
        // Whoever saves several files is waited for: the folders have to look the same twice.
        if seen != used && seen == last {
            used = seen;
            reload(content.clone(), handle.clone(), "its folders changed").await;
        }
        last = seen;
    }
}

/// Loads the content again and says in the log what came of it.
pub(super) async fn reload(content: Arc<Content>, handle: Handle, why: &str) {
    let reloaded = tokio::task::spawn_blocking(move || content.reload(&handle)).await;
    match reloaded {
        Ok(Reloaded::Same) => tracing::info!("content was loaded again because {why}: nothing is different"),
        Ok(Reloaded::Changed) => {
            tracing::info!(
                "content was loaded again because {why}: new runs use it, runs under way keep theirs"
            );
        }
        Ok(Reloaded::Refused(found)) => {
            let first = found
                .first()
                .map_or_else(String::new, |one| format!(", the first: {one}"));
            tracing::error!(
                errors = found.len(),
                "content was not loaded, although {why}; what was in use stays in use; `cordon check` says what is wrong{first}"
            );
        }
        Err(error) => tracing::error!("content was not loaded: {error}"),
    }
}

/// What tells the state of the folders: names, lengths and times of their files.
async fn look(folders: &[PathBuf]) -> Option<Digest> {
    let folders = folders.to_vec();
    let looked = tokio::task::spawn_blocking(move || {
        let mut seen = Vec::new();
        for folder in &folders {
            list(folder, &mut seen);
        }
        Digest::of_parts(&seen)
    });
    looked.await.ok()
}

fn list(folder: &Path, seen: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        // A folder that went away is a change, and loading says what is wrong with it.
        seen.push(format!("no {}", folder.display()));
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || seen.len() >= CONTENT_FILES_MAX {
            continue;
        }
        let Ok(known) = std::fs::metadata(&path) else {
            continue;
        };
        if known.is_dir() {
            list(&path, seen);
            continue;
        }
        let changed = known
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        seen.push(format!(
            "{} {} {}",
            path.display(),
            known.len(),
            changed.as_nanos()
        ));
    }
}
