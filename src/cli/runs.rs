//! `cordon runs`: what ran, runs and waits.

use clap::Args;
use serde_json::Value;

use super::alerts::{member, more};
use super::client::Reach;
use super::failure::Done;
use super::output;
use crate::journal::End;
use crate::store::RunRow;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon runs
  cordon runs --status parked
  cordon runs --playbook isolate-host --limit 10 --json")]
pub struct Runs {
    /// Only those of this status
    #[arg(long, value_parser = ["open", "parked", "settled"])]
    status: Option<String>,
    /// Only those of this playbook
    #[arg(long, value_name = "ID")]
    playbook: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Only those begun before this moment (RFC 3339), or on from the end of a page
    #[arg(long, value_name = "PLACE")]
    before: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs it.
///
/// # Errors
/// The server said no.
pub async fn run(args: Runs) -> Done {
    let query = [
        ("status", args.status),
        ("playbook", args.playbook),
        ("limit", Some(args.limit.to_string())),
        ("before", args.before),
    ];
    let answer: Value = args.reach.client()?.get("/api/runs", &query).await?;
    if args.json {
        return output::json(&answer);
    }
    let rows: Vec<RunRow> = member(&answer, "runs")?;
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.started_at.to_string(),
                row.id.to_string(),
                row.playbook.clone(),
                row.subject.clone(),
                row.end.map_or(row.status.word(), End::word).to_owned(),
                row.waits_for.clone(),
            ]
        })
        .collect();
    output::data(&output::table(
        &["STARTED", "RUN", "PLAYBOOK", "ABOUT", "STATUS", "WAITS FOR"],
        &rows,
    ))?;
    more(&answer);
    Ok(())
}
