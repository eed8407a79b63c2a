//! `cordon resolve`: says whether an effect in doubt happened, after a person has looked.

use clap::Args;
use serde_json::{Map, Value, json};

use super::alerts::segment;
use super::cancel::told;
use super::client::Reach;
use super::failure::Done;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon resolve effect_… --happened --reason 'the ticket is there, INC-7'
  cordon resolve effect_… --did-not --reason 'no such ticket'

Look at the vendor first: what you say is believed, and recorded with your name. The first answer stands. `cordon runs`
shows which runs wait for one.")]
pub struct Resolve {
    /// The effect in doubt
    effect: String,
    /// It happened
    #[arg(long, conflicts_with = "did_not", required_unless_present = "did_not")]
    happened: bool,
    /// It did not happen
    #[arg(long)]
    did_not: bool,
    /// What you saw, for the journal
    #[arg(long)]
    reason: String,
    /// The run of the effect, where it is not found by itself
    #[arg(long)]
    run: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs it.
///
/// # Errors
/// The server said no: it is not in doubt, or somebody has said before.
pub async fn run(args: Resolve) -> Done {
    let id = segment(&args.effect)?;
    let mut body = Map::new();
    body.insert("happened".to_owned(), json!(args.happened));
    body.insert("reason".to_owned(), json!(args.reason));
    if let Some(run) = args.run {
        body.insert("run".to_owned(), json!(run));
    }
    let client = args.reach.client()?;
    let path = format!("/api/effects/{id}/resolve");
    let answer: Value = client.post(&path, &Value::Object(body)).await?;
    let what = if args.happened {
        "recorded as done; the run goes on"
    } else {
        "recorded as not done; the run goes on"
    };
    told(&answer, args.json, what)
}
