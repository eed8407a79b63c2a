//! A person's view of the server: posts alerts as senders do, asks the API as `cordon` does, and waits for what is
//! on its way. Every line the demo prints comes from here or from the range.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Time;
use crate::evidence;
use crate::id::RunId;
use crate::journal::{End, Event};
use crate::store::{Counts, RunRow};

/// How long anything may take here before the demo gives up, ms.
const PATIENCE_MS: u64 = 60_000;
/// Pause between two looks, ms.
const LOOK_MS: u64 = 25;
/// Width of timelines, columns.
const WIDTH: usize = 100;

/// Where the server is and who asks.
pub(super) struct Desk {
    pub(super) url: String,
    pub(super) token: String,
    key: String,
    client: reqwest::Client,
}

/// A run and its journal.
#[derive(Deserialize)]
pub(super) struct Shown {
    pub(super) run: RunRow,
    events: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    at: Time,
    event: Event,
}

impl Shown {
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|told| &told.event)
    }

    /// What the playbook returned.
    pub(super) fn value(&self) -> Option<&Value> {
        self.events().find_map(|event| match event {
            Event::ScriptReturned { value } => Some(value),
            _ => None,
        })
    }

    /// The run as `cordon show` prints it.
    pub(super) fn timeline(&self) -> String {
        let told = self.events.iter();
        let events: Vec<(Time, Event)> = told.map(|told| (told.at, told.event.clone())).collect();
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        evidence::timeline::render(&self.run, &events, colours, WIDTH)
    }
}

impl Desk {
    pub(super) fn new(url: String, token: String, key: String) -> anyhow::Result<Desk> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Desk {
            url,
            token,
            key,
            client,
        })
    }

    /// The same server, asked by somebody else: a principal made now.
    pub(super) async fn as_somebody(&self, name: &str) -> anyhow::Result<Desk> {
        let made = self.post("/api/tokens", json!({ "name": name })).await?;
        let token = text(&made, "token");
        Desk::new(self.url.clone(), token, self.key.clone())
    }

    /// Posts an alert to a source, which has to answer 202. Answers the alert's id.
    pub(super) async fn deliver(&self, source: &str, body: &str) -> anyhow::Result<String> {
        let request = self
            .client
            .post(format!("{}/hooks/{source}", self.url))
            .header("x-cordon-key", &self.key)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let answer = request.send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        expect(status == 202, &format!("the alert was answered {status}: {body}"))?;
        Ok(text(&body, "alert"))
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.client.get(format!("{}{path}", self.url));
        answered(path, request.bearer_auth(&self.token).send().await?).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.url)).json(&body);
        answered(path, request.bearer_auth(&self.token).send().await?).await
    }

    /// Totals, as `GET /api/status` has them.
    pub(super) async fn counts(&self) -> anyhow::Result<Counts> {
        let mut status = self.get("/api/status").await?;
        let counts = status.get_mut("counts").map(Value::take).unwrap_or_default();
        Ok(serde_json::from_value(counts)?)
    }

    /// The one run of this playbook, once there is one; several are a failure.
    pub(super) async fn only_run(&self, playbook: &str) -> anyhow::Result<RunId> {
        let path = format!("/api/runs?playbook={playbook}");
        let look = async || -> anyhow::Result<Option<RunId>> {
            let answer = self.get(&path).await?;
            match members(&answer, "runs").as_slice() {
                [] => Ok(None),
                [run] => Ok(Some(RunId::parse(&text(run, "id"))?)),
                several => bail!("one alert started {} runs of {playbook}", several.len()),
            }
        };
        wait_for(&format!("the alert to start {playbook}"), look).await
    }

    pub(super) async fn run(&self, run: RunId) -> anyhow::Result<Shown> {
        Ok(serde_json::from_value(
            self.get(&format!("/api/runs/{run}")).await?,
        )?)
    }

    /// The run once it is over, which has to be as expected.
    pub(super) async fn ended(&self, run: RunId, end: End) -> anyhow::Result<Shown> {
        let look = async || {
            let shown = self.run(run).await?;
            Ok(shown.run.end.is_some().then_some(shown))
        };
        let shown = wait_for(&format!("{run} to end"), look).await?;
        if shown.run.end != Some(end) {
            bail!(
                "the demo failed: {run} did not end as it should\n{}",
                shown.timeline()
            );
        }
        Ok(shown)
    }

    /// Undoes a run and waits until that has ended as expected.
    pub(super) async fn undo(&self, run: RunId, reason: &str, end: End) -> anyhow::Result<Shown> {
        let path = format!("/api/runs/{run}/undo");
        let started = self.post(&path, json!({ "reason": reason })).await?;
        self.ended(RunId::parse(&text(&started, "run"))?, end).await
    }
}

/// Looks until there is something to see.
pub(super) async fn wait_for<T>(
    what: &str,
    look: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    for _ in 0..PATIENCE_MS / LOOK_MS {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
    bail!("waited {} s for {what}", PATIENCE_MS / 1_000)
}

async fn answered(path: &str, answer: reqwest::Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let body: Value = answer.json().await?;
    if !status.is_success() {
        bail!("{path} was answered {status}: {body}");
    }
    Ok(body)
}

/// A member that is a text; nothing where it is none.
pub(super) fn text(value: &Value, name: &str) -> String {
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A member that is a list; nothing where it is none.
pub(super) fn members(value: &Value, name: &str) -> Vec<Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

pub(super) fn say(text: &str) {
    println!("{text}");
}

pub(super) fn expect(holds: bool, otherwise: &str) -> anyhow::Result<()> {
    if holds {
        Ok(())
    } else {
        Err(anyhow!("the demo failed: {otherwise}"))
    }
}
