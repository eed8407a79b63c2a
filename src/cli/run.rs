//! `cordon run`: starts a playbook by hand.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Reach;
use super::content;
use super::failure::{Done, Exit, Failure};
use super::waiting::{self, Started};
use crate::clock::{Clock, SystemClock};
use crate::finding::Finding;
use crate::intake::builtin_findings;

/// What a run is about.
#[derive(Args, Debug)]
pub(super) struct About {
    /// File with one finding, in Cordon's own format or as `cordon normalise` prints it
    #[arg(long, value_name = "FILE", group = "what")]
    finding: Option<PathBuf>,
    /// Id of an alert whose findings it is about
    #[arg(long, value_name = "ALERT", group = "what")]
    alert: Option<String>,
    /// Which finding of the alert, from 0, where it holds several
    #[arg(long, value_name = "N", requires = "alert")]
    index: Option<usize>,
    /// An input; JSON where it reads as such, else text. May be repeated
    #[arg(long = "input", value_name = "KEY=VALUE", value_parser = pair)]
    inputs: Vec<(String, Value)>,
}

impl About {
    /// What the server is asked.
    ///
    /// # Errors
    /// The file holds no finding, or several.
    pub(super) fn body(self, playbook: &str) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::from_iter([("playbook".to_owned(), json!(playbook))]);
        if let Some(file) = &self.finding {
            body.insert("finding".to_owned(), finding(file)?);
        } else if let Some(alert) = &self.alert {
            body.insert("alert".to_owned(), json!(alert));
            if let Some(index) = self.index {
                body.insert("index".to_owned(), json!(index));
            }
        }
        if !self.inputs.is_empty() {
            let inputs = Value::Object(self.inputs.into_iter().collect());
            body.insert("inputs".to_owned(), inputs);
        }
        Ok(body)
    }
}

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon run isolate-host --finding finding.json --wait
  cordon run isolate-host --alert alert_… --reason 'trigger was too narrow'
  cordon run timed-grant --input account=ana --input group=db-admins --input ticket=4711

Prints the id of the run. With --wait, exit code 0 says that it succeeded.")]
pub struct Run {
    /// Id of the playbook
    playbook: String,
    #[command(flatten)]
    about: About,
    /// Why, for the journal
    #[arg(long, default_value = "started by hand")]
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
/// The server said no, or the run did not succeed.
pub async fn run(args: Run) -> Done {
    let mut body = args.about.body(&args.playbook)?;
    body.insert("reason".to_owned(), json!(args.reason));
    let client = args.reach.client()?;
    let started: Started = client.post("/api/runs", &Value::Object(body)).await?;
    waiting::finish(&client, &started, args.wait, args.json).await
}

/// One finding; of a list, its only member.
fn finding(file: &Path) -> Result<Value, Failure> {
    let wrong = |why: String, help: &str| {
        let message = format!("`{}` {why}", file.display());
        Failure::new(Exit::Usage, message, help)
    };
    let bytes = content::file(file)?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is not JSON: {error}"), ""))?;
    let list = match value {
        Value::Array(list) if list.is_empty() => return Err(wrong("holds no finding".to_owned(), ONE)),
        Value::Array(list) if list.iter().all(is_normalised) => list,
        value if is_normalised(&value) => vec![value],
        // What a person wrote, or a sender: read as a delivery of it would be.
        _ => builtin_findings("by-hand", &bytes, SystemClock.now())
            .map_err(|why| wrong(format!("is no finding: {why}"), ONE))?
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(format!("cannot be sent: {error}"), ""))?,
    };
    match <[Value; 1]>::try_from(list) {
        Ok([only]) => Ok(only),
        Err(list) if list.is_empty() => Err(wrong("holds no finding".to_owned(), ONE)),
        Err(_) => Err(wrong("holds several findings".to_owned(), ONE)),
    }
}

const ONE: &str = "give one: `cordon normalise SOURCE FILE | jq '.[0]'`";

/// True for a finding as `cordon normalise` prints it, which has everything.
fn is_normalised(value: &Value) -> bool {
    serde_json::from_value::<Finding>(value.clone()).is_ok()
}

/// `key=value`; the value is JSON where it reads as such.
pub(super) fn pair(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            Ok((key.trim().to_owned(), value))
        }
        _ => Err("write KEY=VALUE".to_owned()),
    }
}
