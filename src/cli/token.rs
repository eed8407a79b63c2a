//! `cordon token`: who may call the API.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::alerts::member;
use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon token create anna > anna.token
  cordon token create anna --replace
  cordon token list --json")]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a token and prints it, once
    Create {
        /// Whose it is: the name that stands in journals
        name: String,
        /// Take the place of a token of this name, which then no longer works
        #[arg(long)]
        replace: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Lists the names that have tokens, never the tokens
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Runs it.
///
/// # Errors
/// The server said no.
pub async fn run(args: Token) -> Done {
    match args.what {
        What::Create {
            name,
            replace,
            json,
            reach,
        } => {
            let answer: Value = reach
                .client()?
                .post("/api/tokens", &json!({ "name": name, "replace": replace }))
                .await?;
            if json {
                return output::json(&answer);
            }
            let Some(token) = answer.get("token").and_then(Value::as_str) else {
                return Err(Failure::new(
                    Exit::Failed,
                    "the server's answer holds no token",
                    "",
                ));
            };
            output::say("keep it now: it is shown once and stored nowhere");
            output::data(token)
        }
        What::List { json, reach } => {
            let answer: Value = reach.client()?.get("/api/tokens", &[]).await?;
            if json {
                return output::json(&answer);
            }
            let tokens: Vec<Value> = member(&answer, "tokens")?;
            let rows: Vec<Vec<String>> = tokens
                .iter()
                .map(|token| {
                    ["name", "created_at", "created_by"]
                        .map(|name| text(token.get(name)))
                        .to_vec()
                })
                .collect();
            output::data(&output::table(&["NAME", "CREATED", "BY"], &rows))
        }
    }
}

/// A time as RFC 3339 where it came as a number.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::Number(ms)) => ms
            .as_i64()
            .map_or_else(|| ms.to_string(), |ms| crate::clock::Time(ms).to_string()),
        Some(Value::String(text)) => text.clone(),
        _ => "-".to_owned(),
    }
}
