//! `[identities.NAME]`: one principal, its other names, and its id at each system.

use super::read::entity_type;
use crate::connector::Identity;
use crate::finding::{EntityType, is_placeholder};
use crate::page::{Page, Placed, Table};

/// A principal as written.
#[derive(Clone, Debug)]
pub(super) struct IdentityDraft {
    pub(super) name: Placed<String>,
    pub(super) kind: EntityType,
    pub(super) aliases: Vec<Placed<String>>,
    /// System and id.
    pub(super) ids: Vec<(Placed<String>, Placed<String>)>,
}

impl IdentityDraft {
    pub(super) fn identity(&self) -> Identity {
        Identity {
            name: self.name.value.clone(),
            kind: self.kind,
            aliases: self
                .aliases
                .iter()
                .map(|alias| alias.value.trim().to_owned())
                .collect(),
            ids: self
                .ids
                .iter()
                .map(|(system, id)| (system.value.clone(), id.value.trim().to_owned()))
                .collect(),
        }
    }
}

pub(super) fn read(
    page: &mut Page<'_>,
    name: Placed<String>,
    mut table: Table<'_, '_>,
) -> Option<IdentityDraft> {
    let kind = table
        .needed_text(page, "type")
        .and_then(|word| entity_type(page, &word));
    let aliases = table.texts(page, "aliases");
    let ids = table.other_texts(page);
    for text in aliases.iter().chain(ids.iter().map(|(_, id)| id)).chain([&name]) {
        if is_placeholder(&text.value) {
            page.mistake(
                "K004",
                text.span.clone(),
                format!("`{}` names nobody", text.value),
                "write the name or id that the system has for this principal",
            );
        }
    }
    if ids.is_empty() && aliases.is_empty() {
        page.mistake(
            "K003",
            name.span.clone(),
            format!("`[identities.{}]` says nothing of where it is known", name.value),
            "add its id at a connector's instance, such as `okta = \"00u…\"`, or `aliases = […]`",
        );
    }
    Some(IdentityDraft {
        name,
        kind: kind?,
        aliases,
        ids,
    })
}
