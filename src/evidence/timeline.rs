//! A run, told to the person who was woken by it: who started it, what it did to whom in which order, what was
//! seen afterwards, and loudly what somebody has to look at. Leaves out nothing but request bodies, which the
//! journal does not have either.

use std::collections::HashMap;

use serde_json::Value;

use super::approval::{asked, asked_more, decision, voted};
use super::page::{Page, Tone, clean};
use super::words::{
    args_text, cause_text, fault_text, fields, how_text, json_text, path, place, plain_text, receipt,
    retry_text, since, tone_of,
};
use crate::action::{Done, Outcome, Reading, Request, Verification};
use crate::approval::Request as Question;
use crate::clock::{Time, duration_text};
use crate::guardrail::Decision;
use crate::id::EffectId;
use crate::journal::{Answered, Bound, End, Event, Header, Intent};
use crate::script::StepId;
use crate::store::{RunRow, RunStatus};

/// Digits of an idempotency key that are shown: enough to find it in the vendor's log.
const KEY_CHARS: usize = 8;

/// The run in `width` columns. `events` are the run's journal, in order, with the moment of each.
pub fn render(row: &RunRow, events: &[(Time, Event)], colours: bool, width: usize) -> String {
    let mut teller = Teller {
        page: Page::new(colours, width),
        began: events.first().map_or(row.started_at, |(at, _)| *at),
        effects: HashMap::new(),
        places: HashMap::new(),
    };
    teller.heading(row, events);
    for (at, event) in events {
        teller.tell(*at, event);
    }
    teller.waiting(row);
    teller.page.finish()
}

/// The run in one line, for lists: id, how it stands, playbook, subject, and what it waits for.
pub fn one_line(row: &RunRow) -> String {
    let stands = row.end.map_or(row.status.word(), End::word);
    let waits = match (row.status, row.waits_for.as_str()) {
        (RunStatus::Settled, _) | (_, "") => String::new(),
        (_, what) => format!("  (waits for {what})"),
    };
    clean(&format!(
        "{}  {stands:<11}  {}  {}  {}{waits}",
        row.id, row.started_at, row.playbook, row.subject
    ))
}

/// How an effect stands to being undone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undoing {
    /// It changes nothing.
    Read,
    /// It is an undo.
    Reverts,
    /// Its manifest has an undo.
    Reversible,
    /// It cannot be taken back.
    Irreversible,
}

impl Undoing {
    fn of(bound: &Bound) -> Undoing {
        match (&bound.reverts, &bound.spec.undo) {
            _ if !bound.spec.changes() => Undoing::Read,
            (Some(_), _) => Undoing::Reverts,
            (None, Some(_)) => Undoing::Reversible,
            (None, None) => Undoing::Irreversible,
        }
    }
}

struct Teller {
    page: Page,
    began: Time,
    /// Number of each effect, in the order they were bound, and what can be said of its undo.
    effects: HashMap<EffectId, (usize, Undoing)>,
    /// Name and place of each ask.
    places: HashMap<StepId, (String, String)>,
}

impl Teller {
    fn heading(&mut self, row: &RunRow, events: &[(Time, Event)]) {
        let header = events.iter().find_map(|(_, event)| match event {
            Event::RunStarted(header) => Some(header.as_ref()),
            _ => None,
        });
        let settled = events.iter().rev().find_map(|(at, event)| match event {
            Event::RunSettled { end, why } => Some((*at, *end, why.as_str())),
            _ => None,
        });
        self.page
            .line("", &format!("{}  {}", row.title, row.id), Tone::Strong);
        let kind = header
            .map(|header| format!(", bundle {}", header.bundle.short()))
            .unwrap_or_default();
        self.fact("playbook", &format!("{}{kind}", row.playbook), Tone::Plain);
        self.fact(
            "about",
            &format!("{}, severity {}", row.subject, row.severity_id.word()),
            Tone::Plain,
        );
        let cause = header.map_or_else(|| row.cause.clone(), |header| cause_text(&header.cause));
        self.fact("because", &cause, Tone::Plain);
        if header.is_some_and(|header| header.weak_source) {
            self.fact(
                "",
                "the alert's source proves itself by a fixed value or nothing",
                Tone::Careful,
            );
        }
        self.fact("began", &self.began.to_string(), Tone::Plain);
        match settled {
            Some((at, end, why)) => {
                let took = duration_text(at.since_ms(self.began));
                self.fact(
                    "ended",
                    &format!("{} after {took}: {why}", end.word()),
                    tone_of(end),
                );
            }
            None if row.status == RunStatus::Parked => self.fact("stands", "PARKED", Tone::Loud),
            None => self.fact("stands", row.status.word(), Tone::Careful),
        }
        self.page.gap();
    }

    fn fact(&mut self, name: &str, text: &str, tone: Tone) {
        self.page.line(&format!("  {name:<9} "), text, tone);
    }

    fn waiting(&mut self, row: &RunRow) {
        if row.status != RunStatus::Settled && !row.waits_for.is_empty() {
            let until = row
                .wake_at
                .map(|at| format!(", looked at again {at}"))
                .unwrap_or_default();
            self.page.gap();
            self.fact("waits for", &format!("{}{until}", row.waits_for), Tone::Careful);
        }
    }

    /// One entry of the timeline.
    fn entry(&mut self, at: Time, word: &str, text: &str, tone: Tone) {
        let mark = if tone == Tone::Loud { "!!" } else { "  " };
        let since = since(at.since_ms(self.began));
        self.page
            .line(&format!("{mark}{since:>9}  {word:<9} "), text, tone);
    }

    /// One entry about an effect, with its number, so that branches can be told apart.
    fn of_effect(&mut self, at: Time, effect: EffectId, word: &str, text: &str, tone: Tone) {
        let number = self.effects.get(&effect).map_or(0, |(number, _)| *number);
        self.entry(at, word, &format!("#{number} {text}"), tone);
    }

    fn undoing(&self, effect: EffectId) -> Undoing {
        self.effects
            .get(&effect)
            .map_or(Undoing::Irreversible, |(_, undoing)| *undoing)
    }

    fn requests(&mut self, requests: &[Request]) {
        for request in requests {
            let answer = match (request.status, request.error.as_deref()) {
                (Some(status), None) => status.to_string(),
                (Some(status), Some(error)) => format!("{status}, {error}"),
                (None, Some(error)) => format!("no answer: {error}"),
                (None, None) => "no answer".to_owned(),
            };
            let peer = request
                .peer
                .as_deref()
                .map(|peer| format!(" {peer}"))
                .unwrap_or_default();
            let text = format!(
                "{} {}{peer} -> {answer} in {}",
                request.method,
                path(&request.url),
                duration_text(request.duration_ms)
            );
            let tone = if request.status.is_some_and(|status| status < 400) {
                Tone::Dim
            } else {
                Tone::Careful
            };
            self.page.line(&" ".repeat(26), &text, tone);
        }
    }

    fn tell(&mut self, at: Time, event: &Event) {
        match event {
            Event::RunStarted(header) => self.started(at, header),
            Event::RunClaimed { epoch, worker } => {
                self.entry(at, "takeover", &format!("by {worker}, claim {epoch}"), Tone::Dim);
            }
            Event::StepAsked {
                step,
                name,
                args,
                line,
                file,
                ..
            } => {
                let of_library = file.as_ref().map(|file| format!(" ({file})")).unwrap_or_default();
                self.places
                    .insert(step.clone(), (name.clone(), place(*line, file.as_deref())));
                self.entry(
                    at,
                    &place(*line, None),
                    &format!("{name}{}{of_library}", args_text(args)),
                    Tone::Strong,
                );
            }
            Event::StepTold {
                name,
                args,
                line,
                file,
                ..
            } => self.told(at, name, args, &place(*line, file.as_deref())),
            Event::RunCarriedOver { from, to } => {
                let text = format!("from engine {from} to {to}: its replay is what was recorded");
                self.entry(at, "upgrade", &text, Tone::Dim);
            }
            Event::ChildStarted {
                step, run, playbook, ..
            } => {
                let (_, place) = self.places.get(step).cloned().unwrap_or_default();
                self.entry(
                    at,
                    "started",
                    &format!("{run}, playbook {playbook} ({place})"),
                    Tone::Plain,
                );
            }
            Event::TimerSet { step, due } => {
                let (_, place) = self.places.get(step).cloned().unwrap_or_default();
                let text = format!("until {due}, {} from here", duration_text(due.since_ms(at)));
                self.entry(at, "waits", &format!("{text} ({place})"), Tone::Plain);
            }
            Event::StepAnswered { step, result } => self.answered(at, step, result),
            Event::EffectBound(bound) => self.bound(at, bound),
            Event::EffectResolved {
                effect,
                target,
                requests,
            } => {
                self.of_effect(at, *effect, "target", &target.label(), Tone::Plain);
                self.requests(requests);
            }
            Event::EffectFailed {
                effect,
                fault,
                retry,
                requests,
            } => {
                let text = format!("{}{}", fault_text(fault), retry_text(*retry));
                self.of_effect(at, *effect, "not read", &text, Tone::Careful);
                self.requests(requests);
            }
            Event::EffectCaptured {
                effect,
                reading,
                requests,
            } => {
                let text = format!("`{}`{}", reading.state, fields(&reading.fields));
                self.of_effect(at, *effect, "before", &text, Tone::Plain);
                self.requests(requests);
            }
            Event::EffectWeighed { effect, verdict } => {
                let (text, tone) = match verdict.decision {
                    Decision::Allow => ("allowed".to_owned(), Tone::Plain),
                    Decision::Hold => (format!("HELD, {}", verdict.why()), Tone::Careful),
                    Decision::Deny => (format!("DENIED, {}", verdict.why()), Tone::Loud),
                };
                self.of_effect(at, *effect, "verdict", &text, tone);
            }
            Event::EffectIntended(intent) => self.intended(at, intent),
            Event::EffectEnded {
                effect,
                attempt,
                outcome,
                requests,
                duration_ms,
            } => {
                self.ended(at, *effect, *attempt, outcome, *duration_ms);
                self.requests(requests);
            }
            Event::EffectProbed {
                effect,
                found,
                requests,
            } => {
                let text = match found {
                    Ok(reading) => format!(
                        "looked whether it happened: reads `{}`, not (yet) so",
                        reading.state
                    ),
                    Err(fault) => format!(
                        "looked whether it happened and could not see: {}",
                        fault_text(fault)
                    ),
                };
                self.of_effect(at, *effect, "probed", &text, Tone::Careful);
                self.requests(requests);
            }
            Event::EffectVerified {
                effect,
                verification,
                reading,
                requests,
            } => {
                self.verified(at, *effect, *verification, reading.as_ref());
                self.requests(requests);
            }
            Event::ApprovalRequested {
                effect,
                request,
                step,
            } => self.requested(at, step, *effect, request),
            Event::ApprovalVoted { vote, .. } => {
                let (text, tone) = voted(vote);
                self.entry(at, "vote", &text, tone);
            }
            Event::ApprovalDecided { approval, decided } => {
                let (text, tone) = decision(*approval, decided);
                self.entry(at, "decided", &text, tone);
            }
            Event::EffectInDoubt { effect, why } => {
                let text = format!(
                    "it may or may not have happened: {why}; look, then say `cordon resolve {effect} --happened` or `--did-not`"
                );
                self.of_effect(at, *effect, "IN DOUBT", &text, Tone::Loud);
            }
            Event::EffectResolvedBy {
                effect,
                happened,
                principal,
                reason,
                ..
            } => {
                let what = if *happened {
                    "it HAPPENED"
                } else {
                    "it did NOT happen"
                };
                let text = format!("{principal} looked and says that {what}: {reason}");
                self.of_effect(at, *effect, "resolved", &text, Tone::Careful);
            }
            Event::EffectLanded { effect, reading } => {
                let text = format!(
                    "a request that had got no answer came after the undo: reads `{}`; undone again",
                    reading.state
                );
                self.of_effect(at, *effect, "LANDED", &text, Tone::Loud);
            }
            Event::RunCancelled {
                undo,
                principal,
                reason,
                ..
            } => {
                let what = if *undo {
                    "what it did is undone"
                } else {
                    "what it did stays"
                };
                self.entry(
                    at,
                    "CANCELLED",
                    &format!("by {principal}: {reason}; {what}"),
                    Tone::Loud,
                );
            }
            Event::RunRetried {
                principal, reason, ..
            } => self.entry(
                at,
                "RETRIED",
                &format!("by {principal}: {reason}; it is taken up again"),
                Tone::Loud,
            ),
            Event::SignalRefused { principal, why, .. } => {
                self.entry(
                    at,
                    "refused",
                    &format!("what {principal} said: {why}"),
                    Tone::Careful,
                );
            }
            Event::Alarmed {
                code,
                message,
                effect,
            } => match effect {
                Some(effect) => {
                    self.of_effect(at, *effect, "ALARM", &format!("{code}: {message}"), Tone::Loud)
                }
                None => self.entry(at, "ALARM", &format!("{code}: {message}"), Tone::Loud),
            },
            Event::ScriptReturned { value } => {
                let value = if value.is_null() {
                    String::new()
                } else {
                    format!(" with {}", json_text(value))
                };
                self.entry(at, "script", &format!("ended{value}"), Tone::Plain);
            }
            Event::ScriptFailed {
                fault,
                line,
                column,
                file,
            } => {
                let file = file
                    .as_ref()
                    .map(|file| format!(" of {file}"))
                    .unwrap_or_default();
                let place = if *line == 0 {
                    String::new()
                } else {
                    format!(" at line {line}, column {column}{file}")
                };
                self.entry(
                    at,
                    "script",
                    &format!("FAILED{place}: {}", fault_text(fault)),
                    Tone::Loud,
                );
            }
            Event::RunParked { why } => self.entry(at, "PARKED", why, Tone::Loud),
            Event::RunSettled { end, why } => {
                let took = duration_text(at.since_ms(self.began));
                self.entry(
                    at,
                    "settled",
                    &format!("{} after {took}: {why}", end.word()),
                    tone_of(*end),
                );
            }
            Event::AlertAccepted { .. }
            | Event::AlertSplit { .. }
            | Event::AlertUnreadable { .. }
            | Event::AlertControl { .. }
            | Event::AlertReopened { .. } => self.entry(at, "alert", event.kind(), Tone::Dim),
        }
    }

    fn started(&mut self, at: Time, header: &Header) {
        let allowed = duration_text(header.deadline.since_ms(at));
        self.entry(
            at,
            "started",
            &format!("{}, has {allowed}", header.playbook),
            Tone::Plain,
        );
    }

    fn told(&mut self, at: Time, name: &str, args: &[Value], place: &str) {
        if name == "note" {
            let text: Vec<String> = args.iter().map(plain_text).collect();
            self.entry(at, "note", &format!("{} ({place})", text.join(" ")), Tone::Plain);
        } else {
            self.entry(
                at,
                "tells",
                &format!("{name}{} ({place})", args_text(args)),
                Tone::Plain,
            );
        }
    }

    fn answered(&mut self, at: Time, step: &StepId, result: &Answered) {
        let (name, place) = self.places.get(step).cloned().unwrap_or_default();
        let (text, tone) = match result {
            Answered::Fault(fault) => (format!("{name}: {}", fault_text(fault)), Tone::Careful),
            Answered::Value(value) if name == "wait" && value.is_null() => {
                ("the wait is over".into(), Tone::Plain)
            }
            Answered::Value(value) => (format!("{name}: {}", receipt(value)), Tone::Plain),
        };
        self.entry(at, "answered", &format!("{text} ({place})"), tone);
    }

    fn requested(&mut self, at: Time, step: &StepId, effect: Option<EffectId>, request: &Question) {
        let text = asked(request);
        match effect {
            Some(effect) => self.of_effect(at, effect, "asks", &text, Tone::Careful),
            None => {
                let (_, place) = self.places.get(step).cloned().unwrap_or_default();
                self.entry(at, "asks", &format!("{text} ({place})"), Tone::Careful);
            }
        }
        for line in asked_more(request) {
            self.page.line(&" ".repeat(26), &line, Tone::Plain);
        }
    }

    fn bound(&mut self, at: Time, bound: &Bound) {
        let number = self.effects.len() + 1;
        self.effects.insert(bound.effect, (number, Undoing::of(bound)));
        let whom = bound
            .entity
            .as_ref()
            .map(|entity| format!(" on {}", entity.label()))
            .unwrap_or_default();
        let by = format!(" by `{}`", bound.instance);
        let lease = bound
            .lease_ms
            .map(|ms| format!(", for {}", duration_text(ms)))
            .unwrap_or_default();
        let reverts = bound
            .reverts
            .as_ref()
            .map(|of| match bound.rollback {
                true => format!(", ROLLS BACK {}", of.effect),
                false => format!(", restores {}", of.effect),
            })
            .unwrap_or_default();
        let text = format!("{}{whom}{by}{lease}{reverts}  {}", bound.spec.name, bound.effect);
        self.of_effect(at, bound.effect, "effect", &text, Tone::Strong);
    }

    fn intended(&mut self, at: Time, intent: &Intent) {
        let key: String = intent.key.chars().take(KEY_CHARS).collect();
        let kind = self.undoing(intent.effect);
        let undo = match (&intent.undo, kind) {
            (Some(undo), _) => format!(", undone by {}", undo.action),
            (None, Undoing::Reversible) => ", nothing to undo: it was so before".to_owned(),
            (None, Undoing::Irreversible) => ", CANNOT be undone".to_owned(),
            (None, Undoing::Read | Undoing::Reverts) => String::new(),
        };
        let text = format!("attempt {}, key {key}…{undo}", intent.attempt);
        self.of_effect(at, intent.effect, "intent", &text, Tone::Plain);
    }

    fn ended(&mut self, at: Time, effect: EffectId, attempt: u32, outcome: &Outcome, ms: u64) {
        let took = if ms == 0 {
            String::new()
        } else {
            format!(" in {}", duration_text(ms))
        };
        let (word, text, tone) = match outcome {
            Outcome::Done { .. } if self.undoing(effect) == Undoing::Read => {
                ("read", format!("the vendor answered{took}"), Tone::Plain)
            }
            Outcome::Done {
                how: Done::Observed, ..
            } => (
                "done",
                "looking shows that it is so; its answer never came".to_owned(),
                Tone::Good,
            ),
            Outcome::Done { how, .. } => ("done", format!("{}{took}", how_text(*how)), Tone::Good),
            Outcome::NotDone { fault, .. } if attempt == 0 => (
                "refused",
                format!("{}; nothing was sent", fault_text(fault)),
                Tone::Careful,
            ),
            Outcome::NotDone { fault, retry } => (
                "not done",
                format!("{}{took}{}", fault_text(fault), retry_text(*retry)),
                Tone::Careful,
            ),
            Outcome::Unknown { fault } => (
                "UNKNOWN",
                format!("{}{took}; it may or may not have happened", fault_text(fault)),
                Tone::Loud,
            ),
        };
        self.of_effect(at, effect, word, &text, tone);
    }

    fn verified(&mut self, at: Time, effect: EffectId, word: Verification, reading: Option<&Reading>) {
        let read = reading.map(|reading| format!("reads `{}`", reading.state));
        let read = read.unwrap_or_else(|| "could not be read".to_owned());
        let (text, tone) = match word {
            Verification::Yes => (format!("in force: {read}"), Tone::Good),
            Verification::Pending => (format!("not yet in force: {read}"), Tone::Careful),
            Verification::Undone => (
                format!("undone before it was seen in force: {read}"),
                Tone::Careful,
            ),
            Verification::HeldAgain => (
                format!("held again by another effect before it was seen restored: {read}"),
                Tone::Careful,
            ),
            Verification::NotInForce => (format!("REQUESTED, NOT IN FORCE: {read}"), Tone::Loud),
            Verification::Unverifiable => {
                ("nobody can look whether it is in force".to_owned(), Tone::Careful)
            }
            Verification::Contradicted => (
                format!("CONTRADICTED: the vendor said yes, but it {read}"),
                Tone::Loud,
            ),
        };
        self.of_effect(at, effect, "verified", &text, tone);
    }
}
