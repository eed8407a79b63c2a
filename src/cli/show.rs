//! `cordon show`: one run, event by event.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::alerts::{member, segment};
use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::clock::Time;
use crate::evidence::timeline;
use crate::journal::Event;
use crate::store::RunRow;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon show run_…
  cordon show run_… --json | jq '.events[].event'")]
pub struct Show {
    /// The run
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Deserialize)]
struct Shown {
    run: RunRow,
    events: Vec<At>,
    digest_ok: bool,
}

#[derive(Deserialize)]
struct At {
    seq: u64,
    at: Option<Time>,
    event: Option<Event>,
}

/// Runs it.
///
/// # Errors
/// The server said no, or the journal does not verify.
pub async fn run(args: Show) -> Done {
    let path = format!("/api/runs/{}", segment(&args.run)?);
    let answer: Value = args.reach.client()?.get(&path, &[]).await?;
    let shown: Shown = member(&answer, "")?;
    if args.json {
        output::json(&answer)?;
    } else {
        let mut events = Vec::new();
        for one in shown.events {
            match (one.at, one.event) {
                (Some(at), Some(event)) => events.push((at, event)),
                _ => output::say(&format!(
                    "entry {} of the journal cannot be read; `--json` shows why",
                    one.seq
                )),
            }
        }
        output::data(&timeline::render(
            &shown.run,
            &events,
            output::colours_on_stdout(),
            output::width(),
        ))?;
    }
    if shown.digest_ok {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Failed,
            "the journal of this run does not verify: it was changed after it was written",
            "keep the store as it is and look at who could write to it",
        ))
    }
}
