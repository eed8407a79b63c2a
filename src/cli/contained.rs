//! `cordon contained`: what is held now, since when and until when. `cordon release`: ends it.

use clap::Args;
use serde_json::{Value, json};

use super::alerts::member;
use super::client::Reach;
use super::failure::Done;
use super::output;
use super::waiting::{self, Started};
use crate::containment::{Contained as Containment, Held as Holder};

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
  cordon release web-07 --reason 'reimaged, INC-4711' --wait

Ends every hold on the entity and restores the state before the first.")]
pub struct Release {
    /// Name or vendor id of what is held
    entity: String,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Wait until the prior state is restored
    #[arg(long)]
    wait: bool,
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
    let held: Vec<Containment> = member(&answer, "contained")?;
    if held.is_empty() {
        output::say("nothing is contained");
    }
    let rows: Vec<Vec<String>> = held
        .iter()
        .flat_map(|held| held.holders.iter().map(|holder| row(held, holder)))
        .collect();
    output::data(&output::table(
        &["TARGET", "FACET", "AT", "SINCE", "UNTIL", "IN FORCE", "RUN"],
        &rows,
    ))
}

fn row(held: &Containment, holder: &Holder) -> Vec<String> {
    let until = match holder.until {
        Some(until) if holder.overdue => format!("{until} (overdue)"),
        Some(until) => until.to_string(),
        None => "until released".to_owned(),
    };
    vec![
        held.label.clone(),
        held.facet.clone(),
        held.target.instance.clone(),
        holder.since.to_string(),
        until,
        holder.verified.clone(),
        holder.run.to_string(),
    ]
}

/// Runs `release`.
///
/// # Errors
/// Nothing of that name is held, the server said no, or the restoring run did not succeed.
pub async fn release(args: Release) -> Done {
    let body = json!({ "entity": args.entity, "reason": args.reason });
    let client = args.reach.client()?;
    let started: Started = client.post("/api/release", &body).await?;
    waiting::finish(&client, &started, args.wait, args.json).await
}
