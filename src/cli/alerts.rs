//! `cordon alerts`: what arrived and what became of it. `cordon reprocess`: once more, after something was mended.

use clap::Args;
use serde_json::{Value, json};

use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::store::AlertRow;

/// Arguments of `alerts`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon alerts
  cordon alerts --disposition unreadable --json
  cordon alerts alert_…")]
pub struct Alerts {
    /// One alert, whole
    id: Option<String>,
    /// Only those with this disposition
    #[arg(long, value_parser = ["pending", "split", "unreadable", "control"])]
    disposition: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Only those that came before this moment (RFC 3339), or on from the end of a page
    #[arg(long, value_name = "PLACE")]
    before: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Arguments of `reprocess`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon reprocess alert_…

Runs that the alert started before are not started again.")]
pub struct Reprocess {
    /// The alert
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `alerts`.
///
/// # Errors
/// The server said no.
pub async fn run(args: Alerts) -> Done {
    let client = args.reach.client()?;
    if let Some(id) = &args.id {
        let alert: Value = client.get(&format!("/api/alerts/{}", segment(id)?), &[]).await?;
        return output::json(&alert);
    }
    let query = [
        ("disposition", args.disposition),
        ("limit", Some(args.limit.to_string())),
        ("before", args.before),
    ];
    let answer: Value = client.get("/api/alerts", &query).await?;
    if args.json {
        return output::json(&answer);
    }
    let rows: Vec<AlertRow> = member(&answer, "alerts")?;
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.received_at.to_string(),
                row.id.to_string(),
                row.source.clone(),
                row.disposition.word().to_owned(),
                row.times.to_string(),
            ]
        })
        .collect();
    output::data(&output::table(
        &["RECEIVED", "ALERT", "SOURCE", "DISPOSITION", "TIMES"],
        &rows,
    ))?;
    more(&answer);
    Ok(())
}

/// Runs `reprocess`.
///
/// # Errors
/// The server said no.
pub async fn reprocess(args: Reprocess) -> Done {
    let client = args.reach.client()?;
    let answer: Value = client
        .post(
            &format!("/api/alerts/{}/reprocess", segment(&args.id)?),
            &json!({}),
        )
        .await?;
    if args.json {
        output::json(&answer)
    } else {
        output::data(&args.id)
    }
}

/// Says how to go on, where there is another page.
pub(super) fn more(answer: &Value) {
    if let Some(next) = answer.get("next").and_then(Value::as_str) {
        output::say(&format!("there are more: `--before {next}` goes on from here"));
    }
}

/// An id as part of a path: nothing in it may end the part.
pub(super) fn segment(id: &str) -> Result<&str, Failure> {
    if !id.is_empty()
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    {
        Ok(id)
    } else {
        Err(Failure::new(
            Exit::Usage,
            format!("`{id}` is not an id"),
            "copy it from a list, such as `cordon runs`",
        ))
    }
}

/// A member of an answer, or the answer itself where it is the list.
pub(super) fn member<T: serde::de::DeserializeOwned>(answer: &Value, name: &str) -> Result<T, Failure> {
    let value = answer.get(name).unwrap_or(answer).clone();
    serde_json::from_value(value).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("the server's answer makes no sense: {error}"),
            "server and command line may be of different versions: compare `cordon --version`",
        )
    })
}
