//! The entities of one finding while they are collected: each once, each real, no more than the bound. What is
//! left out is counted, so that nobody takes a short list for a complete one.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::finding::{Entity, EntityType, Role, is_placeholder};
use crate::limits::{ALERT_TEXT_CHARS_MAX, ENTITIES_PER_FINDING_MAX};

/// What was collected so far.
#[derive(Default)]
pub(super) struct Entities {
    kept: Vec<Entity>,
    known: HashSet<(EntityType, Role, String, String)>,
    left_out: usize,
}

impl Entities {
    /// Adds an entity, or counts it as left out when its name cannot be a thing of its type. A name that is
    /// missing altogether is no entity and is not counted.
    pub(super) fn add(&mut self, kind: EntityType, role: Role, name: &str, uid: Option<&str>) {
        self.add_with(kind, role, name, uid, Map::new(), []);
    }

    /// The same with attributes and ids in other systems.
    pub(super) fn add_with(
        &mut self,
        kind: EntityType,
        role: Role,
        name: &str,
        uid: Option<&str>,
        attributes: Map<String, Value>,
        ids: impl IntoIterator<Item = (String, String)>,
    ) {
        let uid = uid.filter(|uid| !is_placeholder(uid));
        // A damaged id is not repaired: with its control characters removed it would name something else.
        if uid.is_some_and(|uid| !is_clean(uid)) {
            self.left_out += 1;
            return;
        }
        let name = if is_placeholder(name) {
            uid.unwrap_or(name)
        } else {
            name
        };
        let Some(mut entity) = Entity::new(kind, role, name) else {
            self.left_out += 1;
            return;
        };
        if let Some(uid) = uid {
            entity = entity.with_uid(uid);
        }
        entity.attributes = attributes;
        entity.ids = ids
            .into_iter()
            .filter(|(_, id)| !is_placeholder(id) && is_clean(id))
            .collect();
        let key = (kind, role, entity.name.to_lowercase(), entity.uid.clone());
        if !self.known.insert(key) {
            return;
        }
        if self.kept.len() >= ENTITIES_PER_FINDING_MAX {
            self.left_out += 1;
            return;
        }
        self.kept.push(entity);
    }

    /// True when something of this type and name is there in any role.
    pub(super) fn has(&self, kind: EntityType, name: &str) -> bool {
        self.kept.iter().any(|entity| {
            entity.kind == kind && (entity.name.eq_ignore_ascii_case(name) || entity.uid == name)
        })
    }

    /// Counts one that could not be added.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// What was kept, and how many were left out.
    pub(super) fn finish(self) -> (Vec<Entity>, usize) {
        (self.kept, self.left_out)
    }
}

fn is_clean(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.chars().count() <= ALERT_TEXT_CHARS_MAX
}
