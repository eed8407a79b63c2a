//! What a case says: what comes in, how the world is, what happens meanwhile, and what is expected. Every part keeps
//! its place in the file, so that what is not met can point at it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use crate::action::{ActionName, Retry};
use crate::clock::Time;
use crate::connector::{HostPattern, Owns};
use crate::diagnostic::Diagnostic;
use crate::guardrail::{Groups, Protected};
use crate::page::Placed;

/// The moment a case begins where it says nothing: a Monday morning.
pub const BEGINS: &str = "2026-01-05T09:00:00Z";

/// A table as data, and where it stands.
pub type PlacedMap = Placed<Map<String, Value>>;

/// The page a case stands on.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The file as its author knows it.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
}

impl Sheet {
    /// Something that is wrong at a place of the file.
    pub fn says(
        &self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, message, self.file.as_str(), &self.text, span.clone(), help)
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: that of the file, and `NAME: its own` in a file of several.
    pub name: String,
    /// Where it stands.
    pub sheet: Sheet,
    /// Its beginning in the file.
    pub span: Range<usize>,
    /// What it is about.
    pub what: What,
}

/// What a case is about.
#[derive(Clone, Debug)]
pub enum What {
    /// A playbook.
    Playbook(Box<Play>),
    /// One call of a connector's script.
    Call(Box<Call>),
    /// One delivery of a connector that sends alerts.
    Delivery(Box<Delivered>),
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Body {
    /// Where it stands.
    pub span: Range<usize>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Its headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// What look-ups of the reader are answered with, by path.
    pub answers: BTreeMap<String, Value>,
    /// Settings of the source.
    pub settings: Map<String, Value>,
}

/// What a playbook begins with.
#[derive(Clone, Debug)]
pub enum Input {
    /// A delivery, read by this connector's normaliser.
    Alert {
        /// The connector.
        source: Placed<String>,
        /// The delivery.
        body: Body,
        /// True when the source proves little, such as one without a signature.
        weak: bool,
    },
    /// Findings in Cordon's own format, each delivered by itself.
    Findings(Vec<PlacedMap>),
    /// Nothing but inputs.
    Nothing,
}

/// A connector instance of the simulated estate.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// Its name.
    pub name: Placed<String>,
    /// The connector.
    pub connector: Placed<String>,
    /// What it owns; everything where nothing is said.
    pub when: Vec<Owns>,
}

/// A fact about one target.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its name, uid or vendor id.
    pub name: Placed<String>,
    /// Only at this instance.
    pub instance: Option<Placed<String>>,
    /// Only for what holds this facet.
    pub facet: Option<String>,
    /// The vendor's id for it.
    pub id: Option<String>,
    /// The state it is in at first.
    pub state: Option<String>,
    /// Further fields of a reading.
    pub fields: Map<String, Value>,
    /// No system knows it.
    pub missing: bool,
    /// Several things have its name: their ids.
    pub ambiguous: Vec<String>,
    /// It cannot be read: the code of the fault.
    pub unreadable: Option<String>,
}

/// How an action goes, other than well.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The action or capability.
    pub name: Placed<ActionName>,
    /// Only on this target.
    pub target: Option<Placed<String>>,
    /// Only at this instance.
    pub instance: Option<Placed<String>>,
    /// How often; always where nothing is said.
    pub times: Option<usize>,
    /// How it goes.
    pub how: How,
}

/// How an action goes.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// Well, with this result.
    Answers(Value),
    /// It did not happen.
    NotDone {
        /// Code of the fault.
        code: String,
        /// For people.
        message: String,
        /// Whether to try again.
        retry: Retry,
    },
    /// The answer is lost, and it happened or not.
    Lost {
        /// Whether it happened.
        happened: bool,
    },
    /// The vendor takes it and puts it in force later, or never.
    Pending {
        /// After so long, ms.
        ms: Option<u64>,
    },
    /// The vendor says yes and does nothing.
    Contradicted,
    /// The worker dies before the request leaves, or after it was obeyed.
    Killed {
        /// Whether it happened.
        happened: bool,
    },
}

/// Something that happens while time passes.
#[derive(Clone, Debug)]
pub struct Later {
    /// Its place.
    pub span: Range<usize>,
    /// After the beginning, ms.
    pub after_ms: u64,
    /// What.
    pub deed: Deed,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Somebody changes a target by hand.
    Change {
        /// Which.
        target: Placed<String>,
        /// Only at this instance.
        instance: Option<Placed<String>>,
        /// Only this facet.
        facet: Option<String>,
        /// To what.
        state: String,
    },
    /// A person undoes the run.
    Undo {
        /// Who.
        by: String,
    },
    /// A person halts all effects.
    Halt {
        /// Who.
        by: String,
    },
    /// A person resumes.
    Resume,
    /// A person ends the started runs.
    Cancel {
        /// Who.
        by: String,
        /// Whether what was done is undone.
        undo: bool,
        /// It does not count, and this is part of the reason.
        refused: Option<String>,
    },
    /// A person says of everything in doubt whether it happened.
    Resolve {
        /// Who.
        by: String,
        /// Whether it happened.
        happened: bool,
        /// It does not count, and this is part of the reason.
        refused: Option<String>,
    },
    /// A person answers what is asked.
    Vote {
        /// Who.
        by: String,
        /// Whether it is granted.
        approve: bool,
        /// Only what asks for this.
        ask: Option<String>,
        /// The answer is not taken, and this is part of the reason.
        refused: Option<String>,
    },
}

/// A case of a playbook.
#[derive(Clone, Debug)]
pub struct Play {
    /// When it begins.
    pub now: Time,
    /// How long it goes on, ms after the beginning; until nothing is under way where nothing is said.
    pub until_ms: Option<u64>,
    /// What comes in.
    pub input: Input,
    /// Inputs; whoever gives some starts the playbook by hand.
    pub inputs: Option<PlacedMap>,
    /// Who starts it by hand.
    pub by: Option<String>,
    /// The instances; one for each connector where nothing is said.
    pub instances: Option<Vec<Simulated>>,
    /// `[bind]` of the configuration.
    pub bind: Vec<(Placed<String>, Placed<String>)>,
    /// Principals by group.
    pub groups: Groups,
    /// What is protected.
    pub protected: Vec<Protected>,
    /// Facts.
    pub facts: Vec<Fact>,
    /// How actions go.
    pub behaviours: Vec<Behaviour>,
    /// What happens meanwhile.
    pub later: Vec<Later>,
    /// What is expected.
    pub expect: PlayExpect,
}

/// What is expected of a playbook. What is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct PlayExpect {
    /// Runs started.
    pub starts: Option<Placed<usize>>,
    /// How they end.
    pub end: Option<Placed<String>>,
    /// Part of the reason.
    pub why: Option<Placed<String>>,
    /// Code of the error the script ended with.
    pub error: Option<Placed<String>>,
    /// What the script returned.
    pub returns: Option<Placed<Value>>,
    /// Everything asked, in order.
    pub steps: Option<Placed<Vec<Placed<String>>>>,
    /// Texts that notes contain, in order.
    pub notes: Option<Placed<Vec<Placed<String>>>>,
    /// Actions nobody may call.
    pub not_called: Vec<Placed<ActionName>>,
    /// Alarms, by code, in order.
    pub alarms: Option<Placed<Vec<Placed<String>>>>,
    /// Part of what a run that is still open waits for.
    pub waits_for: Option<Placed<String>>,
    /// Every change, in order.
    pub effects: Option<Placed<Vec<EffectExpect>>>,
    /// Every message, in order.
    pub messages: Option<Placed<Vec<MessageExpect>>>,
    /// What is held at the end.
    pub holds: Option<Placed<Vec<HoldExpect>>>,
    /// States of targets at the end.
    pub states: Vec<StateExpect>,
}

/// One expected change.
#[derive(Clone, Debug)]
pub struct EffectExpect {
    /// The action or the capability it provides.
    pub action: Placed<ActionName>,
    /// Name or id of the target.
    pub target: Option<Placed<String>>,
    /// The instance.
    pub instance: Option<Placed<String>>,
    /// How it came to be done, or `not_done`, `in_doubt`, `open`.
    pub how: Option<Placed<String>>,
    /// What reading back last said.
    pub verified: Option<Placed<String>>,
    /// Code of the fault.
    pub error: Option<Placed<String>>,
    /// Arguments, in part.
    pub args: Option<Placed<Map<String, Value>>>,
    /// How long it is leased, ms.
    pub lease_ms: Option<Placed<u64>>,
    /// Attempts made.
    pub attempts: Option<Placed<usize>>,
    /// Whether it restores what another did.
    pub undoes: Option<Placed<bool>>,
}

/// One expected message.
#[derive(Clone, Debug)]
pub struct MessageExpect {
    /// `oncall`, `team NAME`, `person NAME`.
    pub to: Option<Placed<String>>,
    /// Part of the subject.
    pub subject: Option<Placed<String>>,
    /// The rest of it, in part.
    pub data: Option<Placed<Map<String, Value>>>,
}

/// One expected hold.
#[derive(Clone, Debug)]
pub struct HoldExpect {
    /// Its place.
    pub span: Range<usize>,
    /// Name or id of the target.
    pub target: Placed<String>,
    /// What of it.
    pub facet: Option<Placed<String>>,
    /// The end of its lease, ms after the beginning.
    pub until_ms: Option<Placed<u64>>,
}

/// One expected state.
#[derive(Clone, Debug)]
pub struct StateExpect {
    /// Name or id of the target.
    pub target: Placed<String>,
    /// At this instance; at every one where nothing is said.
    pub instance: Option<Placed<String>>,
    /// Only this facet.
    pub facet: Option<String>,
    /// The state.
    pub state: Placed<String>,
}

/// One call of a connector.
#[derive(Clone, Debug)]
pub struct Call {
    /// When.
    pub now: Time,
    /// The verb of the action.
    pub verb: Placed<String>,
    /// What of it is called.
    pub part: Part,
    /// The target, or the entity to find one for.
    pub target: Option<Placed<Map<String, Value>>>,
    /// Arguments.
    pub args: Map<String, Value>,
    /// The idempotency key.
    pub key: String,
    /// Where the instance is.
    pub base_url: Option<Placed<Url>>,
    /// The hosts it may reach, where the manifest leaves them to it.
    pub hosts: Vec<HostPattern>,
    /// Its settings.
    pub settings: Map<String, Value>,
    /// Its credentials, beside the made-up ones.
    pub credentials: BTreeMap<String, String>,
    /// Requests, in order, with their answers.
    pub requests: Vec<Exchange>,
    /// What is expected.
    pub expect: CallExpect,
}

/// What of an action is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its function.
    Act,
    /// The function that finds its target.
    Resolve,
    /// A function that reads: this one, else the one it is verified with.
    Read(Option<Placed<String>>),
}

/// A request that is expected, and what comes back.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its place.
    pub span: Range<usize>,
    /// Method.
    pub method: Placed<String>,
    /// Path; none of LDAP and SMTP.
    pub path: Option<Placed<String>>,
    /// Host, where it matters.
    pub host: Option<Placed<String>>,
    /// Query, in part.
    pub query: Option<Placed<Map<String, Value>>>,
    /// Headers, in part.
    pub headers: Option<Placed<Map<String, Value>>>,
    /// Body as JSON, in part.
    pub json: Option<Placed<Value>>,
    /// Body as form fields, in part.
    pub form: Option<Placed<Map<String, Value>>>,
    /// Part of the body as text.
    pub body: Option<Placed<String>>,
    /// What comes back.
    pub answer: Answer,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// An answer.
    With {
        /// Status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// None; the request may have arrived.
    Lost,
    /// None; nothing was sent.
    Refused,
}

/// What is expected of a call.
#[derive(Clone, Debug, Default)]
pub struct CallExpect {
    /// `done`, `already`, `not_done`, `unknown`.
    pub outcome: Option<Placed<String>>,
    /// Code of the fault.
    pub code: Option<Placed<String>>,
    /// Part of its message.
    pub message: Option<Placed<String>>,
    /// `never`, `backoff`, or a duration.
    pub retry: Option<Placed<String>>,
    /// The result, in part.
    pub result: Option<Placed<Value>>,
    /// The state read.
    pub state: Option<Placed<String>>,
    /// How the state stands to the action: `in_force`, `pending`, `absent`.
    pub standing: Option<Placed<String>>,
    /// Further fields read, in part.
    pub fields: Option<Placed<Map<String, Value>>>,
    /// The id found.
    pub id: Option<Placed<String>>,
    /// The name found.
    pub name: Option<Placed<String>>,
    /// Other names found.
    pub aliases: Option<Placed<Vec<Placed<String>>>>,
    /// Ids of the candidates of an ambiguous target.
    pub candidates: Option<Placed<Vec<Placed<String>>>>,
}

/// One delivery to a source.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// When it is received.
    pub now: Time,
    /// The delivery.
    pub body: Body,
    /// The findings, each in part; all of them.
    pub findings: Option<Placed<Vec<PlacedMap>>>,
    /// That it is a message about the channel.
    pub control: Option<Placed<bool>>,
    /// Part of the reason why it cannot be read.
    pub unreadable: Option<Placed<String>>,
}
