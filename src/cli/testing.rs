//! `cordon test`: the cases beside playbooks and connectors, run by the real engine without a network.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::content::{self, Place};
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::connector;
use crate::playbook;
use crate::simulate::{Found, Kind, Suite, Verdict, gather};

/// After so long, progress is shown.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon test
  cordon test playbooks/endpoint/malware_on_host --verbose
  cordon test connectors/crowdstrike/tests/contain_host.toml
  cordon test --filter offline

Without a PATH all cases are run: those of the binary and those of the folders that the configuration names. Exit
code 1 says that cases failed, 5 that content or a case has errors. See docs/guide/testing.md.")]
pub struct Test {
    /// Files and folders whose cases are run
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder of connectors, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    connectors: Option<PathBuf>,
    /// Folder of playbooks, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// Only cases whose name or file contains this
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
    /// Show every case, and of those that failed what happened
    #[arg(long)]
    verbose: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// Content or a case has errors, or a case failed.
pub fn run(args: &Test) -> Done {
    let began = Instant::now();
    let (connectors, playbooks) = load(args)?;
    let mut found = gather(&connectors, &playbooks);
    found.below(&args.paths);
    if let Some(text) = &args.filter {
        found.named(text);
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cannot = |error: crate::simulate::CannotTest| Failure::new(Exit::Failed, error.to_string(), "");
    let suite = Suite::new(Arc::new(connectors), threads)
        .map_err(cannot)?
        .over(&playbooks);
    let total = found.len();
    let shows_progress = std::io::stderr().is_terminal() && !args.json;
    let progress = |over: usize| {
        if shows_progress && began.elapsed() > PROGRESS_AFTER && over.is_multiple_of(50) {
            output::say(&format!("{over} of {total} cases"));
        }
    };
    let verdicts = suite.run(&found, &progress).map_err(cannot)?;
    report(args, &found, &verdicts, began.elapsed())
}

/// The content: that of the configuration, of the options, and of the paths.
fn load(args: &Test) -> Result<(connector::Catalog, playbook::Catalog), Failure> {
    for path in &args.paths {
        if !path.exists() {
            let message = format!("there is no `{}`", path.display());
            return Err(Failure::new(
                Exit::Usage,
                message,
                "name a file or folder that exists",
            ));
        }
    }
    let mut config = args.place.config()?;
    if args.connectors.is_some() {
        config.connectors = args.connectors.clone();
    }
    if args.playbooks.is_some() {
        config.playbooks = args.playbooks.clone();
    }
    let folders = |of: fn(&Path) -> Option<PathBuf>| args.paths.iter().filter_map(move |path| of(path));
    if let Some(folder) = folders(connectors_of).next() {
        config.connectors = Some(folder);
    }
    let connectors = content::connectors(&config)?;
    let mut dirs = content::folders(&config);
    dirs.extend(folders(playbooks_of));
    let playbooks =
        playbook::Catalog::load(&dirs, &connectors).map_err(|found| content::not_loaded(&found))?;
    Ok((connectors, playbooks))
}

/// The folder of connectors that a path means: the one around a connector, or one that holds some.
fn connectors_of(path: &Path) -> Option<PathBuf> {
    let around = path.ancestors().find(|one| one.join("connector.toml").is_file());
    if let Some(connector) = around {
        let parent = connector.parent().map(Path::to_owned);
        return parent.map(|dir| {
            if dir.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                dir
            }
        });
    }
    let holds = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .into_iter()
            .any(|entry| entry.path().join("connector.toml").is_file())
    };
    [path.to_owned(), path.join("connectors")]
        .into_iter()
        .find(|dir| holds(dir))
}

/// The folder with playbooks that a path means: the playbook's own, or one with playbooks below.
fn playbooks_of(path: &Path) -> Option<PathBuf> {
    let around = path.ancestors().find(|one| one.join("playbook.toml").is_file());
    if let Some(playbook) = around {
        return Some(playbook.to_owned());
    }
    let below = |dir: &Path| dir.is_dir() && holds_playbook(dir, 4);
    [path.join("playbooks"), path.to_owned()]
        .into_iter()
        .find(|dir| below(dir))
}

fn holds_playbook(dir: &Path, folders_left: usize) -> bool {
    if dir.join("playbook.toml").is_file() {
        return true;
    }
    let Some(folders_left) = folders_left.checked_sub(1) else {
        return false;
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    folders.any(|folder| holds_playbook(&folder, folders_left))
}

fn report(args: &Test, found: &Found, verdicts: &[Verdict], took: Duration) -> Done {
    let failed: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.passed()).collect();
    let passed = verdicts.len() - failed.len();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if args.json {
        output::json(&json!({
            "passed": passed,
            "failed": failed.len(),
            "took_ms": took_ms,
            "mistakes": found.mistakes,
            "without_cases": found.without,
            "cases": verdicts.iter().map(as_json).collect::<Vec<_>>(),
        }))?;
    } else {
        output::diagnostics(&found.mistakes);
        for verdict in &failed {
            output::say(&format!("failed  {}  ({})", verdict.name, verdict.file));
            output::diagnostics(&verdict.failures);
            if args.verbose && !verdict.timeline.is_empty() {
                output::say(&verdict.timeline);
            }
        }
        if args.verbose {
            let lines: Vec<String> = verdicts.iter().filter(|one| one.passed()).map(line).collect();
            output::data(&lines.join("\n"))?;
        }
        for folder in &found.without {
            output::say(&format!("without a case: {folder}"));
        }
        output::data(&summary(
            verdicts,
            passed,
            failed.len(),
            found.mistakes.len(),
            took,
        ))?;
    }
    if !found.mistakes.is_empty() {
        return Err(Failure::said(Exit::Content));
    }
    if !failed.is_empty() {
        return Err(Failure::said(Exit::Failed));
    }
    if verdicts.is_empty() {
        let message = "no case was run";
        return Err(Failure::new(
            Exit::Usage,
            message,
            "cases are files such as `tests/isolates.toml` beside the content",
        ));
    }
    Ok(())
}

fn summary(verdicts: &[Verdict], passed: usize, failed: usize, mistakes: usize, took: Duration) -> String {
    let of = |kind: Kind| verdicts.iter().filter(|verdict| verdict.kind == kind).count();
    let mut text = format!(
        "{passed} passed, {failed} failed ({} of playbooks, {} calls, {} deliveries) in {:.2} s, {:.0} a second",
        of(Kind::Playbook),
        of(Kind::Call),
        of(Kind::Delivery),
        took.as_secs_f64(),
        verdicts.len() as f64 / took.as_secs_f64().max(0.001)
    );
    if mistakes > 0 {
        text.push_str(&format!(
            "; {mistakes} mistake(s) in cases, whose files were not run"
        ));
    }
    text
}

fn line(verdict: &Verdict) -> String {
    format!("passed  {}  ({})", verdict.name, verdict.file)
}

fn as_json(verdict: &Verdict) -> serde_json::Value {
    json!({
        "name": verdict.name,
        "file": verdict.file,
        "kind": verdict.kind,
        "passed": verdict.passed(),
        "took_us": u64::try_from(verdict.took.as_micros()).unwrap_or(u64::MAX),
        "failures": verdict.failures,
    })
}
