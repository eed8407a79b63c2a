//! `--wait`: follows a run until it is over or cannot go on by itself.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::failure::{Done, Exit, Failure};
use super::{output, progress};
use crate::id::RunId;
use crate::journal::End;
use crate::run::RESOLVE;
use crate::store::{RunRow, RunStatus};

/// How often the run is looked at, ms.
const LOOK_MS: u64 = 250;

/// The answer of a call that started something.
#[derive(Deserialize)]
pub struct Started {
    run: Value,
    /// Runs that an undo does not reach.
    #[serde(default)]
    left: Vec<String>,
}

#[derive(Deserialize)]
struct Shown {
    run: RunRow,
}

impl Started {
    /// The run, whether the server answered with its id or with its row.
    ///
    /// # Errors
    /// It is neither.
    pub fn id(&self) -> Result<RunId, Failure> {
        let text = self
            .run
            .as_str()
            .or_else(|| self.run.get("id").and_then(Value::as_str))
            .unwrap_or_default();
        RunId::parse(text)
            .map_err(|error| Failure::new(Exit::Failed, format!("the answer makes no sense: {error}"), ""))
    }
}

/// Prints the run that was started and, when asked, waits for its end.
///
/// # Errors
/// It did not succeed, or is parked.
pub async fn finish(client: &Client, started: &Started, wait: bool, json: bool) -> Done {
    let id = started.id()?;
    if !started.left.is_empty() {
        output::say(&format!(
            "not reached, their journals are gone or cannot be read: {}; look at what they did with `cordon contained`",
            started.left.join(", ")
        ));
    }
    if !wait {
        return if json {
            let mut answer = serde_json::json!({ "run": id.to_string() });
            if let (false, Some(map)) = (started.left.is_empty(), answer.as_object_mut()) {
                map.insert("left".to_owned(), serde_json::json!(started.left));
            }
            output::json(&answer)
        } else {
            output::data(&id.to_string())
        };
    }
    let row = progress::during(&format!("run {id}"), until_over(client, id)).await?;
    if json {
        output::json(&row)?;
    } else {
        output::data(&id.to_string())?;
    }
    match (row.status, row.end) {
        (RunStatus::Settled, Some(End::Succeeded)) => Ok(()),
        (RunStatus::Settled, end) => Err(Failure::new(
            Exit::Failed,
            format!("the run ended: {}", end.map_or("without a word", End::word)),
            format!("`cordon show {id}` says what happened"),
        )),
        (RunStatus::Open, _) => Err(Failure::new(
            Exit::Failed,
            format!("the run waits for a person: {}", row.waits_for),
            format!("`cordon show {id}` says what happened"),
        )),
        _ => Err(Failure::new(
            Exit::Failed,
            format!("the run is parked: {}", row.waits_for),
            format!("`cordon show {id}` says what happened"),
        )),
    }
}

async fn until_over(client: &Client, id: RunId) -> Result<RunRow, Failure> {
    loop {
        let shown: Shown = client.get(&format!("/api/runs/{id}"), &[]).await?;
        // One that waits until somebody resolves a doubt does not end by waiting for it.
        if shown.run.status != RunStatus::Open || shown.run.waits_for.contains(RESOLVE) {
            return Ok(shown.run);
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}
