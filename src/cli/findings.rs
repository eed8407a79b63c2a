//! Findings of a file, offline and by the very code that reads deliveries. Authentication is no part of it: the
//! file is the caller's own.

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Machine};
use crate::connector::{Catalog, DeliveryId};
use crate::diagnostic::nearest;
use crate::finding::Finding;
use crate::intake::{self, Auth, Normaliser, Profile};
use crate::limits::FINDING_WINDOW_MS;
use crate::script::Evaluators;

use super::failure::{Exit, Failure};

/// The findings in `body` as the source, or the connector, of this name reads them.
///
/// # Errors
/// There is no such source, or the body cannot be read.
pub async fn of(
    config: &Config,
    catalog: &Catalog,
    source: &str,
    body: &[u8],
) -> Result<Vec<Finding>, Failure> {
    let profile = profile(config, catalog, source)?;
    let evaluators = Evaluators::start(1)
        .map_err(|error| Failure::new(Exit::Failed, format!("no thread to evaluate on: {error}"), ""))?;
    let found = intake::read(&evaluators, &profile, &[], body, SystemClock.now()).await;
    evaluators.stop();
    found.map_err(|error| {
        Failure::new(
            Exit::Failed,
            error.to_string(),
            format!("the source `{source}` uses the connector `{}`", profile.connector),
        )
    })
}

/// A profile for reading alone: what authenticates deliveries is not looked at, so no secret is needed.
fn profile(config: &Config, catalog: &Catalog, source: &str) -> Result<Profile, Failure> {
    let name = config.connector_of(source).unwrap_or(source);
    let connector = catalog
        .connector(name)
        .filter(|connector| connector.manifest.source.is_some());
    let Some(connector) = connector else {
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
    Ok(Profile {
        name: source.to_owned(),
        connector: name.to_owned(),
        auth: Auth::None {
            anyone_may_send: true,
        },
        delivery: DeliveryId::BodyDigest,
        normaliser: connector
            .source
            .clone()
            .map_or(Normaliser::Builtin, Normaliser::Script),
        finding_window_ms: FINDING_WINDOW_MS,
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
