//! The least that each connector instance has to be granted so that the playbooks can do what they say: the
//! permissions of every action they can come to, of what undoes it, and of nothing else. What finds, reads before and
//! reads back belongs to an action's own permission.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;

use super::catalog::Playbook;
use crate::action::{ActionName, ActionSpec};
use crate::connector::{CAPABILITIES, Catalog, Instances};

/// What one instance has to be granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Need {
    /// The connector it uses.
    pub connector: String,
    /// The permissions, in the vendor's words, each once.
    pub permissions: BTreeSet<String>,
    /// The actions behind them.
    pub actions: BTreeMap<ActionName, Reason>,
}

/// Why an action is among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What it needs, as its manifest has it.
    pub permission: String,
    /// Playbooks that can come to it.
    pub playbooks: BTreeSet<String>,
    /// Actions that it undoes.
    pub undoes: BTreeSet<ActionName>,
}

/// What playbooks need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// By instance.
    pub instances: BTreeMap<String, Need>,
    /// Calls that no instance here can do, and the playbooks that make them.
    pub unbound: BTreeMap<ActionName, BTreeSet<String>>,
}

/// What these playbooks need of these instances. An instance counts for a capability when its connector provides
/// it: which entities it owns is only known when there is one.
pub fn needs<'a>(
    playbooks: impl Iterator<Item = &'a Playbook>,
    connectors: &Catalog,
    instances: &Instances,
) -> Needs {
    let mut needs = Needs::default();
    for playbook in playbooks {
        let id = &playbook.manifest.id;
        for call in &playbook.reaches {
            let mut bound = false;
            for instance in &instances.all {
                let Some(connector) = connectors.connector(&instance.connector) else {
                    continue;
                };
                let need = || Need {
                    connector: instance.connector.clone(),
                    ..Need::default()
                };
                let specs = connector.manifest.actions.iter().filter(|spec| does(spec, call));
                for spec in specs {
                    bound = true;
                    let entry = needs.instances.entry(instance.name.clone()).or_insert_with(need);
                    let undo = spec.undo.as_ref().map(|undo| &undo.action);
                    entry.add(spec).playbooks.insert(id.clone());
                    let undoing = undo.and_then(|name| connector.manifest.action(name.verb()));
                    if let Some(undoing) = undoing {
                        let reason = entry.add(undoing);
                        reason.playbooks.insert(id.clone());
                        reason.undoes.insert(spec.name.clone());
                    }
                }
            }
            if !bound {
                needs.unbound.entry(call.clone()).or_default().insert(id.clone());
            }
        }
    }
    needs
}

impl Need {
    fn add(&mut self, spec: &ActionSpec) -> &mut Reason {
        self.permissions.extend(parts(&spec.permission));
        let reason = self.actions.entry(spec.name.clone()).or_default();
        reason.permission.clone_from(&spec.permission);
        reason
    }
}

fn does(spec: &ActionSpec, call: &ActionName) -> bool {
    if CAPABILITIES.contains(&call.namespace()) {
        spec.provides.as_ref() == Some(call)
    } else {
        spec.name == *call
    }
}

/// A permission in its parts, where it is a list of them: `Hosts: read, Hosts: write`, or actions of IAM. What is
/// written as a sentence stays one.
fn parts(permission: &str) -> Vec<String> {
    let parts: Vec<&str> = permission.split(',').map(str::trim).collect();
    if parts
        .iter()
        .all(|part| part.contains(':') && !part.contains(['(', ')']))
    {
        return parts.into_iter().map(str::to_owned).collect();
    }
    vec![permission.trim().to_owned()]
}

/// Whether a permission is an action of AWS IAM, such as `iam:UpdateAccessKey`.
fn is_of_iam(permission: &str) -> bool {
    let is_name = |text: &str, extra: &[char]| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || extra.contains(&c))
    };
    permission.split_once(':').is_some_and(|(service, action)| {
        is_name(service, &['-'])
            && is_name(action, &['*'])
            && !service.contains(|c: char| c.is_ascii_uppercase())
    })
}

impl Need {
    /// The permissions as a policy document of AWS IAM (version 2012-10-17), one statement for each service;
    /// none where the instance needs none of IAM. `resources` are what it is limited to, everything where none is
    /// named.
    pub fn iam_policy(&self, resources: &[String]) -> Option<serde_json::Value> {
        let mut services: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for permission in self.permissions.iter().filter(|one| is_of_iam(one)) {
            let service = permission.split(':').next().unwrap_or_default();
            services.entry(service).or_default().push(permission);
        }
        if services.is_empty() {
            return None;
        }
        let everything = ["*".to_owned()];
        let statements = services.into_iter().map(|(service, actions)| {
            // A resource belongs to the service that stands third in its name, and `*` to every one.
            let own: Vec<&String> = resources
                .iter()
                .filter(|one| one.split(':').nth(2).is_none_or(|of| of == service))
                .collect();
            let own = if own.is_empty() {
                everything.iter().collect()
            } else {
                own
            };
            let letters = service.chars().filter(char::is_ascii_alphanumeric);
            let sid = format!("Cordon{}", letters.collect::<String>());
            json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": own })
        });
        Some(json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_and_sentences_are_not() {
        assert_eq!(
            parts("Hosts: read, Hosts: write"),
            ["Hosts: read", "Hosts: write"]
        );
        assert_eq!(
            parts("iam:GetUser,iam:PutUserPolicy"),
            ["iam:GetUser", "iam:PutUserPolicy"]
        );
        for sentence in [
            "a member of the room, with the right to write",
            "role with View users (API scopes a: b, c: d)",
        ] {
            assert_eq!(parts(sentence), [sentence]);
        }
    }

    #[test]
    fn a_policy_has_one_statement_for_each_service_and_its_own_resources() {
        let need = Need {
            permissions: [
                "iam:GetUser",
                "iam:UpdateAccessKey",
                "secretsmanager:RotateSecret",
                "Hosts: read",
            ]
            .map(str::to_owned)
            .into(),
            ..Need::default()
        };
        let users = ["arn:aws:iam::111122223333:user/svc/*".to_owned()];
        let wanted = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "Cordoniam", "Effect": "Allow", "Action": ["iam:GetUser", "iam:UpdateAccessKey"], "Resource": users },
            { "Sid": "Cordonsecretsmanager", "Effect": "Allow", "Action": ["secretsmanager:RotateSecret"], "Resource": ["*"] },
        ] });
        assert_eq!(need.iam_policy(&users), Some(wanted));
        assert_eq!(Need::default().iam_policy(&[]), None);
    }
}
