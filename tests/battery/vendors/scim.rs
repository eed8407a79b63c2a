//! A SCIM server with versions: a PATCH against another version than the present one is answered 412.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::double::{Ask, Double, Model, Reply};
use crate::row::{Open, Row, entity};

struct Scim {
    users: BTreeMap<&'static str, (&'static str, bool)>,
    members: BTreeSet<String>,
    version: u32,
}

impl Scim {
    fn new() -> Scim {
        Scim {
            users: BTreeMap::from([
                ("u-1", ("svc-backup", true)),
                ("u-2", ("svc-old", false)),
                ("u-3", ("Twin", true)),
                ("u-4", ("twin", true)),
            ]),
            members: BTreeSet::from(["u-2".to_owned()]),
            version: 1,
        }
    }

    fn shown(&self, id: &str) -> Value {
        let (name, active) = self.users[id];
        json!({ "id": id, "userName": name, "active": active, "meta": { "version": self.tag() } })
    }

    fn group(&self) -> Value {
        let members: Vec<Value> = self.members.iter().map(|id| json!({ "value": id })).collect();
        json!({ "id": "g-1", "displayName": "admins", "members": members, "meta": { "version": self.tag() } })
    }

    fn tag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }

    /// The value that a filter compares with.
    fn wanted(ask: &Ask) -> String {
        let quoted = ask.query("filter").split_once(" eq ").unwrap().1;
        serde_json::from_str(quoted).unwrap()
    }
}

fn found(list: Vec<Value>) -> Reply {
    Reply::of(200, json!({ "totalResults": list.len(), "Resources": list }))
}

impl Model for Scim {
    fn connector(&self) -> &'static str {
        "scim"
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        assert_eq!(ask.headers["accept"], "application/scim+json");
        match ask.route() {
            ("GET", p) if p == ["Users"] => {
                let wanted = Scim::wanted(ask);
                let users = self
                    .users
                    .iter()
                    .filter(|(_, (name, _))| name.eq_ignore_ascii_case(&wanted));
                found(users.map(|(id, _)| self.shown(id)).collect())
            }
            ("GET", p) if p == ["Groups"] => {
                let named = Scim::wanted(ask) == "admins";
                found(if named { vec![self.group()] } else { vec![] })
            }
            ("GET", p) if p[0] == "Users" && self.users.contains_key(p[1]) => {
                Reply::of(200, self.shown(p[1])).with("etag", self.tag())
            }
            ("GET", p) if p == ["Groups", "g-1"] => Reply::of(200, self.group()).with("etag", self.tag()),
            ("GET", _) => Reply::of(404, json!({ "status": "404", "detail": "not found" })),
            ("PATCH", p) => {
                assert_eq!(ask.headers["content-type"], "application/scim+json");
                if ask.headers.get("if-match") != Some(&self.tag()) {
                    return Reply::of(412, json!({ "status": "412", "detail": "version mismatch" }));
                }
                self.version += 1;
                let operation = &ask.body["Operations"][0];
                match (
                    p[0],
                    operation["op"].as_str().unwrap(),
                    operation["path"].as_str().unwrap(),
                ) {
                    ("Users", "replace", "active") => {
                        let user = self.users.iter_mut().find(|(id, _)| **id == p[1]).unwrap().1;
                        user.1 = operation["value"].as_bool().unwrap();
                    }
                    ("Groups", "add", "members") => {
                        self.members
                            .insert(operation["value"][0]["value"].as_str().unwrap().to_owned());
                    }
                    ("Groups", "remove", path) => {
                        let id = path
                            .trim_start_matches("members[value eq \"")
                            .trim_end_matches("\"]");
                        assert!(self.members.remove(id), "{path}");
                    }
                    other => panic!("{other:?}"),
                }
                Reply::did(204, Value::Null)
            }
            other => panic!("SCIM has no {other:?}"),
        }
    }

    fn state(&self) -> Value {
        let active: BTreeMap<&str, bool> = self
            .users
            .iter()
            .map(|(id, (_, active))| (*id, *active))
            .collect();
        json!({ "active": active, "members": self.members })
    }
}

const CHANGES: Open = || Box::pin(Double::start(Scim::new()));
const READS: Open = || Box::pin(Double::start_for_reading(Scim::new()));

pub fn rows() -> Vec<Row> {
    let row = |action, open, name| {
        Row::new(action, open, entity("user", name))
            .unknown(entity("user", "svc-nobody"))
            .ambiguous(entity("user", "twin"))
    };
    let group = || json!({ "group": "admins" });
    vec![
        row("scim::suspend_user", CHANGES, "svc-backup"),
        row("scim::restore_user", CHANGES, "svc-old"),
        row("scim::add_member", CHANGES, "svc-backup").options(group()),
        row("scim::remove_member", CHANGES, "svc-old").options(group()),
        row("scim::lookup_user", READS, "svc-backup"),
    ]
}
