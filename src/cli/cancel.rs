//! `cordon cancel`: ends a run that is not over.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::segment;
use super::client::Reach;
use super::failure::Done;
use super::output;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon cancel run_… --keep --reason 'handled by hand'
  cordon cancel run_… --undo --reason 'false positive'

Effects under way are finished first, and open questions are closed. With `--undo`, what the run did is then undone in
reverse, in the same run; with `--keep` it stays. The runs it started and waits for are cancelled in the same way. One
of both has to be said. A run that is over is taken back with
`cordon undo`.")]
pub struct Cancel {
    /// The run
    run: String,
    /// Undo what it did
    #[arg(long, conflicts_with = "keep", required_unless_present = "keep")]
    undo: bool,
    /// Let what it did stay
    #[arg(long)]
    keep: bool,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// What became of a word for a run.
#[derive(Deserialize)]
pub struct Spoken {
    /// The run.
    pub run: String,
    /// Whether its worker has heard it.
    pub counted: bool,
}

/// Runs it.
///
/// # Errors
/// The server said no, or the run is over.
pub async fn run(args: Cancel) -> Done {
    let id = segment(&args.run)?;
    let body = json!({ "undo": args.undo, "reason": args.reason });
    let client = args.reach.client()?;
    let answer: Value = client.post(&format!("/api/runs/{id}/cancel"), &body).await?;
    let what = if args.undo {
        "cancelled; what it did is being undone"
    } else {
        "cancelled; what it did stays"
    };
    told(&answer, args.json, what)
}

/// Says what became of a word for a run.
///
/// # Errors
/// The answer makes no sense.
pub fn told(answer: &Value, as_json: bool, counted: &str) -> Done {
    if as_json {
        return output::json(answer);
    }
    let spoken: Spoken = super::alerts::member(answer, "")?;
    if spoken.counted {
        output::say(&format!("{}: {counted}", spoken.run));
    } else {
        output::say(&format!(
            "{}: it is kept, and the run's worker has not come to it yet; see `cordon show {}`",
            spoken.run, spoken.run
        ));
    }
    output::data(&spoken.run)
}
