//! Who and what a finding names. The role matters more than the name: containing the victim's DNS server
//! because it stood first in a list is the accident this file prevents.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The attribute that names the principal an entity was found to be, from the operator's `[identities]`.
pub const IDENTITY: &str = "identity";
/// The attribute that lists the principal's other names.
pub const ALIASES: &str = "identity_aliases";

/// What kind of thing an entity is. Non-human identities come first because they are why we are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityType {
    /// An account no person logs in with (OCSF `user.type_id` 4, Service).
    ServiceAccount,
    /// An API or access key, by its public id, never its secret.
    AccessKey,
    /// An issued token, by its public id.
    Token,
    /// A workload: container, pod, function, job.
    Workload,
    /// An application or OAuth client.
    App,
    /// A session of an account.
    Session,
    /// A person's account.
    User,
    /// A computer.
    Host,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A DNS name.
    Domain,
    /// A web address.
    Url,
    /// A file, by path or digest.
    File,
    /// A process on a host.
    Process,
    /// An e-mail message or mailbox.
    Email,
    /// A repository of source code.
    Repository,
    /// A cloud resource or anything else with an id.
    Resource,
}

impl EntityType {
    /// Every type, in the order they are listed in the documentation.
    pub const ALL: [EntityType; 16] = [
        EntityType::ServiceAccount,
        EntityType::AccessKey,
        EntityType::Token,
        EntityType::Workload,
        EntityType::App,
        EntityType::Session,
        EntityType::User,
        EntityType::Host,
        EntityType::Ip,
        EntityType::Domain,
        EntityType::Url,
        EntityType::File,
        EntityType::Process,
        EntityType::Email,
        EntityType::Repository,
        EntityType::Resource,
    ];

    /// The word in findings, triggers and playbooks.
    pub fn word(self) -> &'static str {
        match self {
            EntityType::ServiceAccount => "service_account",
            EntityType::AccessKey => "access_key",
            EntityType::Token => "token",
            EntityType::Workload => "workload",
            EntityType::App => "app",
            EntityType::Session => "session",
            EntityType::User => "user",
            EntityType::Host => "host",
            EntityType::Ip => "ip",
            EntityType::Domain => "domain",
            EntityType::Url => "url",
            EntityType::File => "file",
            EntityType::Process => "process",
            EntityType::Email => "email",
            EntityType::Repository => "repository",
            EntityType::Resource => "resource",
        }
    }

    /// The type for its word.
    pub fn from_word(word: &str) -> Option<EntityType> {
        EntityType::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// The part an entity plays in the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It did what was found: the attacker's address, the account that was misused from outside.
    Actor,
    /// It suffered it, or is in the attacker's hands: what containment acts on.
    Affected,
    /// It was only seen.
    Observed,
}

impl Role {
    /// The word in findings, triggers and playbooks.
    pub fn word(self) -> &'static str {
        match self {
            Role::Actor => "actor",
            Role::Affected => "affected",
            Role::Observed => "observed",
        }
    }
}

/// One thing a finding names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntityType,
    /// The part it plays.
    pub role: Role,
    /// The name people use: host name, login, key id.
    pub name: String,
    /// The sender's stable id where it gives one, else the name.
    pub uid: String,
    /// Ids in other systems, by the connector's name: `{"crowdstrike": "6f1a…"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<String, String>,
    /// Whatever else the sender said of it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub attributes: serde_json::Map<String, Value>,
}

impl Entity {
    /// The names of the principal it was found to be, where it was: its own and its aliases.
    pub fn known_as(&self) -> impl Iterator<Item = &str> {
        let name = self.attributes.get(IDENTITY).and_then(Value::as_str);
        let aliases = self.attributes.get(ALIASES).and_then(Value::as_array);
        name.into_iter()
            .chain(aliases.into_iter().flatten().filter_map(Value::as_str))
    }

    /// An entity, or `None` when the name is a placeholder or does not parse as its type: such a value must
    /// never become a target.
    pub fn new(kind: EntityType, role: Role, name: &str) -> Option<Entity> {
        let name = name.trim();
        if !is_valid(kind, name) {
            return None;
        }
        Some(Entity {
            kind,
            role,
            name: name.to_owned(),
            uid: name.to_owned(),
            ids: BTreeMap::new(),
            attributes: serde_json::Map::new(),
        })
    }

    /// The same, with the sender's stable id unless that is a placeholder.
    pub fn with_uid(mut self, uid: &str) -> Entity {
        if !is_placeholder(uid) {
            self.uid = uid.trim().to_owned();
        }
        self
    }

    /// True when name and uid could be a real thing of this type. Checked again before anything is done to it.
    pub fn is_real(&self) -> bool {
        is_valid(self.kind, &self.name) && !is_placeholder(&self.uid)
    }

    /// `host web-07`, for people.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind.word().replace('_', " "), self.name)
    }
}

fn is_valid(kind: EntityType, name: &str) -> bool {
    if is_placeholder(name) || name.chars().any(char::is_control) {
        return false;
    }
    if name.chars().count() > crate::limits::ALERT_TEXT_CHARS_MAX {
        return false;
    }
    match kind {
        EntityType::Ip => name.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified()),
        EntityType::Host | EntityType::Domain => {
            !name
                .chars()
                .any(|c| c.is_whitespace() || matches!(c, '/' | '\'' | '"' | '\\' | '*' | '?' | ','))
                && !name.starts_with(['-', '.'])
                && !name
                    .parse::<IpAddr>()
                    .is_ok_and(|ip| ip.is_unspecified() || ip.is_loopback())
                && !name.eq_ignore_ascii_case("localhost")
        }
        _ => true,
    }
}

/// True for what senders write when they have no value. Compared without case and outer white space.
pub fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 23] = [
        "",
        "-",
        "--",
        "n/a",
        "na",
        "n.a.",
        "none",
        "null",
        "nil",
        "undefined",
        "unknown",
        "(unknown)",
        "<unknown>",
        "(null)",
        "empty",
        "not available",
        "not applicable",
        "tbd",
        "0",
        "0.0.0.0",
        "::",
        "0001-01-01",
        "1970-01-01",
    ];
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    WORDS.contains(&lower.as_str())
        // What GuardDuty writes into sample findings.
        || lower.starts_with("generatedfinding")
        || (text.starts_with('{') && text.ends_with('}'))
        || (text.starts_with('<') && text.ends_with('>'))
        || (text.starts_with("${") || text.starts_with("{{") || text.starts_with("$result."))
        || text == "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_never_become_entities() {
        for name in [
            "",
            " ",
            "n/a",
            "N/A",
            "-",
            "Unknown",
            "None",
            "{object}",
            "<blacklisted-ip>",
            "$result.host$",
            "*",
        ] {
            assert!(
                Entity::new(EntityType::Host, Role::Affected, name).is_none(),
                "{name}"
            );
        }
        for ip in ["0.0.0.0", "::", "10.0.0.#36859", "10.0.0.256", "n/a"] {
            assert!(Entity::new(EntityType::Ip, Role::Observed, ip).is_none(), "{ip}");
        }
        for host in [
            "localhost",
            "127.0.0.1",
            "a b",
            "x'or'1",
            "../etc",
            "-rf",
            "a,b",
            "web\n07",
        ] {
            assert!(
                Entity::new(EntityType::Host, Role::Affected, host).is_none(),
                "{host}"
            );
        }
    }

    #[test]
    fn real_names_become_entities() {
        let host = Entity::new(EntityType::Host, Role::Affected, " web-07.corp.example ").unwrap();
        assert_eq!(
            (host.name.as_str(), host.uid.as_str()),
            ("web-07.corp.example", "web-07.corp.example")
        );
        assert_eq!(host.clone().with_uid("n/a").uid, "web-07.corp.example");
        assert_eq!(host.with_uid("6f1a").uid, "6f1a");
        assert!(Entity::new(EntityType::Ip, Role::Actor, "2001:db8::1").is_some());
        assert!(Entity::new(EntityType::ServiceAccount, Role::Affected, "svc backup").is_some());
    }

    #[test]
    fn every_type_has_a_word_that_reads_back() {
        for kind in EntityType::ALL {
            assert_eq!(EntityType::from_word(kind.word()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }
}
