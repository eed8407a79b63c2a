//! `cordon undo`: restores what a run, or one effect, changed.

use clap::Args;
use serde_json::{Map, Value, json};

use super::alerts::segment;
use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::waiting::{self, Started};
use crate::id::EffectId;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon undo run_… --reason 'false positive' --wait
  cordon undo effect_… --reason 'wrong host'

Restores the state that was captured before, of a run and of those it started, last first. Where someone changed it since, nothing is written and you are asked.")]
pub struct Undo {
    /// The run, or one effect
    id: String,
    /// The run of the effect, where it is not found by itself
    #[arg(long)]
    run: Option<String>,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Wait until it is over
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs it.
///
/// # Errors
/// The server said no, or not everything could be restored.
pub async fn run(args: Undo) -> Done {
    let id = segment(&args.id)?;
    let mut body = Map::new();
    let path = if EffectId::parse(id).is_ok() {
        if let Some(run) = args.run {
            body.insert("run".to_owned(), json!(run));
        }
        format!("/api/effects/{id}/undo")
    } else if args.run.is_none() {
        format!("/api/runs/{id}/undo")
    } else {
        return Err(Failure::new(
            Exit::Usage,
            format!("`--run` goes with an effect, and `{id}` is none"),
            "to undo a whole run give its id alone",
        ));
    };
    body.insert("reason".to_owned(), json!(args.reason));
    let client = args.reach.client()?;
    let started: Started = client.post(&path, &Value::Object(body)).await?;
    waiting::finish(&client, &started, args.wait, args.json).await
}
