//! From a kept alert to runs, each exactly once: read, dedup, match, start, and write down what became of it.
//! Every hop is claimed under an id that follows from its cause, so a crash anywhere repeats harmlessly.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::content::Content;
use super::lookup::{LookUps, Offline};
use super::profile::{Profile, Profiles};
use super::read::{Delivery, NotRead, Reading, read_with};
use super::signature::Auth;
use super::sns::{self, Handshake, NotConfirmed};
use crate::clock::Time;
use crate::connector::Fetcher;
use crate::digest::Digest;
use crate::finding::{Activity, Finding};
use crate::id::{AlertId, Partition, RunId};
use crate::journal::{Cause, ChainId, Event, FindingFate, FindingRecord, seal};
use crate::limits::{LOOKUP_PAUSE_MS, LOOKUP_PAUSE_MS_MAX, LOOKUP_WAIT_MS};
use crate::playbook::Bundle;
use crate::run::{CannotStart, Handle, Start};
use crate::store::{Alert, Claimed, Disposition, Error, Store};

/// Alerts processed at once.
const AT_ONCE: usize = 32;
/// How often the pipeline looks for alerts nobody announced, ms.
const LOOK_MS: u64 = 1_000;
/// Alerts taken from one partition per look.
const LOOK_MAX: usize = 64;

/// The way from alerts to runs.
pub struct Pipeline {
    handle: Handle,
    profiles: Arc<Profiles>,
    content: Arc<Content>,
    working: Mutex<HashSet<AlertId>>,
    look_ups: Arc<dyn LookUps>,
    fetcher: Option<Arc<Fetcher>>,
    waiting: Mutex<HashMap<AlertId, Waiting>>,
}

/// An alert that waits for somebody else. Forgotten with the process: then it is tried at once.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    tries: u32,
    until: Time,
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
    /// Somebody who has to be asked does not answer now.
    #[error("{why}")]
    Later {
        /// Why, for people.
        why: String,
        /// When to try again at the earliest, ms.
        after_ms: u64,
    },
}

/// An alert whose task panicked is pending still, and is worked on again.
fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("the work on an alert ended in a way it never should: {error}");
    }
}

impl Pipeline {
    /// A pipeline that starts runs with `handle`.
    pub fn new(handle: Handle, profiles: Arc<Profiles>, content: Arc<Content>) -> Pipeline {
        Pipeline {
            handle,
            profiles,
            content,
            working: Mutex::new(HashSet::new()),
            look_ups: Arc::new(Offline::default()),
            fetcher: None,
            waiting: Mutex::default(),
        }
    }

    /// The same with somebody who answers look-ups of sources, and with a way to answer SNS.
    pub fn asking(mut self, look_ups: Arc<dyn LookUps>, fetcher: Arc<Fetcher>) -> Pipeline {
        self.look_ups = look_ups;
        self.fetcher = Some(fetcher);
        self
    }

    /// The same with somebody who answers look-ups of sources.
    pub fn looking_up(mut self, look_ups: Arc<dyn LookUps>) -> Pipeline {
        self.look_ups = look_ups;
        self
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
            // Each that ended keeps its memory until somebody has looked at it.
            while let Some(ended) = tasks.try_join_next() {
                tell(ended);
            }
            tokio::select! {
                Some(alert) = kept.recv() => self.begin(alert, &places, &mut tasks).await,
                _ = look.tick() => {
                    // Those that wait for others must not hide those behind them.
                    let limit = LOOK_MAX.saturating_add(self.waiting().len());
                    // All at once, so that a store that is far away is asked in one go.
                    let asked = Partition::all().map(|partition| self.store().unprocessed(partition, limit));
                    for found in futures_util::future::join_all(asked).await {
                        match found {
                            Ok(alerts) => for alert in alerts { self.begin(alert, &places, &mut tasks).await; },
                            Err(error) => tracing::warn!("looking for alerts failed, will look again: {error}"),
                        }
                    }
                }
                Some(ended) = tasks.join_next() => tell(ended),
            }
        }
        while let Some(ended) = tasks.join_next().await {
            tell(ended);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<AlertId, Waiting>> {
        // Held for a look or an insertion, which leave the map whole even if they panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an alert off: as long as it was told to, and longer each time.
    fn put_off(&self, alert: AlertId, after_ms: u64) {
        let now = self.handle.context().clock.now();
        let mut waiting = self.waiting();
        let tries = waiting.get(&alert).map_or(0, |known| known.tries);
        let pause = LOOKUP_PAUSE_MS
            .saturating_mul(1 << tries.min(16))
            .min(LOOKUP_PAUSE_MS_MAX);
        let until = now.plus_ms(pause.max(after_ms));
        waiting.insert(
            alert,
            Waiting {
                tries: tries.saturating_add(1),
                until,
            },
        );
    }

    async fn begin(self: &Arc<Self>, alert: AlertId, places: &Arc<Semaphore>, tasks: &mut JoinSet<()>) {
        let now = self.handle.context().clock.now();
        if self
            .waiting()
            .get(&alert)
            .is_some_and(|waiting| now < waiting.until)
        {
            return;
        }
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
            match pipeline.process(alert).await {
                Ok(()) => {
                    pipeline.waiting().remove(&alert);
                }
                Err(error) => {
                    if let NotProcessed::Later { after_ms, .. } = &error {
                        pipeline.put_off(alert, *after_ms);
                    }
                    tracing::warn!(alert.id = %alert, "the alert stays pending and will be looked at again: {error}");
                }
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
            Some(profile) => {
                let content = self.content.now();
                self.understand(&content.fresh(profile), &alert).await?
            }
        };
        self.dispose(&alert, event, disposition).await
    }

    async fn understand(
        &self,
        profile: &Profile,
        alert: &Alert,
    ) -> Result<(Event, Disposition), NotProcessed> {
        if let Some(over) = self.shake_hands(profile, alert).await? {
            return Ok(over);
        }
        let reading = match self.read(profile, alert).await {
            Ok(reading) => reading,
            Err(NotRead::Later { why, after_ms }) => return Err(NotProcessed::Later { why, after_ms }),
            Err(NotRead::Unreadable(unreadable)) => {
                let why = unreadable.to_string();
                return Ok((Event::AlertUnreadable { why }, Disposition::Unreadable));
            }
            Err(NotRead::Interrupted(why)) => return Err(NotProcessed::Interrupted(why.to_owned())),
        };
        for why in &reading.unanswered {
            tracing::warn!(alert.id = %alert.row.id, "the alert is read without a look-up: {why}");
        }
        let findings = reading.findings;
        if findings.is_empty() {
            let what = if reading.control.is_empty() {
                "a message about the channel, without a finding".to_owned()
            } else {
                reading.control.join("; ")
            };
            return Ok((Event::AlertControl { what }, Disposition::Control));
        }
        let weak = profile.auth.is_weak();
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

    /// What an alert holds, with what its source looks up. Nothing is matched, and nothing written but secrets.
    ///
    /// # Errors
    /// Why it cannot be read, or not yet.
    pub async fn read(&self, profile: &Profile, alert: &Alert) -> Result<Reading, NotRead> {
        let evaluators = &self.handle.context().evaluators;
        let delivery = Delivery {
            id: &alert.row.id.to_string(),
            headers: &alert.headers,
            body: &alert.body,
            received: alert.row.received_at,
            now: self.handle.context().clock.now(),
        };
        read_with(evaluators, &*self.look_ups, profile, &delivery).await
    }

    /// Answers a message that asks whether we want a topic's messages. It waits as a look-up does.
    async fn shake_hands(
        &self,
        profile: &Profile,
        alert: &Alert,
    ) -> Result<Option<(Event, Disposition)>, NotProcessed> {
        let Auth::Sns(subscription) = &profile.auth else {
            return Ok(None);
        };
        let now = self.handle.context().clock.now();
        match sns::handshake(subscription, self.fetcher.as_deref(), &alert.body).await {
            Ok(Handshake::No) => Ok(None),
            Ok(Handshake::Over(what)) => Ok(Some((Event::AlertControl { what }, Disposition::Control))),
            Err(NotConfirmed::Later(why)) if now.since_ms(alert.row.received_at) < LOOKUP_WAIT_MS => {
                Err(NotProcessed::Later {
                    why,
                    after_ms: LOOKUP_PAUSE_MS,
                })
            }
            Err(NotConfirmed::Later(why) | NotConfirmed::Never(why)) => {
                Ok(Some((Event::AlertUnreadable { why }, Disposition::Unreadable)))
            }
        }
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
        let content = self.content.now();
        for found in content.index.matches(finding) {
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
            let Some(bundle) = content.bundles.get(&trigger.playbook) else {
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
