//! How the rest of the program speaks to a run for a person: cancel it, take it up again where it is parked, or say
//! whether an effect in doubt happened. The word is kept beside the journal and the run woken; the run's worker writes
//! down what it came to, and only that counts.

use super::handle::{CannotStart, Handle};
use super::signals::{self, RESOLVE, Word};
use crate::id::{EffectId, Partition, RunId};
use crate::journal::{ChainId, Event, RunState};
use crate::limits::{EFFECT_SEARCH_RUNS_MAX, SIGNAL_HEARD_MS};
use crate::store::{Error, RunQuery, RunRow, RunStatus, Signal, Signalled};

/// How often the journal is looked at for a word to be heard, ms.
const LOOK_MS: u64 = 25;
/// How long a run that was taken up again is watched for whether it is parked again, ms.
const RETRY_LOOK_MS: u64 = 1_000;

/// Why a word for a run does not count.
#[derive(Debug, thiserror::Error)]
pub enum NotHeard {
    /// The store says no.
    #[error(transparent)]
    Store(#[from] Error),
    /// There is no such run or effect.
    #[error("{0}")]
    Unknown(String),
    /// It does not count, for this reason.
    #[error("{0}")]
    Refused(String),
    /// A defect.
    #[error("{0}")]
    Defect(String),
}

impl From<CannotStart> for NotHeard {
    fn from(error: CannotStart) -> NotHeard {
        match error {
            CannotStart::Store(error) => NotHeard::Store(error),
            CannotStart::Nothing(why) => NotHeard::Unknown(why),
            other => NotHeard::Defect(other.to_string()),
        }
    }
}

/// What became of a word that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The run has written it down.
    Counted,
    /// It is kept, and the run's worker has not come to it yet.
    Kept,
}

/// A parked run that a person had taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// Whether its worker has heard it.
    pub heard: Heard,
    /// Why it was parked.
    pub was: String,
    /// Why it is parked again; `None` while it goes on.
    pub again: Option<String>,
}

impl Handle {
    /// Has a parked run taken up again: as soon as its worker has heard it, every check is made that parked it, and where
    /// the cause is still there it is parked again. Answers once that is known, or after a while.
    ///
    /// # Errors
    /// There is no such run, or it is not parked.
    pub async fn retry(&self, run: RunId, principal: &str, reason: &str) -> Result<Retried, NotHeard> {
        let row = self.row(run).await?;
        let unread = match self.state(run).await {
            Ok(_) => false,
            Err(CannotStart::Defect(_)) => true,
            Err(error) => return Err(error.into()),
        };
        let word = Word::Retry {
            reason: reason.to_owned(),
            unread,
        };
        let id = self.speak(run, &word, principal).await?;
        let is_parked = |now: &RunRow| now.status == RunStatus::Parked && now.epoch > row.epoch;
        let mut waited_ms = 0;
        let mut heard = Heard::Kept;
        let again = loop {
            let now = self.row(run).await?;
            if is_parked(&now) {
                heard = Heard::Counted;
                break Some(now.waits_for);
            }
            match self.heard(run, &id).await {
                Ok(Some(Ok(()))) => heard = Heard::Counted,
                Ok(Some(Err(why))) => return Err(NotHeard::Refused(why)),
                // A journal that cannot be read says nothing; its row does.
                Ok(None) | Err(NotHeard::Defect(_)) => {}
                Err(error) => return Err(error),
            }
            let goes_on = heard == Heard::Counted && now.epoch > row.epoch.saturating_add(1);
            let is_long = waited_ms >= SIGNAL_HEARD_MS;
            if now.status == RunStatus::Settled || is_long || (goes_on && waited_ms >= RETRY_LOOK_MS) {
                break None;
            }
            self.context().pause_ms(LOOK_MS).await;
            waited_ms += LOOK_MS;
        };
        Ok(Retried {
            heard,
            was: row.waits_for,
            again,
        })
    }

    async fn row(&self, run: RunId) -> Result<RunRow, NotHeard> {
        let row = self.context().store.run(run.partition(), run).await?;
        row.ok_or_else(|| NotHeard::Unknown(format!("there is no {run}")))
    }

    /// Whether a run may be taken up again, as its row stands; answers the number of its claims. Its journal may be
    /// what cannot be read.
    async fn may_retry(&self, run: RunId) -> Result<u64, NotHeard> {
        let row = self.row(run).await?;
        match row.status {
            RunStatus::Parked => Ok(row.epoch),
            RunStatus::Open => Err(NotHeard::Refused(format!(
                "{run} is not parked{}",
                match row.waits_for.as_str() {
                    "" => ", it is worked on".to_owned(),
                    what => format!(", it waits for {what}"),
                }
            ))),
            RunStatus::Settled => Err(NotHeard::Refused(format!("{run} is over"))),
        }
    }

    /// Ends a run. Effects under way are finished first; with `undo`, what it did is then undone in reverse. Answers
    /// once the run has written it down, or after a while that it is kept.
    ///
    /// # Errors
    /// There is no such run, it is over, or it was cancelled before.
    pub async fn cancel(
        &self,
        run: RunId,
        undo: bool,
        principal: &str,
        reason: &str,
    ) -> Result<Heard, NotHeard> {
        let word = Word::Cancel {
            undo,
            reason: reason.to_owned(),
        };
        let id = self.speak(run, &word, principal).await?;
        self.until_heard(run, &id).await
    }

    /// Says whether an effect in doubt happened. Afterwards it is done, or not done, and its run goes on. Answers as
    /// [`Handle::cancel`] does.
    ///
    /// # Errors
    /// There is no such effect, it is not in doubt, or somebody has said before.
    pub async fn resolve(
        &self,
        run: RunId,
        effect: EffectId,
        happened: bool,
        principal: &str,
        reason: &str,
    ) -> Result<Heard, NotHeard> {
        let word = Word::Resolve {
            effect,
            happened,
            reason: reason.to_owned(),
        };
        let id = self.speak(run, &word, principal).await?;
        self.until_heard(run, &id).await
    }

    /// Keeps a word for a run, if it can count as the run stands, and wakes the run; answers the signal's id. Afterwards
    /// the word survives any crash.
    ///
    /// # Errors
    /// There is no such run or effect, or the word cannot count.
    pub async fn speak(&self, run: RunId, word: &Word, principal: &str) -> Result<String, NotHeard> {
        let epoch = match word {
            Word::Retry { .. } => self.may_retry(run).await?,
            Word::Cancel { .. } | Word::Resolve { .. } => 0,
        };
        let id = word.id(principal, epoch);
        self.may(run, word, &id).await?;
        let context = self.context();
        let signal = Signal {
            id: id.clone(),
            run,
            at: context.clock.now(),
            principal: principal.to_owned(),
            content: serde_json::to_value(word).map_err(|error| NotHeard::Defect(error.to_string()))?,
        };
        crate::crash::point("signals.before-put");
        let put = context.store.put_signal(run.partition(), signal).await?;
        crate::crash::point("signals.after-put");
        match put {
            Signalled::Over => Err(NotHeard::Refused(over(run))),
            Signalled::New | Signalled::Already => {
                self.kick(run);
                Ok(id)
            }
        }
    }

    /// Whether a word can count as the run stands. A repeat of what was heard is answered with what became of it.
    async fn may(&self, run: RunId, word: &Word, id: &str) -> Result<(), NotHeard> {
        let check = match word {
            Word::Retry { .. } => return Ok(()),
            Word::Cancel { undo, .. } => {
                let state = self.state(run).await?;
                (!state.heard.contains(id)).then(|| signals::cancellable(&state, *undo))
            }
            Word::Resolve { effect, .. } => {
                let state = self.state(run).await?;
                (!state.heard.contains(id)).then(|| signals::may_resolve(&state, *effect))
            }
        };
        check.unwrap_or(Ok(())).map_err(NotHeard::Refused)
    }

    /// Waits a while until a signal was heard.
    async fn until_heard(&self, run: RunId, id: &str) -> Result<Heard, NotHeard> {
        let mut waited_ms = 0;
        loop {
            match self.heard(run, id).await? {
                Some(Ok(())) => return Ok(Heard::Counted),
                Some(Err(why)) => return Err(NotHeard::Refused(why)),
                None if waited_ms >= SIGNAL_HEARD_MS => return Ok(Heard::Kept),
                None => {
                    self.context().pause_ms(LOOK_MS).await;
                    waited_ms += LOOK_MS;
                }
            }
        }
    }

    /// What became of a signal; `None` while the run's worker has not heard it. A run that ended without hearing it was
    /// over before.
    async fn heard(&self, run: RunId, id: &str) -> Result<Option<Result<(), String>>, NotHeard> {
        let entries = self
            .context()
            .store
            .journal(run.partition(), ChainId::Run(run), 0)
            .await?;
        for entry in entries.iter().rev() {
            let kind = entry.kind.as_str();
            if !matches!(
                kind,
                "run_cancelled" | "run_retried" | "effect_resolved_by" | "signal_refused" | "run_settled"
            ) {
                continue;
            }
            let (_, event) = entry
                .event()
                .map_err(|error| NotHeard::Defect(error.to_string()))?;
            match event {
                Event::RunCancelled { signal, .. }
                | Event::RunRetried { signal, .. }
                | Event::EffectResolvedBy { signal, .. }
                    if signal == id =>
                {
                    return Ok(Some(Ok(())));
                }
                Event::SignalRefused { signal, why, .. } if signal == id => return Ok(Some(Err(why))),
                _ => {}
            }
        }
        let over = entries.iter().any(|entry| entry.kind == "run_settled");
        Ok(over.then(|| Err(self::over(run))))
    }

    /// Which run an effect belongs to: of the runs that wait for a person to resolve a doubt, of what is held, and of
    /// the newest runs.
    ///
    /// # Errors
    /// The store says no.
    pub async fn run_of_effect(&self, effect: EffectId) -> Result<Option<RunId>, Error> {
        let store = &self.context().store;
        for status in [RunStatus::Open, RunStatus::Parked] {
            for partition in Partition::all() {
                let query = RunQuery {
                    status: Some(status),
                    limit: usize::MAX,
                    ..RunQuery::default()
                };
                for row in store.runs(partition, &query).await? {
                    if row.waits_for.contains(RESOLVE) && self.has(row.id, effect).await? {
                        return Ok(Some(row.id));
                    }
                }
            }
        }
        if let Some(run) = self.run_of_held(effect).await? {
            return Ok(Some(run));
        }
        for partition in Partition::all() {
            let query = RunQuery {
                limit: EFFECT_SEARCH_RUNS_MAX,
                ..RunQuery::default()
            };
            for row in store.runs(partition, &query).await? {
                if self.has(row.id, effect).await? {
                    return Ok(Some(row.id));
                }
            }
        }
        Ok(None)
    }

    async fn has(&self, run: RunId, effect: EffectId) -> Result<bool, Error> {
        let entries = self
            .context()
            .store
            .journal(run.partition(), ChainId::Run(run), 0)
            .await?;
        // A journal that cannot be read is shown as such elsewhere; nothing can be said about its effects.
        Ok(RunState::fold(&entries).is_ok_and(|state| state.effects.contains_key(&effect)))
    }
}

/// What whoever spoke too late is told.
fn over(run: RunId) -> String {
    format!("{run} came to its end before it heard this: to take back what it did use `cordon undo {run}`")
}
