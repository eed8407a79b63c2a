//! What is told: made from one journal entry and the run folded up to it, never from memory, so that telling again
//! says the same. Which entries tell something is written here and nowhere else.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::letter::Letter;
use super::text::line;
use super::words;
use crate::approval::{Decided, Request};
use crate::clock::{Time, duration_text};
use crate::finding::SeverityId;
use crate::id::RunId;
use crate::journal::{Cause, End, Entry, Event, RunState};
use crate::limits::LEASE_LATE_MS;
use crate::playbook::TELLING_KEYS;

/// What a message is about; routes may ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A playbook says something.
    Told,
    /// Something is not as it should be.
    Alarm,
    /// Somebody is asked, or has answered.
    Approval,
    /// A run ended otherwise than well.
    Ended,
    /// A lease ended later than promised.
    Lease,
}

impl About {
    /// All of them.
    pub const ALL: [About; 5] = [
        About::Told,
        About::Alarm,
        About::Approval,
        About::Ended,
        About::Lease,
    ];

    /// The word in configuration and lists.
    pub fn word(self) -> &'static str {
        match self {
            About::Told => "told",
            About::Alarm => "alarm",
            About::Approval => "approval",
            About::Ended => "ended",
            About::Lease => "lease",
        }
    }
}

/// Whom a message is meant for, as far as the journal says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meant {
    /// Whoever is on call, in this rota where one is named.
    Oncall(Option<String>),
    /// A team.
    Team(String),
    /// One person.
    Person(String),
    /// One channel.
    Channel(String),
    /// Those who may decide a request for approval.
    Deciders {
        /// The group, or the person.
        by: String,
        /// Who of it may, by name.
        people: Vec<String>,
    },
    /// Nobody is named: Cordon itself says it.
    Anybody,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same however often it is told.
    pub key: String,
    /// The run it is about.
    pub run: RunId,
    /// Its playbook.
    pub playbook: String,
    /// What it is about.
    pub about: About,
    /// Whom it is meant for.
    pub meant: Meant,
    /// How severe.
    pub severity: SeverityId,
    /// What repeats of it have in common, but for the subject.
    pub kind: Vec<String>,
    /// Whom it is about: `host web-07`.
    pub subject: String,
    /// It in one line, for the count of a storm.
    pub line: String,
    /// Its words.
    pub letter: Letter,
}

/// Longest line in the count of a storm, characters.
const COUNTED_CHARS_MAX: usize = 160;

/// How severe something is at least, and never 99 (other), which says nothing.
fn severity(said: Option<SeverityId>, of: SeverityId, at_least: u8) -> SeverityId {
    let known = |severity: SeverityId| (1..=6).contains(&severity.0).then_some(severity);
    let found = said.and_then(known).or(known(of)).unwrap_or(SeverityId::UNKNOWN);
    SeverityId(found.0.max(at_least))
}

/// True for kinds of entries that can tell something, seen without reading them.
pub fn may_tell(kind: &str) -> bool {
    matches!(
        kind,
        "alarmed" | "step_told" | "run_settled" | "approval_requested" | "approval_decided"
    )
}

/// True when this entry tells something; only then is its run folded.
pub fn tells(event: &Event) -> bool {
    match event {
        Event::Alarmed { .. } | Event::ApprovalRequested { .. } | Event::ApprovalDecided { .. } => true,
        Event::StepTold { name, .. } => name.starts_with("notify::"),
        // A lease that ended well may have ended late.
        Event::RunSettled { .. } => true,
        _ => false,
    }
}

/// The lease that a run is to end: whose hold, and until when it was to last.
pub fn lease_of(state: &RunState) -> Option<(RunId, crate::id::EffectId)> {
    match state.header.cause {
        Cause::Lease { run, effect } => Some((run, effect)),
        _ => None,
    }
}

/// The message of an entry, if it tells something. `state` is its run with this entry and nothing after it;
/// `lease_end` is when the lease that the run ends was over, where it is such a run.
pub fn message(
    entry: &Entry,
    at: Time,
    event: &Event,
    state: &RunState,
    lease_end: Option<Time>,
) -> Option<Message> {
    let teller = Teller { entry, at, state };
    match event {
        Event::Alarmed {
            code,
            message,
            effect,
        } => {
            let about = effect.and_then(|id| state.effects.get(&id)).and_then(|effect| {
                let target = effect.target.as_ref()?;
                Some(target.label())
            });
            Some(teller.alarm(code, message, about))
        }
        Event::StepTold {
            name,
            args,
            line,
            file,
            ..
        } => teller.told(name, args, (file.as_deref().unwrap_or_default(), *line)),
        Event::RunSettled { end, why } => teller.settled(*end, why, lease_end),
        Event::ApprovalRequested { request, .. } => Some(teller.asked(request)),
        Event::ApprovalDecided { approval, decided } => {
            let asked = state.approvals.get(approval)?;
            Some(teller.decided(&asked.request, decided))
        }
        _ => None,
    }
}

fn deciders(request: &Request) -> Meant {
    Meant::Deciders {
        by: request.by.clone(),
        people: request.may_decide.clone(),
    }
}

struct Teller<'a> {
    entry: &'a Entry,
    at: Time,
    state: &'a RunState,
}

impl Teller<'_> {
    fn of(&self, about: About, meant: Meant, severity: SeverityId, kind: Vec<String>, head: &str) -> Message {
        let header = &self.state.header;
        let who = if header.subject.is_empty() {
            String::new()
        } else {
            format!("{}: ", header.subject)
        };
        Message {
            key: format!("{}/{}", header.run, self.entry.seq),
            run: header.run,
            playbook: header.playbook.clone(),
            about,
            meant,
            severity,
            kind,
            subject: header.subject.clone(),
            line: line(&format!("{who}{head} ({})", header.run), COUNTED_CHARS_MAX),
            letter: Letter::new(head),
        }
    }

    /// What every message ends with: what happened, what was done, what was not, where to look.
    fn circumstances(&self, letter: &mut Letter) {
        let header = &self.state.header;
        letter.part("What happened", words::happened(header));
        let (done, open) = words::effects(self.state);
        letter.part("What was done", done);
        letter.part("Still valid, not done, or in doubt", open);
    }

    fn run(&self, letter: &mut Letter) {
        let header = &self.state.header;
        letter.part(
            "Run",
            [
                format!("{} ({}), at {}", header.run, header.title, self.at),
                format!("to see it: cordon show {}", header.run),
            ],
        );
        letter.place("The run", format!("/api/runs/{}", header.run));
    }

    fn about_whom(&self) -> String {
        let header = &self.state.header;
        if header.subject.is_empty() {
            header.title.clone()
        } else {
            format!("{} ({})", header.title, header.subject)
        }
    }

    fn alarm(&self, code: &str, text: &str, target: Option<String>) -> Message {
        let severity = severity(None, self.state.header.severity_id, 4);
        let head = format!("[ALARM] {}: {text}", self.about_whom());
        let kind = vec!["alarm".to_owned(), code.to_owned()];
        let mut message = self.of(About::Alarm, Meant::Anybody, severity, kind, &head);
        let mut lines = vec![format!("{code}: {text}")];
        lines.extend(target.map(|target| format!("it is about {target}")));
        message.letter.part("What is wrong", lines);
        self.circumstances(&mut message.letter);
        message
            .letter
            .part("What is asked", [words::asked_by_alarm(code, self.state)]);
        self.run(&mut message.letter);
        message
    }

    fn told(&self, name: &str, args: &[Value], (file, at_line): (&str, u32)) -> Option<Message> {
        let word = name.strip_prefix("notify::")?;
        let (who, body) = match args {
            [body] => (String::new(), body),
            [who, body] => (who.as_str().unwrap_or_default().to_owned(), body),
            _ => (String::new(), &Value::Null),
        };
        let nothing = Map::new();
        let body = body.as_object().unwrap_or(&nothing);
        let text_of = |key: &str| body.get(key).and_then(Value::as_str);
        let meant = match word {
            "team" => Meant::Team(who),
            "person" => Meant::Person(who),
            "channel" => Meant::Channel(who),
            _ => Meant::Oncall(text_of("rota").map(str::to_owned)),
        };
        let said = match body.get("severity") {
            Some(Value::String(word)) => Some(SeverityId::from_word(word)),
            Some(Value::Number(n)) => n.as_u64().and_then(|n| u8::try_from(n).ok()).map(SeverityId),
            _ => None,
        };
        let severity = severity(said, self.state.header.severity_id, 0);
        let mark = match severity.0 {
            0 => String::new(),
            _ => format!("[{}] ", severity.word().to_uppercase()),
        };
        let subject = text_of("subject").unwrap_or("(the playbook gave no subject)");
        let head = format!("{mark}{subject}");
        let kind = vec![name.to_owned(), file.to_owned(), at_line.to_string()];
        let mut message = self.of(About::Told, meant, severity, kind, &head);
        if let Some(text) = text_of("text") {
            message.letter.part("The playbook says", text.lines());
        }
        self.circumstances(&mut message.letter);
        let facts = body
            .iter()
            .filter(|(key, _)| !TELLING_KEYS.contains(&key.as_str()))
            .map(|(key, value)| format!("{key}: {}", words::value(value)));
        message.letter.part("As the playbook has it", facts);
        self.run(&mut message.letter);
        Some(message)
    }

    fn asked(&self, request: &Request) -> Message {
        let severity = severity(None, self.state.header.severity_id, 3);
        let head = format!("[APPROVAL] {}", request.ask);
        let kind = vec!["approval".to_owned(), "asked".to_owned(), request.by.clone()];
        let mut message = self.of(About::Approval, deciders(request), severity, kind, &head);
        let id = request.approval;
        message.line = line(
            &format!("cordon approve {id}: {}", request.ask),
            COUNTED_CHARS_MAX,
        );
        let letter = &mut message.letter;
        letter.part("What is asked", words::asked(request));
        let covers = request.covers.iter().map(|cover| match cover.undo.as_str() {
            "" => cover.label.clone(),
            undo => format!("{}; {undo}", cover.label),
        });
        letter.part("What a yes allows", covers);
        letter.part("To answer", words::answering(request));
        self.circumstances(letter);
        self.run(letter);
        letter.place("The request", format!("/api/approvals/{id}"));
        message
    }

    fn decided(&self, request: &Request, decided: &Decided) -> Message {
        let word = if decided.granted { "GRANTED" } else { "DENIED" };
        let severity = severity(None, self.state.header.severity_id, 0);
        let head = format!("[{word}] {}", request.ask);
        let kind = vec!["approval".to_owned(), word.to_owned(), request.by.clone()];
        let mut message = self.of(About::Approval, deciders(request), severity, kind, &head);
        let by = if decided.by.is_empty() {
            "nobody".to_owned()
        } else {
            decided.by.join(", ")
        };
        message.letter.part(
            "What was decided",
            [
                format!("{}, by {by}: {}", word.to_lowercase(), decided.why),
                "nothing more is asked of you for this request".to_owned(),
            ],
        );
        self.run(&mut message.letter);
        let place = format!("/api/approvals/{}", request.approval);
        message.letter.place("The request", place);
        message
    }

    fn settled(&self, end: End, why: &str, lease_end: Option<Time>) -> Option<Message> {
        let header = &self.state.header;
        if end == End::Succeeded {
            return self.late(lease_end?);
        }
        // The alarm that goes before this entry has said it.
        let said = |code: &str| matches!(code, "run-failed" | "undo-failed");
        if self.state.alarms.last().is_some_and(|alarm| said(&alarm.code)) {
            return None;
        }
        let at_least = if end == End::Cancelled { 0 } else { 3 };
        let severity = severity(None, header.severity_id, at_least);
        let head = format!("[{}] {}: {why}", end.word().to_uppercase(), self.about_whom());
        let kind = vec!["ended".to_owned(), end.word().to_owned()];
        let mut message = self.of(About::Ended, Meant::Anybody, severity, kind, &head);
        message
            .letter
            .part("How it ended", [format!("{}: {why}", end.word())]);
        self.circumstances(&mut message.letter);
        self.run(&mut message.letter);
        Some(message)
    }

    fn late(&self, lease_end: Time) -> Option<Message> {
        let late_ms = self.at.since_ms(lease_end);
        if late_ms <= LEASE_LATE_MS {
            return None;
        }
        let header = &self.state.header;
        let late = duration_text(late_ms);
        let head = format!("[LEASE] {} was restored {late} late", header.subject);
        let kind = vec!["lease".to_owned()];
        let severity = severity(None, header.severity_id, 3);
        let mut message = self.of(About::Lease, Meant::Anybody, severity, kind, &head);
        message.letter.part(
            "What happened",
            [
                format!(
                    "the lease on {} was over at {lease_end} and its end took until {}",
                    header.subject, self.at
                ),
                header.cause.line(),
            ],
        );
        self.run(&mut message.letter);
        Some(message)
    }
}
