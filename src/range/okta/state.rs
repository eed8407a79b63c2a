//! What the vendor knows, and how a range sees it. State changes only by replay of ledger lines.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::ledger::LedgerLine;
use super::super::vendor::{At, Call, Effect, No, Reply, Request, StandIn, Thing, record};
use super::NAME;
use super::call::{Route, understand};
use super::envelope::{failure, with_limits};
use super::person::{Group, Kept, User};
use crate::secret::Secret;

/// How the stand-in of Okta is set up.
#[derive(Debug, Clone)]
pub struct OktaConfig {
    /// The token that `Authorization: SSWS` must carry.
    pub token: Secret,
    /// Users there are from the start.
    pub users: Vec<User>,
    /// Groups there are from the start.
    pub groups: Vec<Group>,
}

impl Default for OktaConfig {
    /// `range-okta-token`, nobody.
    fn default() -> OktaConfig {
        OktaConfig {
            token: Secret::new("range-okta-token"),
            users: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// What the vendor knows.
pub(in crate::range) struct Okta {
    config: OktaConfig,
    pub(super) users: BTreeMap<String, User>,
    pub(super) groups: BTreeMap<String, Group>,
}

impl Okta {
    pub(in crate::range) fn new(config: OktaConfig) -> Okta {
        Okta {
            config,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// The user with this id or login, or the only one with this part of a login before its `@`.
    pub(in crate::range) fn user(&self, name: &str) -> Option<&User> {
        let login = |user: &&User| user.login.eq_ignore_ascii_case(name);
        let exact = self.users.get(name).or_else(|| self.users.values().find(login));
        exact.or_else(|| {
            let short = |user: &&User| {
                let before = user.login.split('@').next();
                before.is_some_and(|before| before.eq_ignore_ascii_case(name))
            };
            let mut users = self.users.values().filter(short);
            users.next().filter(|_| users.next().is_none())
        })
    }

    pub(in crate::range) fn users(&self) -> Vec<User> {
        self.users.values().cloned().collect()
    }

    /// The group with this id or name.
    pub(in crate::range) fn group(&self, id_or_name: &str) -> Option<&Group> {
        let named = || self.groups.values().find(|group| group.name == id_or_name);
        self.groups.get(id_or_name).or_else(named)
    }

    /// A change of a user: what it was in `word`, and what it becomes.
    pub(super) fn change(
        action: &'static str,
        before: &User,
        after: User,
        word: fn(&User) -> String,
    ) -> Effect {
        Effect {
            action,
            target: Some(before.id.clone()),
            target_name: Some(before.login.clone()),
            applied: true,
            before: Some(word(before)),
            after: Some(word(&after)),
            record: record(&Kept::OktaUser(after)),
        }
    }

    /// The user who owns a thing, and the thing, by the vendor's id of it.
    pub(super) fn owner<T>(&self, things: fn(&User) -> &[T], is: impl Fn(&T) -> bool) -> Option<(&User, &T)> {
        self.users
            .values()
            .find_map(|user| Some((user, things(user).iter().find(|thing| is(thing))?)))
    }
}

impl StandIn for Okta {
    fn name(&self) -> &'static str {
        NAME
    }

    fn understand(&self, request: &Request) -> Option<Call> {
        understand(request)
    }

    fn admit(&self, request: &Request, _: &Call, at: At) -> Result<(), Reply> {
        if request.authorization("ssws") == Some(self.config.token.expose()) {
            return Ok(());
        }
        Err(with_limits(failure(401, "", at.number), at.now, None))
    }

    fn answer(&self, request: &Request, call: &Call, at: At, told: Option<&str>) -> Reply {
        let reply = match (&call.wrong, Route::of(request)) {
            (Some((status, message)), _) => failure(*status, message, at.number),
            (None, Some(route)) => self.do_it(&route, request, call.action, at, told),
            (None, None) => failure(404, "", at.number),
        };
        with_limits(reply, at.now, None)
    }

    fn untouched(&self, call: &Call) -> Vec<Effect> {
        let target = call.targets.first();
        let user = target.and_then(|id| self.user(id));
        let state = user.map(|user| user.status.to_string());
        vec![Effect {
            action: call.action,
            target: user.map(|user| user.id.clone()).or_else(|| target.cloned()),
            target_name: user.map(|user| user.login.clone()),
            before: state.clone(),
            after: state,
            ..Effect::default()
        }]
    }

    fn replay(&mut self, line: &LedgerLine) {
        if line.action == "reset" {
            self.users.clear();
            self.groups.clear();
        }
        if let Some(kept) = line.kept::<Kept>() {
            match kept {
                Kept::OktaUser(user) => drop(self.users.insert(user.id.clone(), user)),
                Kept::OktaGroup(group) => drop(self.groups.insert(group.id.clone(), group)),
            }
        }
    }

    fn decline(&self, no: &No, _: &Call, at: At) -> Reply {
        match no {
            No::Failed(status, text) => with_limits(failure(*status, text, at.number), at.now, None),
            No::TooMany(seconds) => with_limits(failure(429, "", at.number), at.now, Some(*seconds)),
            No::Expired => with_limits(failure(401, "", at.number), at.now, None),
        }
    }

    fn things(&self) -> Vec<Thing> {
        let users = self.users.values().map(User::thing);
        users.chain(self.groups.values().map(Group::thing)).collect()
    }

    fn thing(&self, record: &Value) -> Option<Thing> {
        Some(match Kept::deserialize(record).ok()? {
            Kept::OktaUser(user) => user.thing(),
            Kept::OktaGroup(group) => group.thing(),
        })
    }

    fn seed(&self) -> Vec<Thing> {
        let users = self.config.users.iter().map(User::thing);
        users.chain(self.config.groups.iter().map(Group::thing)).collect()
    }
}
