//! What each call does: a `match` with one arm per route. Decides only; nothing is true before the ledger has it.

use serde_json::{Value, json};

use super::super::vendor::{At, Effect, Reply, Request, record};
use super::call::Route;
use super::envelope::{api_token, cleared, client, failure, grant, group, nothing, token, user};
use super::person::{Kept, STEPS, User};
use super::state::Okta;

/// Longest list in one answer (the vendor's default page).
const LIST_MAX: usize = 200;

impl Okta {
    pub(super) fn do_it(
        &self,
        route: &Route,
        request: &Request,
        action: &'static str,
        at: At,
        told: Option<&str>,
    ) -> Reply {
        let done = match route {
            Route::FindUsers => self.find_users(request, told),
            Route::User(id) => self.known(id).map(|it| Reply::json(200, user(it, told))),
            Route::Lifecycle(id, verb) => self.walk(id, verb),
            Route::ClearSessions(id) => self.clear_sessions(id, request, at),
            Route::Clients(id) => self.known(id).map(|it| {
                let mut clients: Vec<&str> = it.tokens.iter().map(|token| token.client.as_str()).collect();
                clients.sort_unstable();
                clients.dedup();
                list(clients.into_iter().map(client))
            }),
            Route::Tokens(id, of) => self.known(id).map(|it| {
                let tokens = it.tokens.iter().filter(|token| token.client == *of);
                list(tokens.map(|one| token(it, one)))
            }),
            Route::RevokeTokens(id, of) => self.known(id).map(|it| {
                let mut after = it.clone();
                after.tokens.retain(|token| token.client != *of);
                nothing().with(vec![Okta::change(action, it, after, User::access)])
            }),
            Route::RevokeToken(id, of, one) => self.known(id).and_then(|it| {
                let held = |token: &super::OauthToken| token.id == *one && token.client == *of;
                if !it.tokens.iter().any(held) {
                    return Err(missing(one, "Token"));
                }
                let mut after = it.clone();
                after.tokens.retain(|token| !held(token));
                Ok(nothing().with(vec![gone(action, one, it, after)]))
            }),
            Route::Grants(id) => self
                .known(id)
                .map(|it| list(it.grants.iter().map(|one| grant(it, one)))),
            Route::RevokeGrants(id) => self.known(id).map(|it| {
                let mut after = it.clone();
                after.grants.clear();
                let word = |user: &User| format!("{} grants", user.grants.len());
                nothing().with(vec![Okta::change(action, it, after, word)])
            }),
            Route::RevokeGrant(id, one) => self.known(id).and_then(|it| {
                if !it.grants.iter().any(|grant| grant.id == *one) {
                    return Err(missing(one, "OAuth2Grant"));
                }
                let mut after = it.clone();
                after.grants.retain(|grant| grant.id != *one);
                Ok(nothing().with(vec![gone(action, one, it, after)]))
            }),
            Route::GroupsOf(id) => self.known(id).map(|it| {
                let groups = self
                    .groups
                    .values()
                    .filter(|group| group.members.contains(&it.id));
                list(groups.map(group))
            }),
            Route::ApiTokens => {
                let users = self.users.values();
                let tokens = users.flat_map(|it| it.api_tokens.iter().map(|one| api_token(it, one)));
                Ok(list(tokens))
            }
            Route::ApiToken(id) => self
                .owner(|user| &user.api_tokens, |token| token.id == *id)
                .map(|(it, one)| Reply::json(200, api_token(it, one)))
                .ok_or_else(|| missing(id, "ApiToken")),
            Route::RevokeApiToken(id) => {
                let owner = self.owner(|user| &user.api_tokens, |token| token.id == *id);
                owner.ok_or_else(|| missing(id, "ApiToken")).map(|(it, _)| {
                    let mut after = it.clone();
                    after.api_tokens.retain(|token| token.id != *id);
                    nothing().with(vec![gone(action, id, it, after)])
                })
            }
            Route::FindGroups => self.find_groups(request),
            Route::Group(id) => self
                .group(id)
                .map(|it| Reply::json(200, group(it)))
                .ok_or_else(|| missing(id, "UserGroup")),
            Route::Members(id) => self
                .group(id)
                .map(|it| {
                    let members = it.members.iter().filter_map(|id| self.users.get(id));
                    list(members.map(|it| user(it, told)))
                })
                .ok_or_else(|| missing(id, "UserGroup")),
            Route::AddMember(group, id) => self.member(action, group, id, true),
            Route::RemoveMember(group, id) => self.member(action, group, id, false),
            Route::Log => Ok(self.log(request)),
        };
        match done {
            Ok(reply) if reply.done && reply.effects.is_empty() => {
                reply.with(vec![self.reading(route, action)])
            }
            Ok(reply) => reply,
            Err((status, message)) => failure(status, &message, at.number),
        }
    }

    fn reading(&self, route: &Route, action: &'static str) -> Effect {
        let mut effect = Effect::read(action);
        if let Route::User(id) = route
            && let Some(user) = self.user(id)
        {
            effect.target = Some(user.id.clone());
            effect.target_name = Some(user.login.clone());
            effect.before = Some(user.status.to_string());
            effect.after.clone_from(&effect.before);
        }
        effect
    }

    fn known(&self, id: &str) -> Result<&User, (u16, String)> {
        self.user(id).ok_or_else(|| missing(id, "User"))
    }

    fn walk(&self, id: &str, verb: &'static str) -> Result<Reply, (u16, String)> {
        let before = self.known(id)?;
        let step = STEPS.iter().find(|(name, ..)| *name == verb);
        let Some((_, _, to)) = step.filter(|(_, from, _)| from.contains(&before.status)) else {
            let why = format!("Cannot {verb} a user whose status is {}.", before.status);
            return Err((400, why));
        };
        let mut after = before.clone();
        after.status = *to;
        if verb == "deactivate" {
            // The vendor ends everything with the account; only the entry stays.
            (after.sessions, after.tokens, after.grants) = (0, Vec::new(), Vec::new());
        }
        let effect = Okta::change(verb, before, after, |user| user.status.to_string());
        Ok(Reply::json(200, json!({})).with(vec![effect]))
    }

    fn clear_sessions(&self, id: &str, request: &Request, at: At) -> Result<Reply, (u16, String)> {
        let before = self.known(id)?;
        let mut after = before.clone();
        after.sessions = 0;
        after.sessions_cleared_at_ms = Some(at.now.0);
        if request.parameters("oauthTokens").iter().any(|it| it == "true") {
            after.tokens.clear();
        }
        Ok(nothing().with(vec![Okta::change("clear_sessions", before, after, User::access)]))
    }

    fn member(
        &self,
        action: &'static str,
        group: &str,
        id: &str,
        wanted: bool,
    ) -> Result<Reply, (u16, String)> {
        let group = self.group(group).ok_or_else(|| missing(group, "UserGroup"))?;
        let user = self.known(id)?;
        let word = |is: bool| {
            Some(if is {
                format!("in {}", group.name)
            } else {
                format!("not in {}", group.name)
            })
        };
        let was = group.members.contains(&user.id);
        let mut after = group.clone();
        after.members.retain(|member| *member != user.id);
        if wanted {
            after.members.push(user.id.clone());
        }
        Ok(nothing().with(vec![Effect {
            action,
            target: Some(user.id.clone()),
            target_name: Some(user.login.clone()),
            applied: true,
            before: word(was),
            after: word(wanted),
            record: record(&Kept::OktaGroup(after)),
        }]))
    }

    fn find_users(&self, request: &Request, told: Option<&str>) -> Result<Reply, (u16, String)> {
        let wanted = Wanted::read(request)?;
        let users = self.users.values().filter(|it| match &wanted {
            Wanted::All => true,
            Wanted::Begins(text) => [&it.login, &it.email, &it.display_name]
                .iter()
                .any(|field| begins(field, text)),
            Wanted::Is(field, value) => match field.as_str() {
                "id" => it.id == *value,
                "profile.login" => it.login.eq_ignore_ascii_case(value),
                "profile.email" => it.email.eq_ignore_ascii_case(value),
                "status" => it.status.as_str() == value,
                _ => false,
            },
        });
        Ok(list(users.map(|it| user(it, told))))
    }

    fn find_groups(&self, request: &Request) -> Result<Reply, (u16, String)> {
        let wanted = Wanted::read(request)?;
        let groups = self.groups.values().filter(|it| match &wanted {
            Wanted::All => true,
            Wanted::Begins(text) => begins(&it.name, text),
            Wanted::Is(field, value) => match field.as_str() {
                "id" => it.id == *value,
                "profile.name" => it.name == *value,
                _ => false,
            },
        });
        Ok(list(groups.map(group)))
    }

    /// Cleared sessions, of the user whose id stands in the filter where there is one.
    fn log(&self, request: &Request) -> Reply {
        let filter = request.parameters("filter").concat();
        let since = request
            .parameters("since")
            .first()
            .and_then(|text| crate::clock::Time::parse(text));
        let users = self
            .users
            .values()
            .filter(|user| !filter.contains("target.id") || filter.contains(&format!("\"{}\"", user.id)));
        let entries = users.filter_map(|user| {
            let at_ms = user.sessions_cleared_at_ms?;
            since
                .is_none_or(|since| at_ms >= since.0)
                .then(|| cleared(user, at_ms))
        });
        list(entries)
    }
}

/// What a search asks for.
enum Wanted {
    All,
    Begins(String),
    Is(String, String),
}

impl Wanted {
    fn read(request: &Request) -> Result<Wanted, (u16, String)> {
        let first = |name: &str| request.parameters(name).into_iter().next();
        if let Some(text) = first("q") {
            return Ok(Wanted::Begins(text));
        }
        let Some(text) = first("search").or_else(|| first("filter")) else {
            return Ok(Wanted::All);
        };
        let refused = || (400, format!("Invalid search criteria: {text}"));
        let (field, value) = text.split_once(" eq ").ok_or_else(refused)?;
        let known = ["id", "profile.login", "profile.email", "profile.name", "status"];
        if !known.contains(&field) {
            return Err(refused());
        }
        // JSON's own rules for a text in quotes: what was not escaped does not end where it should.
        let value = serde_json::from_str::<String>(value.trim()).map_err(|_| refused())?;
        Ok(Wanted::Is(field.to_owned(), value))
    }
}

fn list(values: impl Iterator<Item = Value>) -> Reply {
    Reply::json(200, Value::Array(values.take(LIST_MAX).collect()))
}

fn missing(id: &str, kind: &str) -> (u16, String) {
    (404, format!("Resource not found: {id} ({kind})"))
}

fn begins(field: &str, text: &str) -> bool {
    field.to_lowercase().starts_with(&text.to_lowercase())
}

/// Something of a user that is no more.
fn gone(action: &'static str, id: &str, owner: &User, after: User) -> Effect {
    Effect {
        action,
        target: Some(id.to_owned()),
        target_name: Some(owner.login.clone()),
        applied: true,
        before: Some("active".to_owned()),
        after: Some("revoked".to_owned()),
        record: record(&Kept::OktaUser(after)),
    }
}
