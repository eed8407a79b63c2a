//! Secrets that stand in the file although they should not, struck out before any line is shown to anyone.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::secret_ref::is_reference;

/// The text with every such secret made unreadable, each byte in its place.
pub(super) fn masked(text: &str, root: &DeTable<'_>) -> String {
    let mut spans = Vec::new();
    walk(root, "", false, &mut spans);
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        // The quotes stay, so that the line still reads as TOML.
        let inner = span.start.saturating_add(1)..span.end.saturating_sub(1);
        for byte in bytes
            .get_mut(inner)
            .unwrap_or_default()
            .iter_mut()
            .filter(|byte| **byte != b'\n')
        {
            *byte = b'*';
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn walk(table: &DeTable<'_>, of: &str, inside: bool, spans: &mut Vec<Range<usize>>) {
    for (name, value) in table.iter() {
        let name = name.get_ref().to_ascii_lowercase();
        let inside = inside
            || (of == "store" && name == "key")
            || ["secret", "credential", "token", "password", "passwd"]
                .iter()
                .any(|word| name.contains(word));
        visit(value.get_ref(), &name, value.span(), inside, spans);
    }
}

fn visit(value: &DeValue<'_>, name: &str, span: Range<usize>, inside: bool, spans: &mut Vec<Range<usize>>) {
    match value {
        DeValue::String(text) if inside && !is_reference(text) => spans.push(span),
        DeValue::String(text) if has_password(text) => spans.push(span),
        DeValue::Array(list) => {
            for item in list.iter() {
                visit(item.get_ref(), name, item.span(), inside, spans);
            }
        }
        DeValue::Table(table) => walk(table, name, inside, spans),
        _ => {}
    }
}

/// True for an address with a password before its host.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    rest.rsplit_once('@')
        .is_some_and(|(account, _)| account.contains(':'))
}
