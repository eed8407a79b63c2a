//! What one `ldap::` word asks, read and escaped: a search by equalities, or the change of one entry. Reads data;
//! nothing here sends.

use std::collections::HashSet;

use ldap3::{Mod, Scope, ldap_escape};
use serde_json::{Map, Value};

use super::super::settle::Stop;
use super::attempt::{Attempt, never};
use crate::action::Fault;
use crate::script::Asked;

/// One call.
pub(super) enum Call {
    Search {
        base: String,
        scope: Scope,
        filter: String,
        attributes: Vec<String>,
    },
    Modify {
        dn: String,
        changes: Vec<Mod<Vec<u8>>>,
    },
}

impl Call {
    /// Reads an ask. Handles of secrets in values are filled in by `attempt`.
    pub(super) fn read(attempt: &Attempt<'_>, asked: &Asked) -> Result<Call, Stop> {
        match (asked.name.as_str(), asked.args.as_slice()) {
            ("ldap::search", [Value::Object(options)]) => search(attempt, options),
            ("ldap::modify", [Value::String(dn), Value::Object(changes)]) => modify(attempt, dn, changes),
            ("ldap::search", _) => Err(wrong("`ldap::search` takes a map")),
            ("ldap::modify", _) => Err(wrong("`ldap::modify` takes a DN and a map")),
            (other, _) => Err(wrong(format!(
                "`{other}` is not a word of connectors that speak ldap"
            ))),
        }
    }

    /// The operation, as the log shows it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Call::Search { .. } => "SEARCH",
            Call::Modify { .. } => "MODIFY",
        }
    }
}

fn wrong(message: impl Into<String>) -> Stop {
    never(Fault::new("connector-script", message.into()))
}

fn search(attempt: &Attempt<'_>, options: &Map<String, Value>) -> Result<Call, Stop> {
    let (mut base, mut scope, mut filter, mut attributes) = (None, Scope::Subtree, String::new(), Vec::new());
    for (key, value) in options {
        match (key.as_str(), value) {
            ("base", Value::String(text)) if !text.trim().is_empty() => base = Some(text.clone()),
            ("scope", Value::String(word)) => {
                scope = match word.as_str() {
                    "base" => Scope::Base,
                    "one" => Scope::OneLevel,
                    "sub" => Scope::Subtree,
                    _ => return Err(wrong(format!("`{word}` is no scope: use `base`, `one` or `sub`"))),
                }
            }
            ("filter", Value::Object(terms)) => filter = equalities(attempt, terms)?,
            ("attributes", Value::Array(names)) => {
                for name in names {
                    attributes.push(attribute(name.as_str().unwrap_or_default())?);
                }
            }
            ("base" | "scope" | "filter" | "attributes", _) => {
                return Err(wrong(format!(
                    "`{key}` of `ldap::search` is not what it should be"
                )));
            }
            _ => return Err(wrong(format!("`ldap::search` has no option `{key}`"))),
        }
    }
    if filter.is_empty() {
        // Without a filter everything below the base would be the answer.
        if scope != Scope::Base {
            return Err(wrong(
                "`ldap::search` needs a `filter` where it looks below its base",
            ));
        }
        filter = "(objectClass=*)".to_owned();
    }
    Ok(Call::Search {
        base: base.ok_or_else(|| wrong("`ldap::search` needs a `base`"))?,
        scope,
        filter,
        attributes,
    })
}

/// Every term has to hold. A value is never part of the filter's language: what means something there is escaped.
fn equalities(attempt: &Attempt<'_>, terms: &Map<String, Value>) -> Result<String, Stop> {
    let mut filter = String::new();
    for (name, value) in terms {
        let name = attribute(name)?;
        let text = attempt.text(value)?;
        if text.is_blank() {
            return Err(wrong(format!("the filter's `{name}` is empty")));
        }
        filter.push_str(&format!("({name}={})", ldap_escape(text.expose())));
    }
    Ok(match terms.len() {
        0 | 1 => filter,
        _ => format!("(&{filter})"),
    })
}

fn modify(attempt: &Attempt<'_>, dn: &str, changes: &Map<String, Value>) -> Result<Call, Stop> {
    if dn.trim().is_empty() {
        return Err(wrong("`ldap::modify` needs a DN"));
    }
    let mut list = Vec::new();
    for (kind, attributes) in changes {
        let Value::Object(attributes) = attributes else {
            return Err(wrong(format!(
                "`{kind}` of `ldap::modify` is a map of attributes"
            )));
        };
        for (name, values) in attributes {
            let name = attribute(name)?.into_bytes();
            let values = values_of(attempt, values)?;
            list.push(match kind.as_str() {
                "replace" => Mod::Replace(name, values),
                "delete" => Mod::Delete(name, values),
                "add" if !values.is_empty() => Mod::Add(name, values),
                "add" => return Err(wrong("`add` of `ldap::modify` needs values")),
                other => return Err(wrong(format!("`ldap::modify` has no option `{other}`"))),
            });
        }
    }
    if list.is_empty() {
        return Err(wrong("`ldap::modify` changes nothing"));
    }
    Ok(Call::Modify {
        dn: dn.to_owned(),
        changes: list,
    })
}

fn values_of(attempt: &Attempt<'_>, values: &Value) -> Result<HashSet<Vec<u8>>, Stop> {
    let one = std::slice::from_ref(values);
    let list = values.as_array().map_or(one, Vec::as_slice);
    list.iter()
        .map(|value| Ok(attempt.text(value)?.expose().as_bytes().to_vec()))
        .collect()
}

/// A name of an attribute (RFC 4512 §2.5, without options).
fn attribute(name: &str) -> Result<String, Stop> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if fits {
        Ok(name.to_owned())
    } else {
        Err(wrong(format!("`{name}` is no name of an attribute")))
    }
}
