//! `cordon show`: one run, event by event.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::alerts::{member, segment};
use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::clock::Time;
use crate::journal::{End, Event};
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
    at: Time,
    event: Event,
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
        let events: Vec<(Time, Event)> = shown.events.into_iter().map(|one| (one.at, one.event)).collect();
        output::data(&timeline(&shown.run, &events, output::colours_on_stdout(), output::width()))?;
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

// Waits for `evidence::timeline::render`, which takes the same and knows every event's words.
fn timeline(run: &RunRow, events: &[(Time, Event)], colours: bool, width: usize) -> String {
    let (bold, plain) = if colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let line = |text: String| -> String { output::printable(&text).chars().take(width).collect() };
    let mut lines = vec![
        format!("{bold}{}{plain}", line(format!("{}  {}", run.id, run.title))),
        line(format!("about   {}", run.subject)),
        line(format!("cause   {}", run.cause)),
        line(format!("status  {}", run.end.map_or(run.status.word(), End::word))),
    ];
    lines.extend(events.iter().map(|(at, event)| line(format!("{at}  {}", event.kind().replace('_', " ")))));
    lines.join("\n")
}
