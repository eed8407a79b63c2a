//! The finding itself, and the flat view of it that triggers and playbooks read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entity::{Entity, Role};
use super::severity::SeverityId;
use crate::clock::Time;
use crate::id::FindingId;

/// What the message says happened to the finding (OCSF `activity_id` of class 2004). Only `Create` may start
/// a containment; a closed or updated finding never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// It is new.
    Create,
    /// It is known and changed.
    Update,
    /// It is over.
    Close,
}

/// The sender's rule (OCSF `finding_info.analytic`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable id of the rule, else its name.
    pub uid: String,
    /// Its name.
    pub name: String,
}

/// One ATT&CK reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Technique id, `T1078.004`, or the sender's word where it gives no id.
    #[serde(default)]
    pub technique: String,
    /// Tactic id or name.
    #[serde(default)]
    pub tactic: String,
}

/// What a sender found. Fields are OCSF 2004's unless said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Ours: derived from source and `uid`.
    pub id: FindingId,
    /// Ours: the name of the source that delivered it.
    pub source: String,
    /// The sender's id (`finding_info.uid`), or a digest of what identifies it where there is none.
    pub uid: String,
    /// `finding_info.title`.
    pub title: String,
    /// `message` or `finding_info.desc`; may be empty.
    #[serde(default)]
    pub message: String,
    /// How bad.
    pub severity_id: SeverityId,
    /// The sender's own word or number for it.
    #[serde(default)]
    pub severity: String,
    /// New, updated or over.
    pub activity: Activity,
    /// When it happened, by the sender.
    pub time: Time,
    /// The rule that found it.
    #[serde(default)]
    pub rule: Rule,
    /// Product that found it (`metadata.product.name`).
    #[serde(default)]
    pub product: String,
    /// ATT&CK references.
    #[serde(default)]
    pub attack: Vec<Attack>,
    /// Link to the sender's page (`finding_info.src_url`); may be empty. Never fetched.
    #[serde(default)]
    pub url: String,
    /// Whom it names, with roles.
    #[serde(default)]
    pub entities: Vec<Entity>,
    /// How many entities were left out because they were too many or placeholders.
    #[serde(default)]
    pub entities_left_out: usize,
    /// The sender's own fields, as they came, for triggers (`raw.…`) and playbooks.
    #[serde(default)]
    pub raw: Value,
}

impl Finding {
    /// The id of the finding a source calls `uid`.
    pub fn id_for(source: &str, uid: &str) -> FindingId {
        FindingId::derive(&[source, uid])
    }

    /// Entities of one role.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Entity> {
        self.entities.iter().filter(move |entity| entity.role == role)
    }

    /// The flat view that triggers match: our names at the top, each role's entities as a list
    /// (`affected.type`, `actor.name`, `entity.uid`), the sender's fields under `raw`.
    pub fn as_event(&self) -> Value {
        let list = |role: Role| Value::Array(self.with_role(role).map(entity_event).collect());
        json!({
            "id": self.id,
            "source": self.source,
            "uid": self.uid,
            "title": self.title,
            "message": self.message,
            "severity": self.severity_id.word(),
            "severity_id": self.severity_id,
            "activity": self.activity,
            "time": self.time,
            "rule": { "uid": self.rule.uid, "name": self.rule.name },
            "product": self.product,
            "attack": self.attack.iter().map(|a| json!({"technique": a.technique, "tactic": a.tactic})).collect::<Vec<_>>(),
            "url": self.url,
            "actor": list(Role::Actor),
            "affected": list(Role::Affected),
            "observed": list(Role::Observed),
            "entity": self.entities.iter().map(entity_event).collect::<Vec<_>>(),
            "raw": self.raw,
        })
    }

    /// The names a trigger may use; `raw.` and `*.attributes.` lead into the sender's own fields.
    pub const FIELDS: [&'static str; 34] = [
        "id",
        "source",
        "uid",
        "title",
        "message",
        "severity",
        "severity_id",
        "activity",
        "time",
        "rule.uid",
        "rule.name",
        "product",
        "attack.technique",
        "attack.tactic",
        "url",
        "actor.type",
        "actor.name",
        "actor.uid",
        "actor.role",
        "affected.type",
        "affected.name",
        "affected.uid",
        "affected.role",
        "observed.type",
        "observed.name",
        "observed.uid",
        "observed.role",
        "entity.type",
        "entity.name",
        "entity.uid",
        "entity.role",
        "affected.ids",
        "actor.ids",
        "observed.ids",
    ];

    /// True when a trigger may name this field.
    pub fn is_field(name: &str) -> bool {
        let open = [
            "raw.",
            "actor.attributes.",
            "affected.attributes.",
            "observed.attributes.",
            "entity.attributes.",
            "actor.ids.",
            "affected.ids.",
            "observed.ids.",
            "entity.ids.",
        ];
        Finding::FIELDS.contains(&name)
            || open
                .iter()
                .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
    }
}

fn entity_event(entity: &Entity) -> Value {
    json!({
        "type": entity.kind,
        "role": entity.role,
        "name": entity.name,
        "uid": entity.uid,
        "ids": entity.ids,
        "attributes": entity.attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::EntityType;

    #[test]
    fn the_event_shows_entities_under_their_role() {
        let finding = Finding {
            id: Finding::id_for("splunk", "1"),
            source: "splunk".into(),
            uid: "1".into(),
            title: "Malware".into(),
            message: String::new(),
            severity_id: SeverityId(4),
            severity: "high".into(),
            activity: Activity::Create,
            time: Time(0),
            rule: Rule::default(),
            product: String::new(),
            attack: vec![],
            url: String::new(),
            entities: vec![
                Entity::new(EntityType::Host, Role::Affected, "web-07").unwrap(),
                Entity::new(EntityType::Ip, Role::Actor, "198.51.100.7").unwrap(),
            ],
            entities_left_out: 0,
            raw: json!({"result": {"host": "web-07"}}),
        };
        let event = finding.as_event();
        assert_eq!(event["affected"][0]["name"], "web-07");
        assert_eq!(event["actor"][0]["type"], "ip");
        assert_eq!(event["entity"].as_array().unwrap().len(), 2);
        assert_eq!(event["severity"], "high");
        let back: Finding = serde_json::from_value(serde_json::to_value(&finding).unwrap()).unwrap();
        assert_eq!(back, finding);
    }

    #[test]
    fn fields_are_known_or_open() {
        for known in [
            "affected.type",
            "raw.result.host",
            "entity.ids.okta",
            "severity_id",
        ] {
            assert!(Finding::is_field(known), "{known}");
        }
        for unknown in ["affected.tpye", "raw.", "host", "affected"] {
            assert!(!Finding::is_field(unknown), "{unknown}");
        }
    }
}
