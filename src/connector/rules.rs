//! How the tables of one manifest have to fit together: a change can be undone or says that it cannot, and what
//! can be undone can be seen. These rules are why a manifest that loads is safe to act with.

use super::action_table::ActionTable;
use crate::action::Class;
use crate::diagnostic::nearest;
use crate::page::{Page, listed};

pub(super) fn check(page: &mut Page<'_>, tables: &[ActionTable]) {
    for (n, table) in tables.iter().enumerate() {
        undo_or_irreversible(page, table);
        if table.spec.undo.is_some() {
            seen_and_held(page, table);
            undone_by(page, table, tables);
        }
        provided_once(page, table, tables.get(..n).unwrap_or_default());
    }
}

fn undo_or_irreversible(page: &mut Page<'_>, table: &ActionTable) {
    let verb = table.spec.name.verb();
    match (
        table.spec.changes(),
        table.spec.undo.is_some(),
        table.irreversible,
    ) {
        (true, false, false) => page.mistake(
            "C012",
            table.span.clone(),
            format!("`{verb}` changes something and does not say how it is undone"),
            "add `undo = { action = \"…\" }`, or `irreversible = true` where nothing can undo it",
        ),
        (true, true, true) => page.mistake(
            "C012",
            table.span.clone(),
            format!("`{verb}` has `undo` and says it is irreversible"),
            "keep one of the two",
        ),
        (false, undo, irreversible) if undo || irreversible => page.mistake(
            "C012",
            table.span.clone(),
            format!("`{verb}` only reads, so there is nothing to undo"),
            "take `undo` and `irreversible` away, or give it the class it has",
        ),
        _ => {}
    }
}

fn seen_and_held(page: &mut Page<'_>, table: &ActionTable) {
    let spec = &table.spec;
    let mut lacking = Vec::new();
    if spec.verify.is_none() {
        lacking.push("verify");
    }
    if spec.facet.is_none() {
        lacking.push("facet");
    }
    if spec.resolve.is_none() {
        lacking.push("resolve");
    }
    if spec.capture.is_none() {
        lacking.push("capture");
    }
    if spec.targets.is_empty() {
        lacking.push("targets");
    }
    // `capture` follows from `verify`, so naming both would say one thing twice.
    if lacking.contains(&"verify") {
        lacking.retain(|key| *key != "capture");
    }
    if !lacking.is_empty() {
        page.mistake(
            "C013",
            table.span.clone(),
            format!("`{}` can be undone and lacks {}", spec.name.verb(), listed(&lacking)),
            "what is undone has to be found (`targets`, `resolve`), read before (`capture`, or `verify.read`), \
             seen after (`verify`) and held (`facet`)",
        );
    }
}

fn undone_by(page: &mut Page<'_>, table: &ActionTable, tables: &[ActionTable]) {
    let Some(undo) = &table.spec.undo else { return };
    let span = || table.undo_span.clone();
    let Some(other) = tables.iter().find(|other| other.spec.name == undo.action) else {
        let verbs: Vec<&str> = tables.iter().map(|table| table.spec.name.verb()).collect();
        let help = match nearest(undo.action.verb(), verbs.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("actions of this manifest are {}", listed(&verbs)),
        };
        page.mistake(
            "C014",
            span(),
            format!(
                "`{}` is undone by `{}`, which is no action here",
                table.spec.name.verb(),
                undo.action
            ),
            help,
        );
        return;
    };
    if other.spec.class != Class::Set {
        page.mistake(
            "C014",
            span(),
            format!("`{}` undoes and is not of class `set`", undo.action.verb()),
            "undoing has to be safe to look at and repeat: it puts the target in a state",
        );
    }
    if other.spec.facet != table.spec.facet {
        page.mistake(
            "C014",
            span(),
            format!(
                "`{}` and `{}`, which undoes it, hold different facets",
                table.spec.name.verb(),
                undo.action.verb()
            ),
            "give both the same `facet`",
        );
    }
    for argument in undo.from_captured.keys() {
        if !other.spec.args.contains_key(argument) {
            page.mistake(
                "C014",
                span(),
                format!("`{}` takes no argument `{argument}`", undo.action.verb()),
                format!(
                    "add it to `[actions.{}.args]`, or take it away here",
                    undo.action.verb()
                ),
            );
        }
    }
}

fn provided_once(page: &mut Page<'_>, table: &ActionTable, before: &[ActionTable]) {
    let Some(capability) = &table.spec.provides else {
        return;
    };
    let twin = before.iter().find(|other| {
        other.spec.provides.as_ref() == Some(capability)
            && (other
                .spec
                .targets
                .iter()
                .any(|kind| table.spec.targets.contains(kind))
                || (other.spec.targets.is_empty() && table.spec.targets.is_empty()))
    });
    if let Some(twin) = twin {
        page.mistake(
            "C019",
            table.provides_span.clone(),
            format!(
                "`{}` provides `{capability}` for the same targets already",
                twin.spec.name.verb()
            ),
            "let one of the two provide it",
        );
    }
}
