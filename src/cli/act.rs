//! `cordon act`: one action by hand, on the same path as everything else.

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Reach;
use super::failure::Done;
use super::run::pair;
use super::waiting::{self, Started};
use crate::clock::duration_ms;
use crate::finding::EntityType;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon act endpoint::isolate --target host:web-07 --lease 4h --reason 'INC-4711' --wait
  cordon act crowdstrike::lift_containment --target host:web-07 --reason 'clean'

Guardrails weigh it like any other effect. With --lease it ends by itself; `cordon undo RUN` ends it before.")]
pub struct Act {
    /// The action or capability, such as endpoint::isolate
    action: String,
    /// What it is done to
    #[arg(long, value_name = "TYPE:NAME", value_parser = target)]
    target: (EntityType, String),
    /// How long it holds
    #[arg(long, value_name = "DURATION", value_parser = lease)]
    lease: Option<String>,
    /// An option of the action; JSON where it reads as such, else text. May be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = pair)]
    options: Vec<(String, Value)>,
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
/// The server said no, or it did not succeed.
pub async fn run(args: Act) -> Done {
    let mut options: Map<String, Value> = args.options.into_iter().collect();
    if let Some(lease) = args.lease {
        options.insert("lease".to_owned(), Value::from(lease));
    }
    let (kind, name) = args.target;
    let body = json!({ "action": args.action, "target": { "type": kind, "name": name }, "options": options, "reason": args.reason });
    let client = args.reach.client()?;
    let started: Started = client.post("/api/act", &body).await?;
    waiting::finish(&client, &started, args.wait, args.json).await
}

fn target(text: &str) -> Result<(EntityType, String), String> {
    let (kind, name) = text
        .split_once(':')
        .ok_or("write TYPE:NAME, such as host:web-07")?;
    let known = EntityType::ALL.map(EntityType::word);
    let Some(found) = EntityType::from_word(kind) else {
        let hint = crate::diagnostic::nearest(kind, known).map_or_else(
            || format!("types are {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(format!("`{kind}` is no type of target; {hint}"));
    };
    if name.trim().is_empty() {
        return Err("the target has no name".to_owned());
    }
    Ok((found, name.to_owned()))
}

fn lease(text: &str) -> Result<String, String> {
    duration_ms(text)
        .map(|_| text.to_owned())
        .ok_or_else(|| "write a whole number and one of s, m, h, d, such as 4h".to_owned())
}
