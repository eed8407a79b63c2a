//! From a kept alert to runs, each exactly once: read, dedup, match, start, and write down what became of it.
//! Every hop is claimed under an id that follows from its cause, so a crash anywhere repeats harmlessly.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::profile::{Profile, Profiles};
use super::read::{NotRead, read};
use crate::digest::Digest;
use crate::finding::{Activity, Finding};
use crate::id::{AlertId, Partition, RunId};
use crate::journal::{Cause, ChainId, Event, FindingFate, FindingRecord, seal};
use crate::playbook::Bundle;
use crate::run::{CannotStart, Handle, Start};
use crate::store::{Alert, Claimed, Disposition, Error, Store};
use crate::trigger::Index;

/// Alerts processed at once.
const AT_ONCE: usize = 32;
/// How often the pipeline looks for alerts nobody announced, ms.
const LOOK_MS: u64 = 1_000;
/// Alerts taken from one partition per look.
const LOOK_MAX: usize = 64;

/// What alerts are matched against.
pub struct Content {
    /// The triggers.
    pub index: Index,
    /// Bundles by playbook id.
    pub bundles: BTreeMap<String, Bundle>,
}

/// The way from alerts to runs.
pub struct Pipeline {
    handle: Handle,
    profiles: Arc<Profiles>,
    content: Arc<Content>,
    working: Mutex<HashSet<AlertId>>,
}

/// An alert that is worked on.
struct Working {
    pipeline: Arc<Pipeline>,
    alert: AlertId,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.pipeline
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.alert);
    }
}

/// Why an alert was not processed to its end. It stays pending and is looked at again.
#[derive(Debug, thiserror::Error)]
pub enum NotProcessed {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] Error),
    /// A run could not be started.
    #[error(transparent)]
    Start(#[from] CannotStart),
    /// Cut off.
    #[error("{0}")]
    Interrupted(String),
}

impl Pipeline {
    /// A pipeline that starts runs with `handle`.
    pub fn new(handle: Handle, profiles: Arc<Profiles>, content: Arc<Content>) -> Pipeline {
        Pipeline {
            handle,
            profiles,
            content,
            working: Mutex::new(HashSet::new()),
        }
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.handle.context().store
    }

    /// Works until `stop` is set, then finishes what is under way.
    pub async fn work(self: Arc<Self>, mut kept: mpsc::Receiver<AlertId>, stop: Arc<AtomicBool>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks: JoinSet<()> = JoinSet::new();
        let mut look = tokio::time::interval(Duration::from_millis(LOOK_MS));
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.load(Ordering::Relaxed) {
            tokio::select! {
                Some(alert) = kept.recv() => self.begin(alert, &places, &mut tasks).await,
                _ = look.tick() => {
                    for partition in Partition::all() {
                        match self.store().unprocessed(partition, LOOK_MAX).await {
                            Ok(alerts) => for alert in alerts { self.begin(alert, &places, &mut tasks).await; },
                            Err(error) => tracing::warn!("looking for alerts failed, will look again: {error}"),
                        }
                    }
                }
                Some(_) = tasks.join_next() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn begin(self: &Arc<Self>, alert: AlertId, places: &Arc<Semaphore>, tasks: &mut JoinSet<()>) {
        if !self
            .working
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(alert)
        {
            return;
        }
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let pipeline = self.clone();
        tasks.spawn(async move {
            // Also when processing panics: the next look tries again.
            let _working = Working { pipeline: pipeline.clone(), alert };
            if let Err(error) = pipeline.process(alert).await {
                tracing::warn!(alert.id = %alert, "the alert stays pending and will be looked at again: {error}");
            }
            drop(place);
        });
    }

    /// Processes one alert, if it is pending.
    pub async fn process(&self, id: AlertId) -> Result<(), NotProcessed> {
        let Some(alert) = self.store().alert(id.partition(), id).await? else {
            return Ok(());
        };
        if alert.row.disposition != Disposition::Pending {
            return Ok(());
        }
        let (event, disposition) = match self.profiles.get(&alert.row.source) {
            None => {
                let why = format!(
                    "its source `{}` is not configured any more; configure it, then `cordon reprocess {id}`",
                    alert.row.source
                );
                (Event::AlertUnreadable { why }, Disposition::Unreadable)
            }
            Some(profile) => self.understand(profile, &alert).await?,
        };
        self.dispose(&alert, event, disposition).await
    }

    async fn understand(
        &self,
        profile: &Profile,
        alert: &Alert,
    ) -> Result<(Event, Disposition), NotProcessed> {
        let evaluators = &self.handle.context().evaluators;
        let findings = read(
            evaluators,
            profile,
            &alert.headers,
            &alert.body,
            alert.row.received_at,
        )
        .await;
        let findings = match findings {
            Ok(findings) => findings,
            Err(NotRead::Unreadable(unreadable)) => {
                let why = unreadable.to_string();
                return Ok((Event::AlertUnreadable { why }, Disposition::Unreadable));
            }
            Err(NotRead::Interrupted(why)) => return Err(NotProcessed::Interrupted(why.to_owned())),
        };
        if findings.is_empty() {
            let what = "a message about the channel, without a finding".to_owned();
            return Ok((Event::AlertControl { what }, Disposition::Control));
        }
        let weak = is_weak(profile);
        let mut records = Vec::with_capacity(findings.len());
        for (place, finding) in findings.iter().enumerate() {
            let fate = self.decide(profile, alert.row.id, place, finding, weak).await?;
            records.push(FindingRecord {
                finding: finding.id,
                title: finding.title.clone(),
                fate,
            });
        }
        Ok((Event::AlertSplit { findings: records }, Disposition::Split))
    }

    /// What becomes of one finding; starts its runs.
    async fn decide(
        &self,
        profile: &Profile,
        alert: AlertId,
        place: usize,
        finding: &Finding,
        weak: bool,
    ) -> Result<FindingFate, NotProcessed> {
        let now = self.handle.context().clock.now();
        let activity = match finding.activity {
            Activity::Create => "create",
            Activity::Update => "update",
            Activity::Close => "close",
        };
        let key = Digest::of_parts(&["finding", &finding.source, &finding.uid, activity]);
        let owner = format!("{alert} {place}");
        let until = now.plus_ms(profile.finding_window_ms);
        let claimed = self
            .store()
            .claim_once(Partition::of(&key), key, &owner, now, until)
            .await?;
        if let Claimed::Lost { times, .. } = claimed {
            return Ok(FindingFate::Duplicate {
                times: times.saturating_add(1),
            });
        }
        crate::crash::point("alert.finding-claimed");
        let mut started = Vec::new();
        let mut suppressed = Vec::new();
        for found in self.content.index.matches(finding) {
            let trigger = found.trigger;
            let run = RunId::derive(&[
                "trigger".to_owned(),
                trigger.playbook.clone(),
                trigger.title.clone(),
                finding.id.to_string(),
                alert.to_string(),
            ]);
            let key = Digest::of_parts(&[
                "trigger".to_owned(),
                trigger.playbook.clone(),
                trigger.title.clone(),
                found.key.digest().to_string(),
            ]);
            let until = now.plus_ms(trigger.window_ms);
            let claimed = self
                .store()
                .claim_once(Partition::of(&key), key, &run.to_string(), now, until)
                .await?;
            if let Claimed::Lost { owner, .. } = claimed {
                suppressed.extend(RunId::parse(&owner));
                continue;
            }
            crate::crash::point("alert.trigger-claimed");
            let Some(bundle) = self.content.bundles.get(&trigger.playbook) else {
                let why = format!("the playbook `{}` of a trigger is gone", trigger.playbook);
                return Err(NotProcessed::Interrupted(why));
            };
            let cause = Cause::Trigger {
                trigger: trigger.title.clone(),
                finding: finding.id,
                alert,
            };
            self.start(bundle, run, cause, finding, weak).await?;
            crate::crash::point("alert.run-started");
            started.push(run);
        }
        Ok(match (started.is_empty(), suppressed.is_empty()) {
            (false, _) => FindingFate::Matched { runs: started },
            (true, false) => FindingFate::Suppressed { runs: suppressed },
            (true, true) => FindingFate::Unmatched,
        })
    }

    async fn start(
        &self,
        bundle: &Bundle,
        run: RunId,
        cause: Cause,
        finding: &Finding,
        weak_source: bool,
    ) -> Result<(), NotProcessed> {
        self.handle.keep_bundle(bundle).await?;
        let start = Start::on_finding(run, cause, finding, weak_source);
        self.handle.start(bundle, start).await?;
        Ok(())
    }

    async fn dispose(
        &self,
        alert: &Alert,
        event: Event,
        disposition: Disposition,
    ) -> Result<(), NotProcessed> {
        crate::crash::point("alert.before-disposing");
        let now = self.handle.context().clock.now();
        let chain = ChainId::Alert(alert.row.id);
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| NotProcessed::Interrupted(error.to_string()))?;
        let entry = seal(chain, &alert.row.last, alert.row.len, now, &event, salt)
            .map_err(|error| NotProcessed::Interrupted(error.to_string()))?;
        let partition = alert.row.id.partition();
        let done = self
            .store()
            .dispose(partition, alert.row.id, alert.row.len, vec![entry], disposition)
            .await;
        match done {
            // Another worker was faster; every hop above was claimed, so both did the same.
            Ok(()) | Err(Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a processed alert pending again, for a mapping or trigger that was mended. Runs it started are
    /// not started again.
    pub async fn reprocess(&self, id: AlertId, principal: &str) -> Result<bool, NotProcessed> {
        let Some(alert) = self.store().alert(id.partition(), id).await? else {
            return Ok(false);
        };
        let event = Event::AlertReopened {
            principal: principal.to_owned(),
        };
        self.dispose(&alert, event, Disposition::Pending).await?;
        self.process(id).await?;
        Ok(true)
    }
}

fn is_weak(profile: &Profile) -> bool {
    use super::signature::Auth;
    !matches!(profile.auth, Auth::StandardWebhooks { .. } | Auth::Hmac(_))
}
