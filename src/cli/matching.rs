//! `cordon match`: which triggers a finding meets, and for those it misses, what stood in the way.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::content::{self, Place};
use super::failure::Done;
use super::{findings, output};
use crate::finding::Finding;
use crate::trigger::Index;

/// Near misses shown for one finding where not all are asked for.
const NEAR_MISSES: usize = 5;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon match finding.json
  cordon match alert.json --source splunk --all")]
pub struct Match {
    /// File with the body of one delivery
    file: PathBuf,
    /// The source, or connector, whose format it is
    #[arg(long, short, default_value = "generic")]
    source: String,
    /// Show every trigger, not only the nearest
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    beside: findings::Beside,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// The file cannot be read, or a trigger does not load.
pub async fn run(args: Match) -> Done {
    let config = args.place.config()?;
    let catalog = content::connectors(&config)?;
    let index = content::playbooks(&config, &catalog)?.index();
    let found = findings::of(
        &config,
        &catalog,
        &args.source,
        &content::file(&args.file)?,
        &args.beside,
    )
    .await?;
    let most = if args.all { usize::MAX } else { NEAR_MISSES };
    if args.json {
        return output::json(
            &found
                .iter()
                .map(|finding| as_json(&index, finding))
                .collect::<Vec<_>>(),
        );
    }
    if found.is_empty() {
        return output::data("no finding: this is a message about the channel");
    }
    let texts: Vec<String> = found
        .iter()
        .map(|finding| as_text(&index, finding, most))
        .collect();
    output::data(&texts.join("\n"))
}

fn as_json(index: &Index, finding: &Finding) -> serde_json::Value {
    let triggers: Vec<_> = index
        .explain(finding)
        .into_iter()
        .map(|one| {
            json!({
                "trigger": one.trigger.title,
                "playbook": one.trigger.playbook,
                "file": one.trigger.file,
                "matched": one.matched,
                "misses": one.misses,
            })
        })
        .collect();
    json!({ "finding": finding.id.to_string(), "title": finding.title, "triggers": triggers })
}

fn as_text(index: &Index, finding: &Finding, most: usize) -> String {
    let mut text = format!("finding  {}\n", output::printable(&finding.title));
    let explained = index.explain(finding);
    if explained.is_empty() {
        text.push_str("  there is no trigger: put playbooks where `[content] playbooks` says\n");
    }
    let (met, missed): (Vec<_>, Vec<_>) = explained.into_iter().partition(|one| one.matched);
    // Writing to a `String` does not fail.
    for one in &met {
        let _ = writeln!(
            text,
            "  matches {} -> {}",
            one.trigger.title, one.trigger.playbook
        );
    }
    for one in missed.iter().take(most) {
        let _ = writeln!(
            text,
            "  misses  {} -> {}",
            one.trigger.title, one.trigger.playbook
        );
        for miss in &one.misses {
            let place = if miss.field.is_empty() {
                &miss.search
            } else {
                &miss.field
            };
            let _ = writeln!(text, "          {}: {}", place, output::printable(&miss.why));
        }
    }
    if missed.len() > most {
        let _ = writeln!(text, "  and {} more; `--all` shows them", missed.len() - most);
    }
    text
}
