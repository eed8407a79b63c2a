//! `cordon contained`: what is held now, since when and until when. `cordon release`: ends it.

use clap::Args;
use serde_json::{Value, json};

use super::alerts::member;
use super::client::Reach;
use super::failure::Done;
use super::output;
use crate::action::Hold;

/// Arguments of `contained`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon contained
  cordon contained --json")]
pub struct Contained {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Arguments of `release`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon release web-07 --reason 'reimaged, INC-4711'

Ends every hold on the entity and restores the state before the first.")]
pub struct Release {
    /// Name or vendor id of what is held
    entity: String,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `contained`.
///
/// # Errors
/// The server said no.
pub async fn run(args: Contained) -> Done {
    let answer: Value = args.reach.client()?.get("/api/contained", &[]).await?;
    if args.json {
        return output::json(&answer);
    }
    let holds: Vec<Hold> = member(&answer, "holds")?;
    let mut rows = Vec::new();
    for hold in &holds {
        for holder in &hold.holders {
            rows.push(vec![
                hold.target.label(),
                hold.facet.clone(),
                hold.target.instance.clone(),
                holder.since.to_string(),
                holder.until.map_or("until released".to_owned(), |until| until.to_string()),
                holder.run.to_string(),
            ]);
        }
    }
    if rows.is_empty() {
        output::say("nothing is contained");
    }
    output::data(&output::table(&["TARGET", "FACET", "AT", "SINCE", "UNTIL", "RUN"], &rows))
}

/// Runs `release`.
///
/// # Errors
/// Nothing of that name is held, or the server said no.
pub async fn release(args: Release) -> Done {
    let body = json!({ "entity": args.entity, "reason": args.reason });
    let answer: Value = args.reach.client()?.post("/api/release", &body).await?;
    if args.json {
        return output::json(&answer);
    }
    output::data(&answer.to_string())
}
