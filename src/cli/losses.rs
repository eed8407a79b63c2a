//! `cordon store status` and `cordon store recover`: what the store lost although it had acknowledged it, and putting
//! it back.

use clap::Args;
use serde_json::{Value, json};

use super::alerts::member;
use super::client::Reach;
use super::failure::Done;
use super::output;

/// Arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon store status
  cordon store status --json")]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Arguments of `recover`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon store recover p03 --reason 'a replica took over, INC-1234'

Writes are repeated in the order in which they were acknowledged. Start every node that was running first: each brings
what it remembers. An effect that comes back without its outcome is looked at before anything is done again.")]
pub struct Recover {
    /// The partition, as `cordon store status` names it
    partition: String,
    /// Why, for the record
    #[arg(long)]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `status`.
///
/// # Errors
/// The server said no.
pub async fn status(args: Status) -> Done {
    let answer: Value = args.reach.client()?.get("/api/store", &[]).await?;
    if args.json {
        return output::json(&answer);
    }
    let parked: Vec<Value> = member(&answer, "parked")?;
    if parked.is_empty() {
        return output::data("nothing is missing");
    }
    for one in &parked {
        let number = |name: &str| one.get(name).and_then(Value::as_u64).unwrap_or(0);
        let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
        output::data(&output::printable(&format!(
            "p{:02} is parked: the servers have {} writes of {} they acknowledged; noticed by {}; {} can be put back",
            number("partition"),
            number("stored"),
            number("acknowledged"),
            text("by"),
            number("brought"),
        )))?;
        let missing = one.get("missing").and_then(Value::as_array);
        for line in missing.into_iter().flatten().filter_map(Value::as_str) {
            output::data(&output::printable(&format!("  {line}")))?;
        }
    }
    output::say("start every node that was running, then: cordon store recover PARTITION --reason '…'");
    Ok(())
}

/// Runs `recover`.
///
/// # Errors
/// The server said no.
pub async fn recover(args: Recover) -> Done {
    let path = format!("/api/store/{}/recover", args.partition);
    let answer: Value = args
        .reach
        .client()?
        .post(&path, &json!({ "reason": args.reason }))
        .await?;
    if args.json {
        return output::json(&answer);
    }
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    output::data(&format!(
        "{} goes on: {} writes put back, {} were there, {} could not be put back",
        args.partition,
        number("put_back"),
        number("there"),
        number("refused")
    ))?;
    let named = answer.get("named").and_then(Value::as_array);
    for line in named.into_iter().flatten().filter_map(Value::as_str) {
        output::data(&output::printable(&format!("  {line}")))?;
    }
    Ok(())
}
