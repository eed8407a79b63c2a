//! `cordon reload`: has the server load connectors, playbooks and triggers again.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon reload
  cordon check && cordon reload

A server looks at its folders every second and loads them by itself when they changed; this does it now and says what came of it.
Content with errors is not taken: what was in use stays in use. Runs under way keep what they began with. `cordon.toml` is read
when the server starts and at no other time.")]
pub struct Reload {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    refused: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    errors: usize,
    told: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The content has errors, or the server said no.
pub async fn run(args: Reload) -> Done {
    let answer: Value = args.reach.client()?.post("/api/reload", &json!({})).await?;
    if args.json {
        output::json(&answer)?;
    }
    let answer: Answer = serde_json::from_value(answer).map_err(|error| {
        let help = "server and command line may be of different versions: compare `cordon --version`";
        Failure::new(Exit::Failed, format!("the answer makes no sense: {error}"), help)
    })?;
    if let Some(refused) = answer.content.refused {
        for one in &refused.told {
            output::say(&format!("{one}\n"));
        }
        let message = format!(
            "the content has {} error(s); what was in use stays in use",
            refused.errors
        );
        return Err(Failure::new(
            Exit::Content,
            message,
            "mend it; the server takes it by itself then",
        ));
    }
    if args.json {
        return Ok(());
    }
    output::data(match answer.outcome.as_str() {
        "changed" => "new content is in use; runs under way keep theirs",
        _ => "nothing is different",
    })
}
