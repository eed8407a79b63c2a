//! Every action of every shipped connector through what goes wrong: done twice, undone twice, undone without having
//! been done, its answer lost, undone before it came, told to wait, its token ended, its target empty, unknown or ambiguous. Real runs over a
//! store in memory, against doubles that hold state and count what they were made to change. An action without a
//! row here fails the battery.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod counterparty;
mod double;
mod engine;
mod row;
mod scenarios;
mod vendors;

use std::collections::BTreeSet;
use std::sync::Arc;

use cordon::connector::Catalog;
use futures_util::StreamExt as _;

use crate::row::Row;

/// Scenarios under way at once: each mostly waits.
const AT_ONCE: usize = 24;

#[test]
fn every_action_of_every_shipped_connector_has_a_row() {
    let catalog = Catalog::embedded().unwrap();
    let actions = catalog
        .connectors()
        .flat_map(|connector| &connector.manifest.actions);
    let shipped: BTreeSet<String> = actions.map(|spec| spec.name.to_string()).collect();
    let all = vendors::rows();
    let rows: BTreeSet<String> = all.iter().map(|row| row.action.to_owned()).collect();
    let without: Vec<&String> = shipped.difference(&rows).collect();
    assert!(
        without.is_empty(),
        "add a row to tests/battery/vendors for {without:?}"
    );
    let beyond: Vec<&String> = rows.difference(&shipped).collect();
    assert!(
        beyond.is_empty(),
        "there are rows for actions that are gone: {beyond:?}"
    );
    assert_eq!(rows.len(), all.len(), "an action has two rows");
}

#[test]
fn every_shipped_change_is_read_back_or_says_why_it_cannot_be() {
    let catalog = Catalog::embedded().unwrap();
    for connector in catalog.connectors() {
        for spec in connector.manifest.actions.iter().filter(|spec| spec.changes()) {
            assert!(
                spec.verify.is_some() || spec.unseen.is_some(),
                "{} has neither `verify.read` nor `verify.none`",
                spec.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_stands_what_goes_wrong() {
    let catalog = Arc::new(Catalog::embedded().unwrap());
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut work = Vec::new();
    for row in vendors::rows() {
        let row = Arc::new(row);
        for (name, scenario) in scenarios::ALL {
            if format!("{} {name}", row.action).contains(&only) {
                work.push((row.clone(), *name, *scenario));
            }
        }
    }
    let count = work.len();
    let results = futures_util::stream::iter(work)
        .map(|(row, name, scenario)| {
            let catalog = catalog.clone();
            async move {
                let label = format!("{}: {name}", row.action);
                // A task of its own, so that one that panics is one failure among the others.
                let task = tokio::spawn(async move { scenario(catalog, row).await });
                task.await.map_err(|error| {
                    let panic = error.into_panic();
                    let why = panic
                        .downcast_ref::<String>()
                        .cloned()
                        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                    format!("{label}: {}", why.unwrap_or_default())
                })
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<Result<(), String>>>()
        .await;
    let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(
        failed.is_empty(),
        "{} of {count} failed:\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    assert!(count > 0, "nothing was tried");
}

/// A row, shared by its scenarios.
type Shared = Arc<Row>;
