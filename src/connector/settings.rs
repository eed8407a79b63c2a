//! `[settings]`: what an operator tells a connector that is no secret, such as a region or a search base. The
//! manifest declares each by name; scripts read them as the constant map `settings`, in which every declared name
//! is there, with `()` where nothing was given.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::de::DeValue;

use crate::page::{Page, Placed, Table};

/// The settings of an instance, by name: texts, numbers, flags, and lists of texts.
pub type Settings = BTreeMap<String, Value>;

/// The name under which scripts read them.
pub(super) const SETTINGS_INPUT: &str = "settings";

/// What a manifest says of one setting.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingSpec {
    /// Every instance has to give it.
    Required,
    /// An instance may give it.
    Optional,
    /// What holds where an instance says nothing.
    Default(Value),
}

/// What scripts see: every declared setting, as given, as by default, or null.
pub(super) fn complete(declared: &BTreeMap<String, SettingSpec>, given: &Settings) -> Value {
    let all = declared.iter().map(|(name, spec)| {
        let value = match (given.get(name), spec) {
            (Some(value), _) | (None, SettingSpec::Default(value)) => value.clone(),
            (None, SettingSpec::Required | SettingSpec::Optional) => Value::Null,
        };
        (name.clone(), value)
    });
    Value::Object(all.collect())
}

/// One setting as a text, where it is one and not blank.
pub(super) fn text<'a>(
    declared: &'a BTreeMap<String, SettingSpec>,
    given: &'a Settings,
    name: &str,
) -> Option<&'a str> {
    let by_default = || match declared.get(name) {
        Some(SettingSpec::Default(value)) => Some(value),
        _ => None,
    };
    given
        .get(name)
        .or_else(by_default)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
}

/// A value an operator or a manifest may give: a text, a number, a flag, or a list of texts.
fn setting_value(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::from(text.as_ref())),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(Value::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok().map(Value::from),
        DeValue::Boolean(flag) => Some(Value::from(*flag)),
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(Value::from))
            .collect::<Option<Vec<Value>>>()
            .map(Value::Array),
        _ => None,
    }
}

/// All members of a table, each of which has to be such a value.
pub fn given_settings(page: &mut Page<'_>, table: &Table<'_, '_>) -> Vec<(Placed<String>, Placed<Value>)> {
    let mut settings = Vec::new();
    for (name, (place, value, span)) in table.members() {
        let Some(read) = setting_value(value) else {
            page.wrong(name, "a text, a number, a flag or a list of texts", value, span);
            continue;
        };
        let name = Placed {
            value: name.to_owned(),
            span: place,
        };
        settings.push((name, Placed { value: read, span }));
    }
    settings
}

/// Reads the manifest's table.
pub(super) fn read(page: &mut Page<'_>, table: &Table<'_, '_>) -> BTreeMap<String, SettingSpec> {
    let mut declared = BTreeMap::new();
    for (name, (place, value, span)) in table.members() {
        let well_named = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !well_named {
            page.mistake(
                "C005",
                place,
                format!("`{name}` cannot name a setting"),
                "use lower-case letters, digits and `_`, beginning with a letter",
            );
            continue;
        }
        let spec = match value {
            DeValue::String(word) if word == "required" => Some(SettingSpec::Required),
            DeValue::String(word) if word == "optional" => Some(SettingSpec::Optional),
            DeValue::Table(inner) if inner.len() == 1 => inner
                .iter()
                .find(|(key, _)| key.get_ref() == "default")
                .and_then(|(_, value)| setting_value(value.get_ref()))
                .map(SettingSpec::Default),
            _ => None,
        };
        match spec {
            Some(spec) => {
                declared.insert(name.to_owned(), spec);
            }
            None => page.mistake(
                "C021",
                span,
                format!("this does not say what the setting `{name}` is"),
                "write \"required\", \"optional\" or `{ default = … }` with a text, a number, a flag or a list of texts",
            ),
        }
    }
    declared
}
