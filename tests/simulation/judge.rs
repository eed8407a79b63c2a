//! What has to be true when everything is at rest: the invariants of `docs/operate/reliability.md`, over journals, rows,
//! locks, holds and the estate's ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use cordon::action::{Class, Done, Outcome, Verification};
use cordon::clock::{Clock as _, Time};
use cordon::digest::Digest;
use cordon::id::{EffectId, Partition, RunId};
use cordon::journal::{ChainId, EffectState, End, Event, RunState, Stage};
use cordon::run::Context;
use cordon::store::memory::MemoryStore;
use cordon::store::{Feed as _, RunQuery, RunStatus, Runs as _, Targets as _};

use crate::estate::{Estate, Line, What};
use crate::time::Sim;

/// What was found.
pub struct Verdict {
    pub violations: Vec<String>,
    pub digest: Digest,
    pub sent: usize,
    pub applied: usize,
    pub votes: usize,
}

struct Court<'a> {
    estate: &'a Estate,
    ledger: Vec<Line>,
    states: BTreeMap<RunId, RunState>,
    found: Vec<String>,
    votes: usize,
}

pub async fn judge(
    sim: &Sim,
    store: &MemoryStore,
    estate: &Estate,
    context: &Arc<Context>,
    started: &[RunId],
) -> Verdict {
    let mut court = Court {
        estate,
        ledger: estate.ledger(),
        states: BTreeMap::new(),
        found: Vec::new(),
        votes: 0,
    };
    let mut texts = Vec::new();
    for partition in Partition::all() {
        let query = RunQuery {
            limit: 10_000,
            ..RunQuery::default()
        };
        for row in store.runs(partition, &query).await.unwrap() {
            let entries = store.journal(partition, ChainId::Run(row.id), 0).await.unwrap();
            texts.push(row.id.to_string());
            let events: Vec<(Time, Event)> = entries.iter().map(|entry| entry.event().unwrap()).collect();
            texts.extend(events.iter().map(|event| format!("{event:?}")));
            court.epochs(row.id, &events);
            court.decisions(row.id, &events);
            match RunState::fold(&entries) {
                Ok(state) => {
                    court.states.insert(row.id, state);
                }
                Err(error) => court
                    .found
                    .push(format!("I5: {} cannot be folded: {error}", row.id)),
            }
            // Open is fine only where a person is waited for by name.
            if row.status == RunStatus::Open
                && !row.waits_for.contains("person")
                && !row.waits_for.contains("cordon resolve")
            {
                court.found.push(format!(
                    "I6: {} is open and waits for `{}` until {:?}",
                    row.id, row.waits_for, row.wake_at
                ));
            }
            if row.status == RunStatus::Parked {
                court
                    .found
                    .push(format!("I6: {} is parked: {}", row.id, row.waits_for));
            }
        }
        for lock in store.locks(partition).await.unwrap() {
            court.found.push(format!(
                "lock left: {} by {} of {}",
                lock.target, lock.effect, lock.run
            ));
        }
        let stuck = store.counts(partition, sim.now()).await.unwrap().stuck;
        if stuck > 0 {
            court.found.push(format!(
                "I6: {stuck} run(s) of {partition} that nothing will wake"
            ));
        }
    }
    for run in started {
        if !court.states.contains_key(run) {
            court
                .found
                .push(format!("I1: {run} was accepted and is not there"));
        }
    }
    let mut holders: Vec<(String, EffectId, RunId)> = Vec::new();
    let mut endless = Vec::new();
    for partition in Partition::all() {
        for hold in store.holds(partition).await.unwrap() {
            for holder in &hold.holders {
                holders.push((
                    format!("{}/{}", hold.target.id, hold.facet),
                    holder.effect,
                    holder.run,
                ));
                if holder.until.is_none() && !holder.ending {
                    endless.push(holder.effect);
                }
                if holder.until.is_some_and(|until| until <= sim.now()) {
                    court.found.push(format!(
                        "I7: the lease of {} is over and nobody ends it",
                        holder.effect
                    ));
                }
            }
        }
    }
    court.holds(&holders);
    court.leases(&endless);
    court.effects(context, &holders);
    court.repeats();
    texts.extend(court.ledger.iter().map(|line| format!("{line:?}")));
    let count = |what: What| court.ledger.iter().filter(|line| line.what == what).count();
    Verdict {
        digest: Digest::of_parts(&texts),
        sent: count(What::Sent),
        applied: count(What::Applied),
        votes: court.votes,
        violations: court.found,
    }
}

impl Court<'_> {
    /// Claims only grow.
    fn epochs(&mut self, run: RunId, events: &[(Time, Event)]) {
        let mut last = 0;
        for (_, event) in events {
            let epoch = match event {
                Event::RunClaimed { epoch, .. } => *epoch,
                Event::EffectIntended(intent) => intent.epoch,
                _ => continue,
            };
            if epoch < last {
                self.found.push(format!(
                    "I5: {run} has an entry of epoch {epoch} after one of {last}"
                ));
            }
            last = last.max(epoch);
        }
    }

    /// Each request ends once, and as the votes that were counted say: only of those who may, in time, each once.
    fn decisions(&mut self, run: RunId, events: &[(Time, Event)]) {
        for (_, event) in events {
            let Event::ApprovalRequested { request, .. } = event else {
                continue;
            };
            let id = request.approval;
            let mut said: Vec<(&str, bool)> = Vec::new();
            let mut decided = Vec::new();
            for (_, event) in events {
                match event {
                    Event::ApprovalVoted { approval, vote } if *approval == id => {
                        self.votes += 1;
                        let who = vote.principal.as_str();
                        let may = request.may_decide.iter().any(|name| name == who)
                            && who != "zoe"
                            && who != "cordon";
                        if !may || vote.at >= request.until || vote.digest != request.digest {
                            self.found
                                .push(format!("T19: {run} counted a vote of {who} that does not count"));
                        }
                        if said.contains(&(who, vote.approve)) || !decided.is_empty() {
                            self.found
                                .push(format!("T19: {run} counted {who} twice, or after the decision"));
                        }
                        said.push((who, vote.approve));
                    }
                    Event::ApprovalDecided {
                        approval,
                        decided: one,
                    } if *approval == id => decided.push(one),
                    _ => {}
                }
            }
            let no = said.iter().any(|(_, approve)| !approve);
            let yes = said.iter().filter(|(_, approve)| *approve).count() >= request.quorum;
            match decided.as_slice() {
                [one] if one.granted == (yes && !no) => {}
                [one] => self
                    .found
                    .push(format!("T19: {run} decided {one:?} after {said:?}")),
                all => self
                    .found
                    .push(format!("T19: {id} of {run} was decided {} times", all.len())),
            }
        }
    }

    fn effect(&self, id: EffectId) -> Option<&EffectState> {
        self.states.values().find_map(|state| state.effects.get(&id))
    }

    /// Who holds did it, or may have.
    fn holds(&mut self, holders: &[(String, EffectId, RunId)]) {
        for (place, effect, run) in holders {
            let stage = self.effect(*effect).map(EffectState::stage);
            if !matches!(
                stage,
                Some(Stage::Done | Stage::InDoubt | Stage::Unknown | Stage::Intended(_))
            ) {
                self.found.push(format!(
                    "orphaned hold: {place} by {effect} of {run}, which is {stage:?}"
                ));
            }
        }
    }

    /// A hold without an end is one that was asked for without one.
    fn leases(&mut self, endless: &[EffectId]) {
        for id in endless {
            let leased = self
                .effect(*id)
                .and_then(|effect| effect.lease_end().filter(|_| effect.is_settled()));
            if let Some(end) = leased {
                self.found.push(format!(
                    "orphaned hold: the lease of {id} ends {end}, and its hold does not know"
                ));
            }
        }
    }

    /// What the journal says of each effect, against what was done.
    fn effects(&mut self, context: &Context, holders: &[(String, EffectId, RunId)]) {
        let mut found = Vec::new();
        let mut excused = Vec::new();
        for (run, state) in &self.states {
            let end = state.settled.as_ref().map(|(_, end, _)| *end);
            for (id, effect) in &state.effects {
                if !effect.bound.spec.changes() {
                    continue;
                }
                let key = context.idempotency_key(*id);
                let lines = |what: What| {
                    self.ledger
                        .iter()
                        .filter(|line| line.what == what && line.key == key)
                        .count()
                };
                let (applied, lied) = (lines(What::Applied), lines(What::Lied));
                let verb = effect.bound.spec.name.verb();
                let place = effect.target.as_ref().map(|target| {
                    format!(
                        "{}/{}",
                        target.id,
                        effect.bound.spec.facet.as_deref().unwrap_or_default()
                    )
                });
                match effect.stage() {
                    Stage::Done => {
                        let acted =
                            matches!(effect.done(), Some((_, Outcome::Done { how: Done::Acted, .. })));
                        if acted && applied + lied == 0 {
                            found.push(format!(
                                "I4: {run} says that `{verb}` {id} acted, and nothing was done"
                            ));
                        }
                        let word = effect.verification.map(|(_, word)| word);
                        if acted
                            && applied == 0
                            && word == Some(Verification::Yes)
                            && effect.bound.spec.class != Class::Set
                        {
                            found.push(format!(
                                "I4: {run} saw `{verb}` {id} in force, and nothing was done"
                            ));
                        }
                        if word.is_none() && end == Some(End::Succeeded) && effect.has_to_be_seen() {
                            found.push(format!("I4: {run} succeeded and never read `{verb}` {id} back"));
                        }
                    }
                    Stage::InDoubt => excused.extend(place),
                    Stage::NotDone(fault) => {
                        // Whoever changes a target by hand while an answer is lost hides that it was done.
                        let hidden = place
                            .as_ref()
                            .is_some_and(|place| self.estate.was_changed_by_hand(place));
                        if applied > 0 && !hidden {
                            found.push(format!(
                                "I4: {run} says that `{verb}` {id} did not happen ({fault}), and it was done"
                            ));
                        }
                    }
                    other => found.push(format!("I6: {run} is at rest with `{verb}` {id} {other:?}")),
                }
            }
        }
        // Whatever we contained and did not restore is held, so that it is listed and can be ended.
        // So it is where a vendor took our restore and did not do it.
        for (place, state) in self.estate.contained() {
            let is_held = holders.iter().any(|(held, _, _)| *held == place);
            if !is_held && !excused.contains(&place) && !self.estate.was_changed_by_hand(&place) {
                found.push(format!("I7: {place} is `{state}` and nobody holds it"));
            }
        }
        self.found.extend(found);
    }

    /// Nothing is sent again while it stands.
    fn repeats(&mut self) {
        let mut by_key: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
        for line in &self.ledger {
            by_key.entry((&line.key, &line.verb)).or_default().push(line);
        }
        let mut found = Vec::new();
        for ((key, verb), lines) in by_key {
            let applied: Vec<&&Line> = lines.iter().filter(|line| line.what == What::Applied).collect();
            let once = matches!(verb, "message" | "mail" | "revoke");
            if once && applied.len() > 1 {
                found.push(format!("I3: `{verb}` {key} was done {} times", applied.len()));
            }
            if once {
                continue;
            }
            // A state is set again only when something else was seen there since.
            for sent in lines.iter().filter(|line| line.what == What::Sent) {
                let before = applied.iter().rfind(|line| line.at < sent.at);
                let facet = if matches!(verb, "contain" | "lift") {
                    "network"
                } else {
                    "login"
                };
                let place = format!("{}/{facet}", sent.target);
                if let Some(before) = before
                    && self.estate.state_at(&place, sent.at) == self.estate.state_at(&place, before.at)
                    && !self.estate.was_changed_by_hand(&place)
                {
                    found.push(format!(
                        "I3: `{verb}` {key} on {} was done at {} and sent again at {}",
                        sent.target, before.at, sent.at
                    ));
                }
            }
        }
        self.found.extend(found);
    }
}
