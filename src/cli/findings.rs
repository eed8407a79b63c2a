//! Findings of a file, offline and by the very code that reads deliveries. Authentication is no part of it: the
//! file is the caller's own. Nobody is asked: look-ups are answered from a file, or said to be skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::content;
use super::failure::{Exit, Failure};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Machine};
use crate::connector::Catalog;
use crate::diagnostic::nearest;
use crate::intake::{self, Auth, Delivery, LookUp, Normaliser, Offline, Profile, Reading};
use crate::script::Evaluators;

/// What belongs to a delivery beside its body.
#[derive(Args, Clone, Debug, Default)]
pub struct Beside {
    /// A header of the delivery, such as 'X-GitHub-Event: secret_scanning_alert'; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// File with answers to look-ups: JSON, { "/path": { "status": 200, "body": … } }
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

impl Beside {
    fn answers(&self) -> Result<Offline, Failure> {
        let Some(path) = &self.answers else {
            return Ok(Offline::default());
        };
        answers(path, &content::file(path)?)
    }
}

/// Headers as they are given on the command line, names in lower case.
///
/// # Errors
/// One has no colon.
pub fn headers(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| {
        text.split_once(':')
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .ok_or_else(|| {
                let help = "write name, colon and value, such as 'X-GitHub-Event: ping'";
                Failure::new(Exit::Usage, format!("`{text}` is not a header"), help)
            })
    };
    texts.iter().map(split).collect()
}

fn answers(path: &Path, text: &[u8]) -> Result<Offline, Failure> {
    let read: Result<BTreeMap<String, Value>, _> = serde_json::from_slice(text);
    read.map(Offline::with).map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("`{}` holds no answers: {error}", path.display()),
            "write an object of paths, each with its answer: `{ \"/path\": { \"status\": 200, \"body\": {} } }`",
        )
    })
}

/// The findings in `body` as the source, or the connector, of this name reads them. What is not answered, and what
/// a message about the channel says, goes to stderr.
///
/// # Errors
/// There is no such source, or the body cannot be read.
pub async fn of(
    config: &Config,
    catalog: &Catalog,
    source: &str,
    body: &[u8],
    beside: &Beside,
) -> Result<Vec<crate::finding::Finding>, Failure> {
    let profile = profile(config, catalog, source)?;
    let headers = headers(&beside.headers)?;
    let offline = beside.answers()?;
    let evaluators = Evaluators::start(1)
        .map_err(|error| Failure::new(Exit::Failed, format!("no thread to evaluate on: {error}"), ""))?;
    let now = SystemClock.now();
    let delivery = Delivery {
        id: "offline",
        headers: &headers,
        body,
        received: now,
        now,
    };
    let found = intake::read_with(&evaluators, &offline, &profile, &delivery).await;
    evaluators.stop();
    let Reading {
        findings,
        control,
        unanswered,
    } = found.map_err(|error| {
        Failure::new(
            Exit::Failed,
            error.to_string(),
            format!("the source `{source}` uses the connector `{}`", profile.connector),
        )
    })?;
    for why in unanswered {
        eprintln!("a look-up was skipped: {why}; `--answers FILE` answers it");
    }
    for what in control {
        eprintln!("a message about the channel: {what}");
    }
    Ok(findings)
}

/// A profile for reading alone: what authenticates deliveries is not looked at, so no secret is needed.
fn profile(config: &Config, catalog: &Catalog, source: &str) -> Result<Profile, Failure> {
    if config.connector_of(source).is_some() {
        let reader = config
            .reader(source, catalog)
            .map_err(|found| super::content::not_loaded(&found))?;
        if let Some(reader) = reader {
            return Ok(reader);
        }
    }
    let connector = catalog
        .connector(source)
        .and_then(|connector| Some((connector, connector.manifest.source.as_ref()?)));
    let Some((connector, spec)) = connector else {
        let senders = catalog.connectors().filter(|one| one.manifest.source.is_some());
        let mut known: Vec<&str> = config
            .source_names()
            .chain(senders.map(|one| one.manifest.name.as_str()))
            .collect();
        known.sort_unstable();
        known.dedup();
        let help = match nearest(source, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("sources and connectors that take alerts are {}", known.join(", ")),
        };
        return Err(Failure::new(
            Exit::Refused,
            format!("there is no source `{source}`"),
            help,
        ));
    };
    let anyone = Auth::None {
        anyone_may_send: true,
    };
    let normaliser = connector
        .source
        .clone()
        .map_or(Normaliser::Builtin, Normaliser::Script);
    let settings: Map<String, Value> = spec
        .settings
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect();
    Ok(Profile {
        settings,
        lookup: spec.lookup.as_ref().map(|lookup| LookUp {
            instance: String::new(),
            secrets: lookup.secrets.clone(),
        }),
        ..Profile::new(source, source, anyone, normaliser)
    })
}

/// How `source` authenticates, with its secrets read. Those of everybody else need not be on this machine.
///
/// # Errors
/// There is no such source, or it does not resolve; mistakes have been printed.
pub fn auth_of(config: &Config, catalog: &Catalog, source: &str) -> Result<Auth, Failure> {
    let profile = config
        .resolve_source(source, catalog, &Machine { run_commands: true })
        .map_err(|found| super::content::not_loaded(&found))?;
    match profile {
        Some(profile) => Ok(profile.auth),
        None => Err(Failure::new(
            Exit::Refused,
            format!("the configuration has no source `{source}`"),
            "name the file with `--config`, or give `--secret`",
        )),
    }
}
