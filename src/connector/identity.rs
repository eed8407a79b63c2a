//! Who is who: one principal under the ids that different systems know it by, as the operator wrote it down. An
//! entity that is one of them gets its ids before anything is bound, so that each system that knows it acts. Two
//! answers are never chosen between.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::action::Fault;
use crate::finding::{ALIASES, Entity, EntityType, IDENTITY};

/// One principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name in the configuration, by which it is known too.
    pub name: String,
    /// What it is.
    pub kind: EntityType,
    /// Other names it is known by, without regard to case.
    pub aliases: Vec<String>,
    /// Its id at each system, by the name of the connector instance or of the connector.
    pub ids: BTreeMap<String, String>,
}

impl Identity {
    /// True when the entity is this principal: of the same type, and known by one of its names or ids.
    fn is(&self, entity: &Entity) -> bool {
        let named = |name: &str| {
            std::iter::once(&self.name)
                .chain(&self.aliases)
                .any(|known| known.eq_ignore_ascii_case(name.trim()))
        };
        entity.kind == self.kind
            && (named(&entity.name)
                || named(&entity.uid)
                || self
                    .ids
                    .iter()
                    .any(|(system, id)| entity.ids.get(system).is_some_and(|known| known.trim() == id)))
    }
}

/// The entity with the ids of the principal it is; unchanged when it is none of them. The principal's names are
/// attributes then, so that a protected name protects under every alias.
///
/// # Errors
/// `ambiguous-identity` when it is two of them, or carries an id that differs from the one written down.
pub fn identify(identities: &[Identity], mut entity: Entity) -> Result<Entity, Fault> {
    // What a sender says of itself under these names is not ours.
    entity.attributes.remove(IDENTITY);
    entity.attributes.remove(ALIASES);
    let mut found = identities.iter().filter(|identity| identity.is(&entity));
    let Some(identity) = found.next() else {
        return Ok(entity);
    };
    let ambiguous = |message: String| Err(Fault::new("ambiguous-identity", message));
    if let Some(other) = found.next() {
        return ambiguous(format!(
            "{} could be `{}` or `{}` of `[identities]`: keep their names and ids apart",
            entity.label(),
            identity.name,
            other.name
        ));
    }
    for (system, id) in &identity.ids {
        match entity.ids.get(system) {
            Some(known) if known.trim() != id => {
                return ambiguous(format!(
                    "{} is `{known}` at `{system}` as the alert has it, and `{id}` as `[identities.{}]` has it: \
                     correct the one that is wrong",
                    entity.label(),
                    identity.name
                ));
            }
            _ => {
                entity.ids.insert(system.clone(), id.clone());
            }
        }
    }
    entity
        .attributes
        .insert(IDENTITY.into(), Value::from(identity.name.as_str()));
    if !identity.aliases.is_empty() {
        entity
            .attributes
            .insert(ALIASES.into(), Value::from(identity.aliases.clone()));
    }
    Ok(entity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Role;
    use serde_json::json;

    fn identity(name: &str, aliases: &[&str], ids: &[(&str, &str)]) -> Identity {
        Identity {
            name: name.into(),
            kind: EntityType::ServiceAccount,
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ids: ids
                .iter()
                .map(|(system, id)| ((*system).to_owned(), (*id).to_owned()))
                .collect(),
        }
    }

    fn account(name: &str) -> Entity {
        Entity::new(EntityType::ServiceAccount, Role::Affected, name).unwrap()
    }

    fn known() -> Vec<Identity> {
        vec![
            identity(
                "svc-backup",
                &["backup@corp.example"],
                &[("okta", "00u1"), ("aws-prod", "svc-backup")],
            ),
            identity("svc-deploy", &[], &[("okta", "00u2")]),
        ]
    }

    #[test]
    fn an_account_gets_its_ids_whatever_name_it_came_under() {
        let mut by_id = account("somebody");
        by_id.ids.insert("okta".into(), "00u1".into());
        for entity in [
            account("svc-backup"),
            account("SVC-BACKUP"),
            account("backup@corp.example"),
            by_id,
        ] {
            let found = identify(&known(), entity).unwrap();
            assert_eq!(found.ids.get("aws-prod").map(String::as_str), Some("svc-backup"));
            assert_eq!(found.ids.get("okta").map(String::as_str), Some("00u1"));
            assert_eq!(found.attributes[IDENTITY], json!("svc-backup"));
        }
    }

    #[test]
    fn another_type_and_another_name_are_nobody_here() {
        let user = Entity::new(EntityType::User, Role::Affected, "svc-backup").unwrap();
        assert_eq!(identify(&known(), user.clone()).unwrap(), user);
        assert!(identify(&known(), account("svc-build")).unwrap().ids.is_empty());
    }

    #[test]
    fn a_sender_cannot_name_the_principal() {
        let mut entity = account("svc-build");
        entity.attributes.insert(IDENTITY.into(), json!("svc-backup"));
        assert!(identify(&known(), entity).unwrap().attributes.is_empty());
    }

    #[test]
    fn two_answers_are_none() {
        let mut both = account("svc-backup");
        both.ids.insert("okta".into(), "00u2".into());
        let fault = identify(&known(), both).unwrap_err();
        assert_eq!(fault.code, "ambiguous-identity");
        let mut other = account("svc-backup");
        other.ids.insert("aws-prod".into(), "svc-other".into());
        let fault = identify(&known(), other).unwrap_err();
        assert!(
            fault.message.contains("`svc-other` at `aws-prod`"),
            "{}",
            fault.message
        );
    }
}
