//! Which connector instances an action goes to. A vendor's action goes to its connector, a capability to every
//! instance that owns the entity; where that leaves more than one possibility nothing is guessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::action_table::is_capability;
use super::catalog::{Catalog, Connector};
use super::egress::{Egress, HostPattern};
use super::identity::Identity;
use super::settings::{self, Settings};
use super::tls::Ca;
use crate::action::{ActionName, ActionSpec, Fault};
use crate::finding::{Entity, EntityType};
use crate::secret::Secret;

/// One configured use of a connector: an account at the vendor's.
#[derive(Clone, Debug, Default)]
pub struct Instance {
    /// Its name in the configuration.
    pub name: String,
    /// The connector it uses.
    pub connector: String,
    /// Takes the place of the manifest's hosts. Checked by [`super::egress::check_base_url`] before each use.
    pub base_url: Option<Url>,
    /// Credentials, by the names the manifest's authentication asks for.
    pub credentials: BTreeMap<String, Secret>,
    /// What the manifest's `[settings]` ask for, by name.
    pub settings: Settings,
    /// The hosts it may reach, where the manifest leaves them to the instance.
    pub hosts: Vec<HostPattern>,
    /// Root certificates trusted beside the machine's own, for this instance alone.
    pub ca: Option<Ca>,
    /// True for `tls = "none"`: an `ldap` or `smtp` server on loopback is spoken to without TLS.
    pub without_tls: bool,
    /// Which entities it owns; any of them suffices. Empty says nothing about it.
    pub when: Vec<Owns>,
    /// What differs from the manifest here.
    pub overrides: Overrides,
}

/// A condition on an entity. Everything that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owns {
    /// One of these types; any where empty.
    #[serde(default, rename = "type")]
    pub kinds: Vec<EntityType>,
    /// One of these names, without regard to case; a `*` at either end stands for anything.
    #[serde(default, rename = "name")]
    pub names: Vec<String>,
    /// Attributes with these texts.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Owns {
    /// True when the entity meets the condition. A condition that asks nothing owns everything.
    pub fn owns(&self, entity: &Entity) -> bool {
        let name = entity.name.to_lowercase();
        (self.kinds.is_empty() || self.kinds.contains(&entity.kind))
            && (self.names.is_empty() || self.names.iter().any(|pattern| is_like(pattern, &name)))
            && self.attributes.iter().all(|(key, text)| {
                entity.attributes.get(key).and_then(|value| value.as_str()) == Some(text.as_str())
            })
    }
}

fn is_like(pattern: &str, name: &str) -> bool {
    let pattern = pattern.to_lowercase();
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => match rest.strip_suffix('*') {
            Some(middle) => name.contains(middle),
            None => true,
        },
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

/// What an instance says differently from the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// For `verify.lag`, ms.
    pub lag_ms: Option<u64>,
    /// For `in_flight`, ms.
    pub in_flight_ms: Option<u64>,
    /// For `propagation`, ms.
    pub propagation_ms: Option<u64>,
    /// For `limits.timeout`, ms.
    pub timeout_ms: Option<u64>,
}

/// All instances, and what the configuration decides where they do not.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    /// The instances, in the order of the configuration.
    pub all: Vec<Instance>,
    /// `[bind]`: a capability (`endpoint::isolate`) or a group (`endpoint`) to the name of an instance.
    pub bind: BTreeMap<String, String>,
    /// `[identities]`: who is who.
    pub identities: Vec<Identity>,
}

impl Instances {
    /// The instance of this name.
    pub fn named(&self, name: &str) -> Option<&Instance> {
        self.all.iter().find(|instance| instance.name == name)
    }
}

/// An action and where it goes.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The instance.
    pub instance: Instance,
    /// Its connector.
    pub connector: Arc<Connector>,
    /// The action as the manifest has it, with the instance's overrides.
    pub spec: ActionSpec,
}

impl Bound {
    /// Where its requests may go.
    pub(super) fn egress(&self) -> Egress {
        let manifest = &self.connector.manifest;
        let base_url = self.instance.base_url.as_ref();
        if manifest.hosts_by_instance {
            return Egress::of_operator(&self.instance.hosts, base_url);
        }
        let settings = self.settings();
        let hosts: Vec<HostPattern> = manifest
            .hosts
            .iter()
            .filter_map(|host| host.filled(&settings))
            .collect();
        Egress::new(&hosts, base_url)
    }

    /// What its scripts see as `settings`.
    pub(super) fn settings(&self) -> serde_json::Value {
        settings::complete(&self.connector.manifest.settings, &self.instance.settings)
    }

    /// One setting as a text, where it is one.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        settings::text(&self.connector.manifest.settings, &self.instance.settings, name)
    }

    /// The entity's id at this instance, where it is known beforehand.
    pub fn known_id<'a>(&self, entity: &'a Entity) -> Option<&'a str> {
        entity
            .ids
            .get(&self.instance.name)
            .or_else(|| entity.ids.get(&self.instance.connector))
            .map(String::as_str)
    }
}

/// Where `action` goes for `entity`: one or more places, never none. `instance` is the script's own choice.
///
/// # Errors
///
/// `unbound` where nobody can do it, `ambiguous-binding` where several could and nothing decides; each says what
/// to write.
pub fn bind(
    catalog: &Catalog,
    instances: &Instances,
    action: &ActionName,
    entity: Option<&Entity>,
    instance: Option<&str>,
) -> Result<Vec<Bound>, Fault> {
    let able = able(catalog, instances, action, entity);
    if able.is_empty() {
        return Err(nobody(catalog, instances, action, entity));
    }
    if let Some(name) = instance {
        let names = names_of(&able);
        return match able.into_iter().find(|bound| bound.instance.name == name) {
            Some(bound) => Ok(vec![bound]),
            None => Err(Fault::new(
                "unbound",
                format!("`{name}` cannot do `{action}` here; those that can are {names}"),
            )),
        };
    }
    let owners: Vec<Bound> = able
        .iter()
        .filter(|bound| is_owner(bound, &able, entity))
        .cloned()
        .collect();
    // One vendor's action means one account of that vendor; a capability means every system that has the entity.
    if !owners.is_empty() && (is_capability(action.namespace()) || owners.len() == 1) {
        return Ok(owners);
    }
    if let Some(name) = decided(instances, action) {
        return match able.iter().find(|bound| bound.instance.name == name) {
            Some(bound) => Ok(vec![bound.clone()]),
            None => Err(Fault::new(
                "unbound",
                format!("`[bind]` sends `{action}` to `{name}`, which cannot do it for this target"),
            )),
        };
    }
    let silent: Vec<&Bound> = able
        .iter()
        .filter(|bound| bound.instance.when.is_empty())
        .collect();
    match (owners.is_empty(), silent.as_slice()) {
        (true, [only]) => Ok(vec![(*only).clone()]),
        (true, []) => Err(Fault::new(
            "unbound",
            format!(
                "no instance owns {} for `{action}`: extend `when` of {}",
                entity.map_or_else(|| "a target that is none".to_owned(), Entity::label),
                names_of(&able)
            ),
        )),
        _ => Err(Fault::new(
            "ambiguous-binding",
            format!(
                "{} could each do `{action}`: say which entities each owns with `when`, or write \
                 `\"{action}\" = \"NAME\"` under `[bind]`",
                names_of(&able)
            ),
        )),
    }
}

/// One vendor action at one named instance, whatever its target: for undoing what that instance did.
///
/// # Errors
///
/// `unbound` where the instance or the action is not there.
pub fn bind_at(
    catalog: &Catalog,
    instances: &Instances,
    instance: &str,
    action: &ActionName,
) -> Result<Bound, Fault> {
    let unbound = |message: String| Fault::new("unbound", message);
    let found = instances.named(instance).ok_or_else(|| {
        unbound(format!(
            "the connector instance `{instance}` is not configured here: add `[connectors.{instance}]`"
        ))
    })?;
    match catalog.action(action) {
        Some((connector, spec)) if connector.manifest.name == found.connector => Ok(Bound {
            spec: overridden(spec, &found.overrides),
            connector: connector.clone(),
            instance: found.clone(),
        }),
        _ => Err(unbound(format!(
            "`{}`, which `{instance}` uses, has no `{action}`",
            found.connector
        ))),
    }
}

/// Everyone who could: a connector with the action, for the entity's type.
fn able(
    catalog: &Catalog,
    instances: &Instances,
    action: &ActionName,
    entity: Option<&Entity>,
) -> Vec<Bound> {
    let mut able = Vec::new();
    for instance in &instances.all {
        let Some(connector) = catalog.connector(&instance.connector) else {
            continue;
        };
        let does = |spec: &&ActionSpec| {
            let named = if is_capability(action.namespace()) {
                spec.provides.as_ref() == Some(action)
            } else {
                spec.name == *action
            };
            let fits = match entity {
                Some(entity) => spec.targets.contains(&entity.kind),
                None => spec.targets.is_empty(),
            };
            named && fits
        };
        if let Some(spec) = connector.manifest.actions.iter().find(does) {
            able.push(Bound {
                spec: overridden(spec, &instance.overrides),
                connector: connector.clone(),
                instance: instance.clone(),
            });
        }
    }
    able
}

fn overridden(spec: &ActionSpec, overrides: &Overrides) -> ActionSpec {
    let mut spec = spec.clone();
    if let (Some(verify), Some(lag_ms)) = (spec.verify.as_mut(), overrides.lag_ms) {
        verify.lag_ms = lag_ms;
    }
    spec.in_flight_ms = overrides.in_flight_ms.unwrap_or(spec.in_flight_ms);
    spec.propagation_ms = overrides.propagation_ms.unwrap_or(spec.propagation_ms);
    spec
}

/// True when `when` says so, or the entity carries an id of this instance. An id under the connector's name
/// decides only where that connector has one instance.
fn is_owner(bound: &Bound, able: &[Bound], entity: Option<&Entity>) -> bool {
    let Some(entity) = entity else { return false };
    let instance = &bound.instance;
    let alone = able
        .iter()
        .filter(|other| other.instance.connector == instance.connector)
        .count()
        == 1;
    instance.when.iter().any(|condition| condition.owns(entity))
        || entity.ids.contains_key(&instance.name)
        || (alone && entity.ids.contains_key(&instance.connector))
}

fn decided<'a>(instances: &'a Instances, action: &ActionName) -> Option<&'a str> {
    instances
        .bind
        .get(&action.to_string())
        .or_else(|| instances.bind.get(action.namespace()))
        .map(String::as_str)
}

fn names_of(able: &[Bound]) -> String {
    able.iter()
        .map(|bound| format!("`{}`", bound.instance.name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn nobody(catalog: &Catalog, instances: &Instances, action: &ActionName, entity: Option<&Entity>) -> Fault {
    let connectors: Vec<String> = if is_capability(action.namespace()) {
        catalog
            .providers(action)
            .map(|(connector, _)| connector.manifest.name.clone())
            .collect()
    } else {
        catalog
            .action(action)
            .map(|(connector, _)| connector.manifest.name.clone())
            .into_iter()
            .collect()
    };
    let listed = connectors
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let configured = instances
        .all
        .iter()
        .any(|instance| connectors.contains(&instance.connector));
    let message = if connectors.is_empty() {
        format!("no connector provides `{action}`")
    } else if configured {
        match entity {
            Some(entity) => format!("`{action}` takes no {}", entity.kind.word().replace('_', " ")),
            None => format!("`{action}` needs a target"),
        }
    } else {
        format!("`{action}` is provided by {listed}, and none is configured: add `[connectors.NAME]`")
    };
    Fault::new("unbound", message)
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
