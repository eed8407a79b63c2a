//! `[[source]]`: who sends alerts, how they prove themselves, and whose format it is.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use serde_spanned::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::read::is_name;
use super::secret_ref::SecretRef;
use crate::diagnostic::nearest;
use crate::intake::Auth;
use crate::page::{Page, Placed, Table, listed};

/// Ways to authenticate that intake has; `tests` hold them against the enum.
pub(super) const KINDS: [&str; 7] = [
    "standard-webhooks",
    "hmac",
    "header",
    "bearer",
    "basic",
    "sns",
    "none",
];

/// A source as written.
#[derive(Clone, Debug)]
pub(super) struct SourceDraft {
    pub(super) name: Placed<String>,
    pub(super) connector: Placed<String>,
    pub(super) auth: Auth<Placed<SecretRef>>,
    pub(super) kind: Placed<String>,
    pub(super) finding_window_ms: Option<u64>,
    /// The instance that answers its look-ups.
    pub(super) lookup: Option<Placed<String>>,
    /// What the connector's reader is told.
    pub(super) settings: Vec<(Placed<String>, Value)>,
}

pub(super) fn read(page: &mut Page<'_>, mut table: Table<'_, '_>, dir: &Path) -> Option<SourceDraft> {
    let name = table.needed_text(page, "name");
    if let Some(name) = &name
        && !is_name(&name.value)
    {
        page.mistake(
            "K004",
            name.span.clone(),
            format!("`{}` cannot name a source", name.value),
            "use lower-case letters, digits, `-` and `_`: it becomes part of the address `/hooks/NAME`",
        );
    }
    let connector = table.needed_text(page, "use");
    let auth = match table.table(page, "auth") {
        Some(auth) => read_auth(page, auth, dir),
        None => {
            if !table.inner().iter().any(|(key, _)| key.get_ref() == "auth") {
                table.missing(page, "auth");
            }
            None
        }
    };
    let finding_window_ms = table.ms(page, "finding_window");
    let lookup = table.text(page, "lookup");
    let settings = table
        .table(page, "settings")
        .map(|inner| settings(page, &inner))
        .unwrap_or_default();
    table.finish(page);
    let (kind, auth) = auth?;
    Some(SourceDraft {
        name: name?,
        connector: connector?,
        auth,
        kind,
        finding_window_ms,
        lookup,
        settings,
    })
}

/// Settings as they stand; their connector says which there are and of what kind.
fn settings(page: &mut Page<'_>, table: &Table<'_, '_>) -> Vec<(Placed<String>, Value)> {
    let mut settings = Vec::new();
    for (name, value) in table.inner().iter() {
        match setting(value.get_ref()) {
            Some(value) => settings.push((
                Placed {
                    value: name.get_ref().to_string(),
                    span: name.span(),
                },
                value,
            )),
            None => page.mistake(
                "K037",
                value.span(),
                format!("the setting `{}` is nothing a source can be told", name.get_ref()),
                "write a text, a list of texts or a table of texts",
            ),
        }
    }
    settings
}

fn setting(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(Value::from))
            .collect::<Option<Vec<Value>>>()
            .map(Value::Array),
        DeValue::Table(members) => members
            .iter()
            .map(|(name, text)| Some((name.get_ref().to_string(), Value::from(text.get_ref().as_str()?))))
            .collect::<Option<serde_json::Map<String, Value>>>()
            .map(Value::Object),
        _ => None,
    }
}

type ReadAuth = (Placed<String>, Auth<Placed<SecretRef>>);

fn read_auth(page: &mut Page<'_>, mut table: Table<'_, '_>, dir: &Path) -> Option<ReadAuth> {
    let kind = table.needed_text(page, "kind")?;
    if !KINDS.contains(&kind.value.as_str()) {
        let help = match nearest(&kind.value, KINDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("kinds are {}", listed(&KINDS)),
        };
        page.mistake(
            "K013",
            kind.span,
            format!("unknown kind of authentication `{}`", kind.value),
            help,
        );
        return None;
    }
    // Judged before anything else looks at them: other messages may repeat what they could not read.
    let mut places = table.texts(page, "secrets");
    // In the order in which `Auth::resolve` asks for them.
    places.extend(table.texts(page, "certificates"));
    let secrets: Vec<_> = places
        .into_iter()
        .map(|secret| reference(page, &secret.value, secret.span, dir))
        .collect();
    let mut secrets = secrets.into_iter().collect::<Option<Vec<_>>>()?.into_iter();
    let value = Spanned::new(table.span.clone(), DeValue::Table(table.inner().clone()));
    match Auth::<String>::deserialize(ValueDeserializer::from(value)) {
        Ok(auth) => auth
            .resolve(|_| secrets.next().ok_or(()))
            .ok()
            .map(|auth| (kind, auth)),
        Err(error) => {
            not_an_auth(page, &table, &kind.value, error.message());
            None
        }
    }
}

fn not_an_auth(page: &mut Page<'_>, table: &Table<'_, '_>, kind: &str, message: &str) {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let named = words.first().copied().unwrap_or_default();
    let at = |key: &str| {
        table
            .inner()
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, _)| name.span())
    };
    let (code, span, message, help) = match (message, words.as_slice()) {
        (text, [_, known @ ..]) if text.starts_with("unknown field") => {
            let help = match nearest(named, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys here are {}", listed(known)),
            };
            ("K002", at(named), format!("unknown key `{named}`"), help)
        }
        (text, _) if text.starts_with("missing field") => (
            "K003",
            None,
            format!("`auth` of the kind `{kind}` has no `{named}`"),
            format!("add `{named} = …`"),
        ),
        (text, _) => (
            "K013",
            None,
            format!("`auth` cannot be read: {}", text.replace('\n', ", ")),
            format!("see the guide for what the kind `{kind}` takes"),
        ),
    };
    page.mistake(code, span.unwrap_or(table.span.clone()), message, help);
}

/// A reference to a secret, or a mistake that does not repeat what stands there.
pub(super) fn reference(
    page: &mut Page<'_>,
    text: &str,
    span: Range<usize>,
    dir: &Path,
) -> Option<Placed<SecretRef>> {
    if text.trim().is_empty() {
        page.mistake(
            "K011",
            span,
            "a secret is blank",
            "name its place: `env:VARIABLE`, `file:PATH` or `exec:COMMAND`",
        );
        return None;
    }
    match SecretRef::parse(text, dir) {
        Some(value) => Some(Placed { value, span }),
        None => {
            page.mistake(
                "K007",
                span,
                "a secret stands in the file itself",
                "move it out and name its place: `env:VARIABLE`, `file:PATH` or `exec:COMMAND`; whoever has seen \
                 this file knows it, so make a new one at the sender too",
            );
            None
        }
    }
}
