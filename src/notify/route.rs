//! Who gets a message: what it is meant for and what the routes say, down to the ways each person is reached by,
//! in the order they are tried. Pure: the moment is passed in.

use super::message::Meant;
use super::plan::{GroupBy, Plan, Route, Way, Whom};
use super::record::Record;
use crate::clock::Time;
use crate::digest::Digest;

/// Somebody who gets a message, with every way to them, the best first. No way at all is the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// `person ana`, `channel soc`, `log`.
    pub name: String,
    /// The ways.
    pub ways: Vec<Way>,
}

/// Who gets a message, and what was not as somebody meant it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Each once.
    pub recipients: Vec<Recipient>,
    /// To be said in the message.
    pub notes: Vec<String>,
}

/// Most steps from a team to its members and their rotas; a team that names itself ends here.
const DEPTH_MAX: usize = 4;

impl Plan {
    /// Who gets this message now.
    pub fn route(&self, message: &Record, now: Time) -> Routed {
        let mut notes = Vec::new();
        let whom = self.whom(message, &mut notes);
        let mut routed = Routed {
            recipients: Vec::new(),
            notes,
        };
        for one in &whom {
            self.reach(one, now, DEPTH_MAX, &mut routed);
        }
        if routed.recipients.is_empty() {
            for one in self.unrouted() {
                self.reach(&one, now, DEPTH_MAX, &mut routed);
            }
        }
        if routed.recipients.is_empty() {
            self.reach(&Whom::Log, now, DEPTH_MAX, &mut routed);
        }
        routed
    }

    /// Who is told that is named here, for a test by hand.
    pub fn reached(&self, whom: &Whom, now: Time) -> Routed {
        let mut routed = Routed::default();
        self.reach(whom, now, DEPTH_MAX, &mut routed);
        routed
    }

    fn whom(&self, message: &Record, notes: &mut Vec<String>) -> Vec<Whom> {
        let unknown = |what: String, notes: &mut Vec<String>| {
            notes.push(format!(
                "the playbook asks for {what}, which `[notify]` does not have"
            ));
        };
        match &message.meant {
            Meant::Person(name) if self.people.contains_key(name) => vec![Whom::Person(name.clone())],
            Meant::Person(name) => {
                unknown(format!("the person `{name}`"), notes);
                self.unrouted()
            }
            Meant::Channel(name) if self.channels.contains_key(name) => vec![Whom::Channel(name.clone())],
            Meant::Channel(name) => {
                unknown(format!("the channel `{name}`"), notes);
                self.unrouted()
            }
            Meant::Team(name) => {
                let by_route = self.by_routes(message, Some(name));
                if !by_route.is_empty() {
                    by_route
                } else if self.teams.contains_key(name) {
                    vec![Whom::Team(name.clone())]
                } else {
                    unknown(format!("the team `{name}`"), notes);
                    self.unrouted()
                }
            }
            Meant::Deciders { by, people } => self.deciders(message, by, people, notes),
            Meant::Oncall(Some(rota)) if !self.rotas.contains_key(rota) => {
                unknown(format!("the rota `{rota}`"), notes);
                self.unrouted()
            }
            Meant::Oncall(rota) => {
                let by_route = self.by_routes(message, None);
                if by_route.is_empty() && self.first_rota.is_some() {
                    vec![Whom::Oncall(rota.clone())]
                } else if by_route.is_empty() {
                    self.unrouted()
                } else {
                    by_route
                }
            }
            Meant::Anybody => {
                let by_route = self.by_routes(message, None);
                if by_route.is_empty() {
                    self.unrouted()
                } else {
                    by_route
                }
            }
        }
    }

    /// A group that decides is told as the team of its name, else as its people.
    fn deciders(
        &self,
        message: &Record,
        name: &str,
        people: &[String],
        notes: &mut Vec<String>,
    ) -> Vec<Whom> {
        let by_route = self.by_routes(message, Some(name));
        if !by_route.is_empty() {
            return by_route;
        }
        if self.teams.contains_key(name) {
            return vec![Whom::Team(name.to_owned())];
        }
        let (known, unknown): (Vec<&String>, Vec<&String>) = people
            .iter()
            .partition(|member| self.people.contains_key(member.as_str()));
        let names = |members: &[&String]| {
            let quoted: Vec<String> = members.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(", ")
        };
        if known.is_empty() {
            notes.push(format!(
                "nobody of `{name}` is under `[notify.people]`, so they may not know"
            ));
            return self.unrouted();
        }
        if !unknown.is_empty() {
            notes.push(format!(
                "of `{name}`, {} cannot be reached: not under `[notify.people]`",
                names(&unknown)
            ));
        }
        known.into_iter().map(|name| Whom::Person(name.clone())).collect()
    }

    /// Whom the routes for `team` say: of the first that fits, or of all.
    fn by_routes(&self, message: &Record, team: Option<&str>) -> Vec<Whom> {
        let fits = |route: &&Route| {
            route.team.as_deref() == team
                && route.severity.is_none_or(|least| message.severity >= least)
                && (route.about.is_empty() || route.about.contains(&message.about))
                && (route.playbooks.is_empty()
                    || route
                        .playbooks
                        .iter()
                        .any(|pattern| is_like(pattern, &message.playbook)))
        };
        let takes = if self.all_routes { usize::MAX } else { 1 };
        let mut whom = Vec::new();
        for one in self
            .routes
            .iter()
            .filter(fits)
            .take(takes)
            .flat_map(|route| &route.to)
        {
            if !whom.contains(one) {
                whom.push(one.clone());
            }
        }
        whom
    }

    fn reach(&self, whom: &Whom, now: Time, depth: usize, routed: &mut Routed) {
        let Some(depth) = depth.checked_sub(1) else { return };
        match whom {
            Whom::Channel(name) => {
                if let Some(way) = self.channels.get(name) {
                    self.add(format!("channel {name}"), vec![way.clone()], routed);
                }
            }
            Whom::Person(name) => {
                if let Some(ways) = self.people.get(name) {
                    self.add(format!("person {name}"), ways.clone(), routed);
                }
            }
            Whom::Team(name) => {
                for one in self.teams.get(name).into_iter().flatten() {
                    self.reach(one, now, depth, routed);
                }
            }
            Whom::Oncall(named) => {
                let Some(name) = named.as_ref().or(self.first_rota.as_ref()) else {
                    return;
                };
                match self.rotas.get(name).and_then(|rota| rota.at(now)) {
                    Some(oncall) => self.reach(&Whom::Person(oncall.person), now, depth, routed),
                    None => routed
                        .notes
                        .push(format!("the rota `{name}` names nobody at {now}")),
                }
            }
            Whom::Log => self.add("log".to_owned(), Vec::new(), routed),
        }
    }

    /// Adds a recipient, with the fallback as the last way.
    fn add(&self, name: String, mut ways: Vec<Way>, routed: &mut Routed) {
        if routed.recipients.iter().any(|known| known.name == name) {
            return;
        }
        let fallback = self.fallback.as_ref().and_then(|name| self.channels.get(name));
        if let Some(way) = fallback
            && name != "log"
            && !ways.contains(way)
        {
            ways.push(way.clone());
        }
        routed.recipients.push(Recipient { name, ways });
    }

    /// What this message is counted with when it comes again and again.
    pub fn group(&self, message: &Record) -> Digest {
        let mut parts = vec!["notify group".to_owned(), message.playbook.clone()];
        parts.push(message.about.word().to_owned());
        parts.push(message.severity.0.to_string());
        parts.push(format!("{:?}", message.meant));
        parts.extend(message.kind.iter().cloned());
        if self.group_by == GroupBy::Subject {
            parts.push(message.subject.clone());
        }
        Digest::of_parts(&parts)
    }
}

fn is_like(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
