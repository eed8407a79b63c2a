//! Numbers for machines and lines for people: the metrics of this process and of its store, in the OpenMetrics
//! text format (OpenMetrics 1.0), and the set-up of the log. Never counts by anything a stranger can choose:
//! a label is a configured name or one of our own words.

mod tally;

pub use tally::FOLLOWER;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use self::tally::Tally;
use crate::clock::Time;
use crate::id::Partition;
use crate::store::{Counts, Disposition, Error, NoticeState, RunStatus, Store};

/// Name and value pairs.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// The content type of what [`Telemetry::scrape`] gives (OpenMetrics 1.0, "Content-Type").
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The name under which the follower that tells people keeps its place.
const NOTIFY: &str = "notify";

/// How old metrics may be before they are gathered anew.
const SCRAPE_AGAIN: Duration = Duration::from_secs(1);

/// The metrics of this process.
pub struct Telemetry {
    registry: Registry,
    deliveries: Family<Labels, Counter>,
    uptime: Gauge,
    content_loaded: Gauge,
    content_refused: Gauge,
    violations: Family<Labels, Gauge>,
    store_bytes: Family<Labels, Gauge>,
    collected: Family<Labels, Gauge>,
    started: Instant,
    kept: AtomicU64,
    baseline: Mutex<Option<Baseline>>,
    counting: tokio::sync::Mutex<Counting>,
}

/// What one scrape at a time may use.
struct Counting {
    tally: Tally,
    last: Option<(Instant, String)>,
}

/// What was there at the first scrape: alerts in the store, and alerts this process had kept.
#[derive(Clone, Copy)]
struct Baseline {
    stored: u64,
    kept: u64,
}

impl Telemetry {
    /// Metrics that start at nothing. `version` is the program's.
    pub fn new(version: &str) -> Telemetry {
        let mut registry = Registry::with_prefix("cordon");
        let deliveries = Family::<Labels, Counter>::default();
        let uptime = Gauge::default();
        let (content_loaded, content_refused) = (Gauge::default(), Gauge::default());
        registry.register(
            "build",
            "What is running",
            Info::new(vec![("version", version.to_owned())]),
        );
        registry.register("uptime_seconds", "Since this process began", uptime.clone());
        registry.register(
            "content_loaded_seconds",
            "When the content in use was loaded, since 1970",
            content_loaded.clone(),
        );
        registry.register(
            "content_refused",
            "1 while newer content has errors and is not in use",
            content_refused.clone(),
        );
        registry.register(
            "deliveries",
            "Deliveries by source and status answered",
            deliveries.clone(),
        );
        let violations = Family::<Labels, Gauge>::default();
        registry.register(
            "invariant_violations",
            "What must not be, by kind, at the last look: must be 0",
            violations.clone(),
        );
        let store_bytes = Family::<Labels, Gauge>::default();
        registry.register(
            "store_bytes",
            "The store's room: what it uses, what is free, and both with what others use",
            store_bytes.clone(),
        );
        let collected = Family::<Labels, Gauge>::default();
        registry.register(
            "collected",
            "What retention has forgotten since this process began",
            collected.clone(),
        );
        let tally = Tally::new(&mut registry);
        Telemetry {
            violations,
            store_bytes,
            collected,
            registry,
            deliveries,
            uptime,
            content_loaded,
            content_refused,
            started: Instant::now(),
            kept: AtomicU64::new(0),
            baseline: Mutex::new(None),
            counting: tokio::sync::Mutex::new(Counting { tally, last: None }),
        }
    }

    /// A delivery was answered. `source` is a configured one; `None` for a name nobody configured.
    pub fn delivery(&self, source: Option<&str>, status: u16) {
        let source = source.unwrap_or("(unknown)").to_owned();
        self.deliveries
            .get_or_create(&vec![("source", source), ("status", status.to_string())])
            .inc();
    }

    /// An alert was kept for the first time, and its sender told so.
    pub fn kept(&self) {
        self.kept.fetch_add(1, Ordering::SeqCst);
    }

    /// How the content stands: when it was loaded, and whether newer content was refused.
    pub fn content(&self, loaded_at: Time, is_refused: bool) {
        let seconds = loaded_at.0 / 1_000;
        self.content_loaded.set(seconds);
        self.content_refused.set(i64::from(is_refused));
    }

    /// How the store stands: violations by kind, bytes by `used`, `free` and `total`, what was forgotten.
    pub fn upkeep(
        &self,
        violations: &BTreeMap<String, u64>,
        bytes: &[(&str, u64)],
        collected: &[(&str, u64)],
    ) {
        let set = |family: &Family<Labels, Gauge>, label: &'static str, word: &str, n: u64| {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            family.get_or_create(&vec![(label, word.to_owned())]).set(n);
        };
        for (kind, n) in violations {
            set(&self.violations, "kind", kind, *n);
        }
        for (what, n) in bytes {
            set(&self.store_bytes, "what", what, *n);
        }
        for (what, n) in collected {
            set(&self.collected, "what", what, *n);
        }
    }

    /// Since the process began, ms.
    pub fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Everything, as OpenMetrics text, at most a second old. Reads the totals of every partition, and what was
    /// appended to the journal since the last time, up to a bound.
    pub async fn scrape(&self, store: &dyn Store, now: Time) -> Result<String, Error> {
        // One at a time, and not without pause: metrics need no token, and must not be a way to wear the store out.
        let mut counting = self.counting.lock().await;
        if let Some((at, text)) = &counting.last
            && at.elapsed() < SCRAPE_AGAIN
        {
            return Ok(text.clone());
        }
        let kept = self.kept.load(Ordering::SeqCst);
        let counts = totals(store, now).await?;
        counting.tally.catch_up(store).await?;
        self.uptime
            .set(i64::try_from(self.started.elapsed().as_secs()).unwrap_or(i64::MAX));
        let unbalanced = self.unbalanced(&counts, kept);
        let lag_ms = notify_lag_ms(store, &counts, now).await?;
        let parked = u64::try_from(store.parked().await?.len()).unwrap_or(u64::MAX);
        let store_metrics = store_registry(&counts, unbalanced, lag_ms, parked);
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &store_metrics))
            .and_then(|()| encode_eof(&mut text));
        written.map_err(|error| Error::Unavailable {
            why: format!("metrics cannot be written: {error}"),
        })?;
        counting.last = Some((Instant::now(), text.clone()));
        Ok(text)
    }

    /// Alerts that do not add up: with a disposition that is none of ours, or answered 202 by this process
    /// since the first scrape and not among those stored. `kept` was read before the store was, so an alert
    /// that arrives meanwhile is never missed.
    fn unbalanced(&self, counts: &Counts, kept: u64) -> u64 {
        let stored: u64 = counts.alerts.values().sum();
        let known: u64 = Disposition::ALL
            .iter()
            .map(|disposition| count(&counts.alerts, disposition.word()))
            .sum();
        let mut baseline = self.baseline.lock().unwrap_or_else(PoisonError::into_inner);
        // At the first scrape, what was kept until after the look is counted as there.
        let first = || Baseline {
            stored,
            kept: self.kept.load(Ordering::SeqCst),
        };
        let first = *baseline.get_or_insert_with(first);
        let promised = kept.saturating_sub(first.kept);
        let arrived = stored.saturating_sub(first.stored);
        stored
            .saturating_sub(known)
            .saturating_add(promised.saturating_sub(arrived))
    }
}

/// The totals of all partitions.
pub async fn totals(store: &dyn Store, now: Time) -> Result<Counts, Error> {
    let mut sum = Counts::default();
    for partition in Partition::all() {
        let part = store.counts(partition, now).await?;
        add(&mut sum.alerts, part.alerts);
        add(&mut sum.runs, part.runs);
        add(&mut sum.ends, part.ends);
        sum.repeats += part.repeats;
        sum.stuck += part.stuck;
        sum.holds += part.holds;
        sum.overdue += part.overdue;
        add(&mut sum.notices, part.notices);
        sum.notice_due = [sum.notice_due, part.notice_due].into_iter().flatten().min();
    }
    Ok(sum)
}

fn add(sum: &mut BTreeMap<String, u64>, part: BTreeMap<String, u64>) {
    for (word, n) in part {
        *sum.entry(word).or_default() += n;
    }
}

fn count(of: &BTreeMap<String, u64>, word: &str) -> u64 {
    of.get(word).copied().unwrap_or(0)
}

/// How long whatever people are still to be told has waited, ms: a notice that is due, or an entry that the
/// follower has not read.
async fn notify_lag_ms(store: &dyn Store, counts: &Counts, now: Time) -> Result<u64, Error> {
    let mut waits = counts.notice_due.map_or(0, |due| now.since_ms(due));
    for partition in Partition::all() {
        let after = store.cursor(partition, NOTIFY).await?;
        // An entry of a newer version has no time that we can read; the follower tells of it.
        let next = store.feed(partition, after, 1).await?;
        let at = next.first().and_then(|item| item.entry.event().ok());
        waits = waits.max(at.map_or(0, |(at, _)| now.since_ms(at)));
    }
    Ok(waits)
}

/// The store's totals as metrics: made anew each time, so that nothing stale is shown.
fn store_registry(counts: &Counts, unbalanced: u64, notify_lag_ms: u64, parked: u64) -> Registry {
    let mut registry = Registry::with_prefix("cordon");
    let mut one = |name: &str, help: &str, n: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(n).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    one(
        "repeats",
        "Deliveries that were repeats of a kept alert",
        counts.repeats,
    );
    one(
        "runs_stuck",
        "Open runs that nothing will wake: must be 0",
        counts.stuck,
    );
    one(
        "store_parked",
        "Partitions whose servers lost what they had acknowledged: page on more than 0",
        parked,
    );
    one("holds", "Facets of targets that are contained now", counts.holds);
    one(
        "holds_overdue",
        "Leases that are over and not ended: page on more than 0 for minutes",
        counts.overdue,
    );
    one(
        "accounting_unbalanced",
        "Alerts that do not add up: must be 0",
        unbalanced,
    );
    one(
        "notify_lag_seconds",
        "How long the message that waits for longest has waited: page on minutes",
        notify_lag_ms / 1_000,
    );
    let mut by = |name: &str, help: &str, label: &'static str, words: &[&str], of: &BTreeMap<String, u64>| {
        let family = Family::<Labels, Gauge>::default();
        let all = words.iter().copied().chain(of.keys().map(String::as_str));
        for word in all {
            let n = i64::try_from(count(of, word)).unwrap_or(i64::MAX);
            family.get_or_create(&vec![(label, word.to_owned())]).set(n);
        }
        registry.register(name, help, family);
    };
    let dispositions = Disposition::ALL.map(Disposition::word);
    by(
        "alerts",
        "Alerts kept, by what became of them",
        "disposition",
        &dispositions,
        &counts.alerts,
    );
    by(
        "runs",
        "Runs by status",
        "status",
        &RunStatus::ALL.map(RunStatus::word),
        &counts.runs,
    );
    by(
        "notifications",
        "Messages to people that are kept, by how they stand: `failed` reached somebody by no way",
        "state",
        &NoticeState::ALL.map(NoticeState::word),
        &counts.notices,
    );
    by(
        "runs_ended",
        "Settled runs by how they ended",
        "end",
        &[],
        &counts.ends,
    );
    registry
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NoLog {
    /// The filter is not one.
    #[error("`CORDON_LOG` is not a log filter: {0}; write `info`, or `cordon=debug`")]
    Filter(String),
    /// There is a log already.
    #[error("the log is set up already: {0}")]
    Twice(String),
}

/// Sends the log to stderr: lines for people, or one JSON object a line. What is logged is set by the
/// environment variable `CORDON_LOG` (`info` where it is not set).
pub fn log(json: bool) -> Result<(), NoLog> {
    let written = std::env::var("CORDON_LOG").unwrap_or_default();
    let written = if written.trim().is_empty() {
        "info"
    } else {
        written.trim()
    };
    let filter = EnvFilter::try_new(written).map_err(|error| NoLog::Filter(error.to_string()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let done = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    };
    done.map_err(|error| NoLog::Twice(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_was_promised_and_is_not_stored_is_counted() {
        let telemetry = Telemetry::new("1");
        let stored = |n: u64| Counts {
            alerts: BTreeMap::from([("split".to_owned(), n)]),
            ..Counts::default()
        };
        assert_eq!(telemetry.unbalanced(&stored(5), 0), 0);
        telemetry.kept();
        telemetry.kept();
        assert_eq!(telemetry.unbalanced(&stored(7), 2), 0);
        assert_eq!(telemetry.unbalanced(&stored(6), 2), 1);
        let odd = Counts {
            alerts: BTreeMap::from([("lost".to_owned(), 7)]),
            ..Counts::default()
        };
        assert_eq!(telemetry.unbalanced(&odd, 2), 7);
    }
}
