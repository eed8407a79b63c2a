//! What holds for every playbook here: those that ship pass, those that are broken say where and what to do.

mod broken;
mod bundles;
mod malware_on_host;
mod operators;
mod warned;

use serde_json::json;

use crate::clock::Time;
use crate::connector;
use crate::finding::{Activity, Attack, Entity, EntityType, Finding, Role, Rule, SeverityId};

pub(super) fn connectors() -> connector::Catalog {
    connector::Catalog::embedded().unwrap()
}

/// A high malware finding that affects these hosts.
pub(super) fn finding(hosts: &[&str]) -> Finding {
    Finding {
        id: Finding::id_for("splunk", "f-1"),
        source: "splunk".into(),
        uid: "f-1".into(),
        title: "Ransomware behaviour".into(),
        message: "many files were rewritten within a minute".into(),
        severity_id: SeverityId(4),
        severity: "high".into(),
        activity: Activity::Create,
        time: Time(1_795_000_000_000),
        rule: Rule {
            uid: "R-7".into(),
            name: "Endpoint - Ransomware - Rule".into(),
        },
        product: "Splunk".into(),
        attack: vec![Attack {
            technique: "T1486".into(),
            tactic: "TA0040".into(),
        }],
        url: "https://siem.example/f-1".into(),
        entities: hosts
            .iter()
            .filter_map(|host| Entity::new(EntityType::Host, Role::Affected, host))
            .chain(Entity::new(EntityType::Host, Role::Observed, "collector-01"))
            .collect(),
        entities_left_out: 0,
        raw: json!({ "result": { "dest": hosts } }),
    }
}
