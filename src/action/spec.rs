//! What a manifest says of one action. The class decides what recovery may do with an intent that has no
//! outcome, so it is the most important word in a manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::name::ActionName;
use super::target::Reading;
use crate::finding::EntityType;

/// What may be done with an intent that has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Changes nothing: repeat.
    Read,
    /// Puts the target in a state: look, and repeat only if it is not in that state.
    Set,
    /// The vendor takes a client token: repeat with the same one.
    Keyed,
    /// Makes something new that carries our tag: look for the tag, and repeat only if it is absent.
    Create,
    /// Nothing can be known afterwards: never repeat, a person says what happened.
    Opaque,
}

/// How a reading is judged. States are the connector's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadBack {
    /// The function of `actions.rhai` that reads the target's state.
    pub read: String,
    /// States that mean the action is in force.
    pub in_force: Vec<String>,
    /// States that mean the vendor has taken the request and not finished it.
    #[serde(default)]
    pub pending: Vec<String>,
    /// How long after the outcome a reading may still show the old state before it counts as a
    /// contradiction, ms: the vendor's own replication lag.
    pub lag_ms: u64,
}

/// How a reading stands to what an action wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is so.
    InForce,
    /// It is asked for and not yet so.
    Pending,
    /// It is not so.
    Absent,
}

impl ReadBack {
    /// Judges a reading.
    pub fn judge(&self, reading: &Reading) -> Standing {
        if self.in_force.contains(&reading.state) {
            Standing::InForce
        } else if self.pending.contains(&reading.state) {
            Standing::Pending
        } else {
            Standing::Absent
        }
    }
}

/// How an action is undone, in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoSpec {
    /// The action of the same connector that restores.
    pub action: ActionName,
    /// Its arguments: name to field of the captured reading.
    #[serde(default)]
    pub from_captured: BTreeMap<String, String>,
}

/// How one effect is undone: data in its intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The action that restores.
    pub action: ActionName,
    /// Its arguments, taken from the captured state.
    pub args: serde_json::Map<String, Value>,
}

/// One action of one connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionSpec {
    /// `connector::verb`.
    pub name: ActionName,
    /// One line for people.
    pub title: String,
    /// What recovery may do.
    pub class: Class,
    /// The capability it provides, such as `endpoint::isolate`.
    #[serde(default)]
    pub provides: Option<ActionName>,
    /// Entity types it takes as target; empty for an action without a target.
    pub targets: Vec<EntityType>,
    /// Arguments it takes beside the target: name to whether it is required.
    #[serde(default)]
    pub args: BTreeMap<String, bool>,
    /// What of the target it holds (`network`, `login`); set for every reversible action.
    #[serde(default)]
    pub facet: Option<String>,
    /// Function that finds the vendor's id of a target.
    #[serde(default)]
    pub resolve: Option<String>,
    /// Function that reads the state before; the same as `verify.read` where nothing is said.
    #[serde(default)]
    pub capture: Option<String>,
    /// How its effect is seen.
    #[serde(default)]
    pub verify: Option<ReadBack>,
    /// Why its effect cannot be seen afterwards, where the manifest says so: reading back is then not missed.
    #[serde(default)]
    pub unseen: Option<String>,
    /// How it is undone; `None` for what cannot be undone.
    #[serde(default)]
    pub undo: Option<UndoSpec>,
    /// The least permission it needs, in the vendor's words.
    pub permission: String,
    /// How long the vendor may take to put it in force, ms; past it, it reads "requested, not in force".
    pub propagation_ms: u64,
    /// How long a request may still arrive after we stopped waiting for its answer, ms.
    pub in_flight_ms: u64,
    /// D3FEND technique id.
    #[serde(default)]
    pub d3fend: Option<String>,
}

/// The arguments that a facet names in braces: `group` in `member:{group}`.
pub fn facet_arguments(facet: &str) -> impl Iterator<Item = &str> {
    facet
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

impl ActionSpec {
    /// What of the target it holds when it is called with these arguments: `member:{group}` becomes
    /// `member:admins`. `None` when it holds nothing, or when an argument that the facet names is not there or is
    /// no text or number.
    pub fn facet_with(&self, args: &serde_json::Map<String, Value>) -> Option<String> {
        let mut facet = self.facet.clone()?;
        let names: Vec<String> = facet_arguments(&facet).map(str::to_owned).collect();
        for name in names {
            let value = match args.get(&name)? {
                Value::String(text) if !text.trim().is_empty() => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            facet = facet.replace(&format!("{{{name}}}"), &value);
        }
        Some(facet)
    }

    /// True when it changes the world.
    pub fn changes(&self) -> bool {
        self.class != Class::Read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_facet_takes_the_arguments_it_names() {
        let spec = |facet: &str| ActionSpec {
            name: "okta::add_member".parse().unwrap(),
            title: "Add".into(),
            class: Class::Set,
            provides: None,
            targets: vec![EntityType::User],
            args: BTreeMap::from([("group".to_owned(), true)]),
            facet: Some(facet.to_owned()),
            resolve: None,
            capture: None,
            verify: None,
            undo: None,
            permission: String::new(),
            propagation_ms: 0,
            in_flight_ms: 0,
            unseen: None,
            d3fend: None,
        };
        let with = |facet: &str, args: Value| spec(facet).facet_with(args.as_object().unwrap());
        assert_eq!(with("login", json!({})), Some("login".into()));
        assert_eq!(
            with("member:{group}", json!({"group": "admins"})),
            Some("member:admins".into())
        );
        assert_eq!(
            with("member:{group}", json!({"group": 7})),
            Some("member:7".into())
        );
        for wrong in [
            json!({}),
            json!({"group": ""}),
            json!({"group": null}),
            json!({"group": ["a"]}),
        ] {
            assert_eq!(with("member:{group}", wrong.clone()), None, "{wrong}");
        }
        assert_eq!(facet_arguments("{a}:{b}").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_reading_is_judged_by_the_manifests_words() {
        let verify = ReadBack {
            read: "host_state".into(),
            in_force: vec!["contained".into()],
            pending: vec!["containment_pending".into()],
            lag_ms: 5_000,
        };
        let reading = |state: &str| Reading {
            state: state.into(),
            fields: json!({}),
        };
        assert_eq!(verify.judge(&reading("contained")), Standing::InForce);
        assert_eq!(verify.judge(&reading("containment_pending")), Standing::Pending);
        assert_eq!(verify.judge(&reading("normal")), Standing::Absent);
        assert_eq!(verify.judge(&reading("")), Standing::Absent);
    }
}
