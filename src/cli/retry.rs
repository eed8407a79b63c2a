//! `cordon retry`: has a parked run taken up again.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::segment;
use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon retry run_… --reason 'the bundle is restored'
  cordon runs --status parked

Mend first what parked it; `cordon show` says what that is. Everything is checked again: where the cause is still there
the run is parked again, you are told why, and the exit code is 1.")]
pub struct Retry {
    /// The parked run
    run: String,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Deserialize)]
struct TakenUp {
    run: String,
    counted: bool,
    was: String,
    parked_again: Option<String>,
}

/// Runs it.
///
/// # Errors
/// The server said no, it is not parked, or it is parked again.
pub async fn run(args: Retry) -> Done {
    let id = segment(&args.run)?;
    let client = args.reach.client()?;
    let body = json!({ "reason": args.reason });
    let answer: Value = client.post(&format!("/api/runs/{id}/retry"), &body).await?;
    let told: TakenUp = super::alerts::member(&answer, "")?;
    if args.json {
        output::json(&answer)?;
    } else {
        let run = &told.run;
        match (&told.parked_again, told.counted) {
            (Some(_), _) => {}
            (None, true) => output::say(&format!(
                "{run}: taken up again; it goes on from where it was, and is parked again if it meets the cause: {}",
                told.was
            )),
            (None, false) => output::say(&format!(
                "{run}: it is kept, and the run's worker has not come to it yet; see `cordon show {run}`"
            )),
        }
        output::data(run)?;
    }
    match told.parked_again {
        Some(why) => Err(Failure::new(
            Exit::Failed,
            format!("{} is parked again, it waits for {why}", told.run),
            "mend the cause, or end it with `cordon cancel`",
        )),
        None => Ok(()),
    }
}
