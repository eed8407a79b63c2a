//! `cordon demo`: the whole way of one alert on this machine. A real server with a real store and a real HTTP
//! client; only CrowdStrike is the range. Every line printed was asked of the server, nothing is made up.

use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::serve::{ServeOptions, Server};
use crate::clock::Time;
use crate::config::{Config, StoreUrl};
use crate::containment::Contained;
use crate::evidence;
use crate::id::RunId;
use crate::journal::{End, Event};
use crate::range::{Host, Range, RangeConfig, RunningRange};
use crate::secret::Secret;
use crate::store::RunRow;

/// What the demo does.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Leave everything running at the end.
    pub keep: bool,
    /// Where to keep things; a database that is thrown away where nothing is said.
    pub store: Option<StoreUrl>,
}

/// A Splunk Enterprise Security notable, as its webhook action posts it.
const ALERT: &str = include_str!("demo_alert.json");
/// The host in it.
const HOST: &str = "web-07";
/// How long a run may take here before the demo gives up, ms.
const PATIENCE_MS: u64 = 60_000;
/// Width of timelines, columns.
const WIDTH: usize = 100;

/// Shows what Cordon does, against a range on this machine.
///
/// # Errors
/// What kept it from its end, or what did not turn out as it should.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("failed to make a folder for the demo")?;
    let range = Range::start(RangeConfig {
        seed: vec![
            Host::new("8d3e0c5b1f6a4a6c9a0b7e2d4c1f9a10", HOST),
            Host::new("1b7c2d9e4f5a4b8c8d0e6f1a2b3c4d5e", "dc-01"),
        ],
        credentials: ("demo-client".into(), Secret::new("demo-client-secret")),
        ..RangeConfig::default()
    })
    .await?;
    let key = random_word()?;
    let config = configure(dir.path(), &range, &key)?;
    let serve = ServeOptions {
        listen: None,
        store: options.store,
    };
    let server = Server::start(&config, &serve).await?;
    let Some(token) = server.first_token.clone() else {
        bail!("this store is in use already: name an empty one with `--store`");
    };
    let demo = Demo {
        url: format!("http://{}", server.address),
        token,
        key,
        client: client()?,
    };
    say("Cordon demo: one alert in, one host contained, and its undo. All of it is on this machine.");
    say(&format!(
        "  server  {}\n  range   {} (stands in for CrowdStrike)",
        demo.url,
        range.base_url()
    ));
    let shown = demo.show(&range).await;
    if shown.is_ok() && options.keep {
        say(&format!(
            "\nThe server stays up. In another terminal:\n\n  export CORDON_URL={}\n  export CORDON_TOKEN={}\n  cordon runs\n\nCtrl-C ends it.",
            demo.url, demo.token
        ));
        tokio::signal::ctrl_c().await?;
    }
    server.stop().await?;
    range.stop().await;
    shown
}

fn configure(dir: &Path, range: &RunningRange, key: &str) -> anyhow::Result<Config> {
    for (name, text) in [
        ("splunk", key),
        ("falcon-id", "demo-client"),
        ("falcon-secret", "demo-client-secret"),
    ] {
        fs::write(dir.join(name), text)?;
    }
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"

[store]
url = "sqlite:demo.db"

[[source]]
name = "splunk"
use = "splunk"
auth = {{ kind = "header", header = "x-cordon-key", secrets = ["file:splunk"] }}

[connectors.crowdstrike]
base_url = "{}"
credentials = {{ client_id = "file:falcon-id", client_secret = "file:falcon-secret" }}

[policy]
protected = [{{ type = "host", name = "dc-*", why = "domain controllers" }}]
"#,
        range.base_url()
    );
    let path = dir.join("cordon.toml");
    fs::write(&path, text)?;
    Config::load(&path).map_err(|found| {
        let texts: Vec<String> = found.iter().map(|mistake| mistake.render(false)).collect();
        anyhow!("{}", texts.join("\n"))
    })
}

fn random_word() -> anyhow::Result<String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("failed to draw random bytes: {error}"))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()?)
}

fn say(text: &str) {
    println!("{text}");
}

struct Demo {
    url: String,
    token: String,
    key: String,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct Shown {
    run: RunRow,
    events: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    at: Time,
    event: Event,
}

impl Demo {
    async fn show(&self, range: &RunningRange) -> anyhow::Result<()> {
        say("\n1. Splunk posts an alert: ransomware behavior on web-07.");
        let alert = self.deliver().await?;
        say(&format!("   202 Accepted: {} is durable.", alert.0));

        let run = self.only_run().await?;
        let contained = self.wait_for(run).await?;
        say("\n2. The run it started:\n");
        say(&timeline(&contained));
        expect(
            contained.run.end == Some(End::Succeeded),
            "the run did not succeed",
        )?;
        let status = |host| {
            range
                .host(host)
                .map(|host| host.status.as_str().to_owned())
                .unwrap_or_default()
        };
        expect(status(HOST) == "contained", "the host is not contained")?;

        say("3. Splunk posts the same alert again.");
        let again = self.deliver().await?;
        expect(again.0 == alert.0, "the repeat became another alert")?;
        self.only_run().await?;
        say(&format!(
            "   202 Accepted: {}, delivery {} of the same alert. Still one run.",
            again.0, again.1
        ));

        say("\n4. What is contained now:");
        say(&self.contained().await?);

        say("5. It was a false alarm. Undo restores the state that was captured before:\n");
        let path = format!("/api/runs/{run}/undo");
        let undo = self
            .post(
                &path,
                json!({ "reason": "false alarm, the backup job renames files" }),
            )
            .await?;
        let undo = RunId::parse(undo.get("run").and_then(Value::as_str).unwrap_or_default())?;
        let undone = self.wait_for(undo).await?;
        say(&timeline(&undone));
        expect(undone.run.end == Some(End::Succeeded), "the undo did not succeed")?;
        expect(status(HOST) == "normal", "the host is still contained")?;

        let ledger = range.ledger();
        let (did, undid) = (
            ledger.applied("contain", HOST),
            ledger.applied("lift_containment", HOST),
        );
        say(&format!(
            "6. What reached the vendor, by its own ledger: contain {did} time, lift {undid} time; {HOST} is `{}`.",
            status(HOST)
        ));
        expect((did, undid) == (1, 1), "something was done more than once")
    }

    async fn deliver(&self) -> anyhow::Result<(String, u64)> {
        let answer = self
            .client
            .post(format!("{}/hooks/splunk", self.url))
            .header("x-cordon-key", &self.key)
            .header("content-type", "application/json")
            .body(ALERT)
            .send()
            .await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        expect(status == 202, &format!("the alert was answered {status}: {body}"))?;
        let alert = body
            .get("alert")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok((
            alert,
            body.get("times").and_then(Value::as_u64).unwrap_or_default(),
        ))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self
            .client
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .json(&body);
        let answer = request.send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        if !status.is_success() {
            bail!("{path} was answered {status}: {body}");
        }
        Ok(body)
    }

    /// The one run there is, once there is one; several are a failure.
    async fn only_run(&self) -> anyhow::Result<RunId> {
        for _ in 0..PATIENCE_MS / 50 {
            let answer = self.get("/api/runs").await?;
            let runs = answer
                .get("runs")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            match runs.as_slice() {
                [] => tokio::time::sleep(Duration::from_millis(50)).await,
                [run] => {
                    return Ok(RunId::parse(
                        run.get("id").and_then(Value::as_str).unwrap_or_default(),
                    )?);
                }
                several => bail!("one alert started {} runs", several.len()),
            }
        }
        bail!("the alert started no run");
    }

    async fn wait_for(&self, run: RunId) -> anyhow::Result<Shown> {
        for _ in 0..PATIENCE_MS / 50 {
            let shown: Shown = serde_json::from_value(self.get(&format!("/api/runs/{run}")).await?)?;
            if shown.run.end.is_some() {
                return Ok(shown);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{run} did not end: see its timeline with `cordon show {run}`");
    }

    async fn contained(&self) -> anyhow::Result<String> {
        let answer = self.get("/api/contained").await?;
        let held: Vec<Contained> =
            serde_json::from_value(answer.get("contained").cloned().unwrap_or_default())?;
        expect(
            held.len() == 1,
            &format!("{} targets are held instead of one", held.len()),
        )?;
        let mut text = String::new();
        for one in held {
            let until = one
                .until
                .map_or_else(|| "somebody ends it".to_owned(), |at| at.to_string());
            writeln!(
                text,
                "   {}, {}: in force {}, until {until}",
                one.label, one.facet, one.verified
            )?;
        }
        Ok(text)
    }
}

fn timeline(shown: &Shown) -> String {
    let events: Vec<(Time, Event)> = shown
        .events
        .iter()
        .map(|told| (told.at, told.event.clone()))
        .collect();
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    evidence::timeline::render(&shown.run, &events, colours, WIDTH)
}

fn expect(holds: bool, otherwise: &str) -> anyhow::Result<()> {
    if holds {
        Ok(())
    } else {
        Err(anyhow!("the demo failed: {otherwise}"))
    }
}
