//! Who is told, and how they are reached: what `[notify]` says once it has been checked. Nouns only.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::About;
use super::rota::Rota;
use crate::action::ActionName;
use crate::finding::SeverityId;

/// One way to somebody: an action of one connector instance, and the address there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The connector instance.
    pub instance: String,
    /// The action of its connector that provides `page::send`, `chat::send` or `mail::send`.
    pub action: ActionName,
    /// Address, channel or room.
    pub to: String,
}

impl Way {
    /// The capabilities by which messages are sent, the most urgent first: of a connector with several, the first
    /// is used.
    pub const SENDING: [&'static str; 3] = ["page::send", "chat::send", "mail::send"];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.instance, self.to)
    }
}

/// Somebody who can be told, as configuration names them: `channel:soc`, `person:ana`, `team:soc`, `oncall`,
/// `oncall:soc`, `log`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Whom {
    /// A channel.
    Channel(String),
    /// A person.
    Person(String),
    /// A team.
    Team(String),
    /// Whoever is on call in a rota; in the only or the first one where none is named.
    Oncall(Option<String>),
    /// The log of this program, and nobody else.
    Log,
}

/// The text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names nobody: write `channel:NAME`, `person:NAME`, `team:NAME`, `oncall`, `oncall:ROTA` or `log`"
)]
pub struct NotWhom(String);

impl std::str::FromStr for Whom {
    type Err = NotWhom;

    fn from_str(text: &str) -> Result<Whom, NotWhom> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) if !name.is_empty() => (kind, Some(name.to_owned())),
            Some(_) => return Err(NotWhom(text.to_owned())),
            None => (text, None),
        };
        match (kind, name) {
            ("channel", Some(name)) => Ok(Whom::Channel(name)),
            ("person", Some(name)) => Ok(Whom::Person(name)),
            ("team", Some(name)) => Ok(Whom::Team(name)),
            ("oncall", rota) => Ok(Whom::Oncall(rota)),
            ("log", None) => Ok(Whom::Log),
            _ => Err(NotWhom(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Whom {
    type Error = NotWhom;

    fn try_from(text: String) -> Result<Whom, NotWhom> {
        text.parse()
    }
}

impl From<Whom> for String {
    fn from(whom: Whom) -> String {
        whom.to_string()
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whom::Channel(name) => write!(f, "channel:{name}"),
            Whom::Person(name) => write!(f, "person:{name}"),
            Whom::Team(name) => write!(f, "team:{name}"),
            Whom::Oncall(None) => f.write_str("oncall"),
            Whom::Oncall(Some(rota)) => write!(f, "oncall:{rota}"),
            Whom::Log => f.write_str("log"),
        }
    }
}

/// What goes where. Every condition that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// At least this severe.
    pub severity: Option<SeverityId>,
    /// Meant for this team. A route without it takes what is meant for no team.
    pub team: Option<String>,
    /// One of these playbooks; a `*` at the end stands for anything. Any where empty.
    pub playbooks: Vec<String>,
    /// About one of these; anything where empty.
    pub about: Vec<About>,
    /// Who is told.
    pub to: Vec<Whom>,
}

/// By what messages are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GroupBy {
    /// Playbook, trigger and what is said: a storm over many hosts is one message.
    #[default]
    Playbook,
    /// The same, for each subject apart.
    Subject,
}

/// Everything `[notify]` says.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Where people reach this server, without a `/` at the end; `None` where nothing is said.
    pub public_url: Option<String>,
    /// Channels by name.
    pub channels: BTreeMap<String, Way>,
    /// People by name, each with their ways in the order they prefer.
    pub people: BTreeMap<String, Vec<Way>>,
    /// Teams by name.
    pub teams: BTreeMap<String, Vec<Whom>>,
    /// Rotas by name.
    pub rotas: BTreeMap<String, Rota>,
    /// The rota of `oncall` without a name.
    pub first_rota: Option<String>,
    /// Routes, in the order they are tried.
    pub routes: Vec<Route>,
    /// True when every route that fits takes a message, and not only the first.
    pub all_routes: bool,
    /// Who is told what nothing else takes.
    pub default: Vec<Whom>,
    /// The channel by which a message goes when nobody's own ways work.
    pub fallback: Option<String>,
    /// How long repeats are collected into one message, ms; 0 for never.
    pub window_ms: u64,
    /// By what they are grouped.
    pub group_by: GroupBy,
}

impl Plan {
    /// What to say at start of where messages go that nothing routes; a warning when that is the log alone.
    pub fn at_start(&self) -> (String, bool) {
        if self.default.is_empty() && self.first_rota.is_none() {
            let text = "messages that no route takes go to the log and to nobody else: set `default` under `[notify]`";
            return (text.to_owned(), true);
        }
        let default = self.unrouted();
        let names: Vec<String> = default.iter().map(ToString::to_string).collect();
        let log_only = default.iter().all(|whom| *whom == Whom::Log);
        (
            format!("messages that no route takes go to {}", names.join(", ")),
            log_only,
        )
    }

    /// Who gets what no route takes.
    pub fn unrouted(&self) -> Vec<Whom> {
        match (self.default.is_empty(), &self.first_rota) {
            (false, _) => self.default.clone(),
            (true, Some(_)) => vec![Whom::Oncall(None)],
            (true, None) => vec![Whom::Log],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_reads_as_it_is_written() {
        for text in [
            "channel:soc",
            "person:ana",
            "team:soc",
            "oncall",
            "oncall:apac",
            "log",
        ] {
            assert_eq!(text.parse::<Whom>().unwrap().to_string(), text);
        }
        for text in ["", "ana", "channel", "channel:", "oncall:", "log:x", "people:ana"] {
            assert!(text.parse::<Whom>().is_err(), "{text}");
        }
    }

    #[test]
    fn where_unrouted_messages_go_is_said_and_silence_is_a_warning() {
        let (text, warning) = Plan::default().at_start();
        assert!(warning && text.contains("to the log"), "{text}");
        let plan = Plan {
            default: vec!["channel:soc".parse().unwrap(), "oncall".parse().unwrap()],
            ..Plan::default()
        };
        assert_eq!(
            plan.at_start(),
            (
                "messages that no route takes go to channel:soc, oncall".to_owned(),
                false
            )
        );
    }
}
