//! Okta, as far as the connector uses it. Suspends only who is ACTIVE, answers everything else with the same 400,
//! forgets revoked tokens, and names the second its limit starts anew instead of a pause.

use std::collections::{BTreeMap, BTreeSet};

use cordon::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::double::{Ask, Double, Model, Reply};
use crate::row::{Lost, Open, Row, Twice, entity};

const ACTIVE: &str = "00uactive0000000bak1";
const SUSPENDED: &str = "00ususpended00000old";
const TWIN_A: &str = "00utwin0000000000aaa";
const TWIN_B: &str = "00utwin0000000000bbb";
const GROUP: &str = "00gadmins00000000001";

struct User {
    login: &'static str,
    email: &'static str,
    status: &'static str,
}

struct Okta {
    users: BTreeMap<&'static str, User>,
    members: BTreeSet<String>,
    api_tokens: BTreeMap<String, &'static str>,
    /// Tokens an application holds for a user.
    held: usize,
    cleared: usize,
}

impl Okta {
    fn new() -> Okta {
        let user = |login, email, status| User { login, email, status };
        Okta {
            users: BTreeMap::from([
                (
                    ACTIVE,
                    user("svc-backup@corp.example", "ops@corp.example", "ACTIVE"),
                ),
                (
                    SUSPENDED,
                    user("svc-old@corp.example", "old@corp.example", "SUSPENDED"),
                ),
                (TWIN_A, user("twin-a@corp.example", "twin@corp.example", "ACTIVE")),
                (TWIN_B, user("twin-b@corp.example", "Twin@corp.example", "ACTIVE")),
            ]),
            members: BTreeSet::from([SUSPENDED.to_owned()]),
            api_tokens: BTreeMap::from([
                ("00Tdeploy".to_owned(), ACTIVE),
                ("00Tother".to_owned(), SUSPENDED),
            ]),
            held: 2,
            cleared: 0,
        }
    }

    fn shown(&self, id: &str) -> Value {
        let user = &self.users[id];
        json!({ "id": id, "status": user.status, "statusChanged": "2026-11-01T00:00:00.000Z", "lastLogin": null,
            "profile": { "login": user.login, "email": user.email } })
    }

    fn found(&self, id_or_login: &str) -> Option<&'static str> {
        let short = format!("{id_or_login}@");
        let mut by_name = self
            .users
            .iter()
            .filter(|(_, user)| user.login == id_or_login || user.login.starts_with(&short));
        self.users
            .get_key_value(id_or_login)
            .map(|(id, _)| *id)
            .or(by_name.next().map(|(id, _)| *id))
    }
}

fn error(status: u16, summary: &str) -> Reply {
    Reply::of(
        status,
        json!({ "errorCode": "E0000001", "errorSummary": summary, "errorCauses": [] }),
    )
}

impl Model for Okta {
    fn connector(&self) -> &'static str {
        "okta"
    }

    fn authorization(&self) -> &'static str {
        "SSWS token-of-the-battery"
    }

    fn too_many(&self) -> Reply {
        // The limit starts anew on a whole second, at least one from now.
        let reset = SystemClock.now().0 / 1_000 + 2;
        error(429, "API call exceeded rate limit").with("x-rate-limit-reset", reset.to_string())
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        match ask.route() {
            ("GET", p) if p == ["api", "v1", "users"] => {
                let wanted = ask
                    .query("search")
                    .trim_start_matches("profile.email eq \"")
                    .trim_end_matches('"')
                    .to_owned();
                let found = self
                    .users
                    .iter()
                    .filter(|(_, user)| user.email.eq_ignore_ascii_case(&wanted));
                Reply::of(200, found.map(|(id, _)| self.shown(id)).collect())
            }
            ("GET", p) if p.len() == 4 && p[2] == "users" => match self.found(p[3]) {
                Some(id) => Reply::of(200, self.shown(id)),
                None => error(404, "Not found: Resource not found"),
            },
            ("POST", p) if p.len() == 6 && p[4] == "lifecycle" => {
                let Some(user) = self.users.get_mut(p[3]) else {
                    return error(404, "Not found");
                };
                let (from, to) = if p[5] == "suspend" {
                    ("ACTIVE", "SUSPENDED")
                } else {
                    ("SUSPENDED", "ACTIVE")
                };
                if user.status != from {
                    return error(400, "Api validation failed");
                }
                user.status = to;
                Reply::did(200, json!({}))
            }
            ("DELETE", p) if p.len() == 5 && p[4] == "sessions" => {
                assert_eq!(ask.query("oauthTokens"), "true");
                self.cleared += 1;
                Reply::did(204, Value::Null)
            }
            ("GET", p) if p.len() == 5 && p[4] == "clients" => {
                let clients = if p[3] == ACTIVE {
                    vec![json!({ "client_id": "0oaapp", "client_name": "CI" })]
                } else {
                    vec![]
                };
                Reply::of(200, Value::Array(clients))
            }
            (method, p) if p.len() == 7 && p[6] == "tokens" => {
                if p[3] != ACTIVE || p[5] != "0oaapp" {
                    return error(404, "Not found");
                }
                if method == "GET" {
                    return Reply::of(
                        200,
                        (0..self.held)
                            .map(|n| json!({ "id": format!("oar{n}") }))
                            .collect(),
                    );
                }
                self.held = 0;
                Reply::did(204, Value::Null)
            }
            ("GET", p) if p == ["api", "v1", "api-tokens"] => {
                // Two pages, so that the second has to be asked for.
                let all: Vec<Value> = self
                    .api_tokens
                    .iter()
                    .map(|(id, owner)| json!({ "id": id, "userId": owner, "name": "deploy" }))
                    .collect();
                let (first, second) = all.split_at(all.len().min(1));
                if ask.query("after") == "page2" {
                    return Reply::of(200, second.to_vec().into());
                }
                let own = "<https://corp.okta.example/api/v1/api-tokens?limit=200>; rel=\"self\"";
                let next =
                    "<https://corp.okta.example/api/v1/api-tokens?after=page2&limit=200>; rel=\"next\"";
                Reply::of(200, first.to_vec().into())
                    .with("link", own)
                    .with("link", next)
            }
            ("GET", p) if p.len() == 4 && p[2] == "api-tokens" => match self.api_tokens.contains_key(p[3]) {
                true => Reply::of(200, json!({ "id": p[3] })),
                false => error(404, "Not found"),
            },
            ("DELETE", p) if p.len() == 4 && p[2] == "api-tokens" => match self.api_tokens.remove(p[3]) {
                Some(_) => Reply::did(204, Value::Null),
                None => error(404, "Not found"),
            },
            ("GET", p) if p == ["api", "v1", "groups"] => {
                let group = |id, name| json!({ "id": id, "profile": { "name": name } });
                Reply::of(
                    200,
                    json!([group(GROUP, "admins"), group("00gother000000000002", "admins-eu")]),
                )
            }
            ("GET", p) if p.len() == 5 && p[4] == "groups" => {
                let groups = if self.members.contains(p[3]) {
                    vec![json!({ "id": GROUP })]
                } else {
                    vec![]
                };
                Reply::of(200, Value::Array(groups))
            }
            (method, p) if p.len() == 6 && p[2] == "groups" && p[3] == GROUP && p[4] == "users" => {
                if method == "PUT" {
                    self.members.insert(p[5].to_owned());
                } else {
                    self.members.remove(p[5]);
                }
                Reply::did(204, Value::Null)
            }
            other => panic!("Okta has no {other:?}"),
        }
    }

    fn state(&self) -> Value {
        let statuses: BTreeMap<&str, &str> = self.users.iter().map(|(id, user)| (*id, user.status)).collect();
        json!({ "users": statuses, "members": self.members, "tokens": self.api_tokens, "held": self.held, "cleared": self.cleared })
    }
}

const CHANGES: Open = || Box::pin(Double::start(Okta::new()));
const READS: Open = || Box::pin(Double::start_for_reading(Okta::new()));

pub fn rows() -> Vec<Row> {
    let active = || entity("service_account", "svc-backup@corp.example");
    let suspended = || entity("service_account", "svc-old");
    let row = |action, open, target| {
        Row::new(action, open, target)
            .unknown(entity("user", "svc-nobody@corp.example"))
            .ambiguous(entity("user", "twin@corp.example"))
    };
    let group = || json!({ "group": "admins" });
    let token = |id: &str| {
        let mut token = entity("token", id);
        token["ids"] = json!({ "okta": id });
        token
    };
    vec![
        row("okta::suspend_user", CHANGES, active()),
        row("okta::unsuspend_user", CHANGES, suspended()),
        row("okta::clear_sessions", CHANGES, active())
            .twice(Twice::Again)
            .lost(Lost::Repeated),
        row("okta::list_tokens", READS, active()),
        Row::new("okta::revoke_token", CHANGES, token("api-token/00Tdeploy"))
            .unknown(token("api-token/00Tnobody"))
            .twice(Twice::Gone),
        row("okta::add_member", CHANGES, active()).options(group()),
        row("okta::remove_member", CHANGES, suspended()).options(group()),
        row("okta::lookup_user", READS, active()),
    ]
}
