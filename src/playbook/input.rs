//! What a playbook that people start asks for: names that its script reads, given when it is started. Declared, so
//! that a name that is missing or mistyped is said before the run and not half way through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::nearest;

/// One input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A run does not start without it.
    Required,
    /// `()` in the script where it is not given.
    Optional,
    /// This where it is not given.
    Default(Value),
}

/// All inputs of a playbook, by name.
pub type InputSpecs = BTreeMap<String, Input>;

/// Why a run cannot start with these inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInputs {
    /// A name nobody declared; with the near one, or all there are.
    #[error("the playbook has no input `{name}`")]
    Unknown {
        /// As it was given.
        name: String,
        /// What to write instead.
        help: String,
    },
    /// One that has to be given.
    #[error("the playbook needs the input `{0}`")]
    Missing(String),
}

/// The variables of a run: what was given, and what is said where nothing was.
///
/// # Errors
/// A name that is not declared, or one that is missing.
pub fn with_defaults(
    specs: &InputSpecs,
    given: BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, BadInputs> {
    if let Some(name) = given
        .keys()
        .find(|name| !specs.contains_key(*name) && *name != "finding")
    {
        let help = match nearest(name, specs.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if specs.is_empty() => "it takes none: declare `[inputs]` in its playbook.toml".to_owned(),
            None => format!(
                "it has {}",
                specs
                    .keys()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        return Err(BadInputs::Unknown {
            name: name.clone(),
            help,
        });
    }
    let mut all = given;
    for (name, spec) in specs {
        let there = all.get(name).is_some_and(|value| !value.is_null());
        match spec {
            _ if there => {}
            Input::Required => return Err(BadInputs::Missing(name.clone())),
            Input::Optional => drop(all.insert(name.clone(), Value::Null)),
            Input::Default(value) => drop(all.insert(name.clone(), value.clone())),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn specs() -> InputSpecs {
        BTreeMap::from([
            ("account".to_owned(), Input::Required),
            ("hours".to_owned(), Input::Default(json!(4))),
            ("ticket".to_owned(), Input::Optional),
        ])
    }

    fn given(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    #[test]
    fn what_is_not_given_is_its_default() {
        let all = with_defaults(&specs(), given(&[("account", json!("ana"))])).unwrap();
        assert_eq!(
            json!(all),
            json!({ "account": "ana", "hours": 4, "ticket": null })
        );
    }

    #[test]
    fn a_mistyped_and_a_missing_input_are_named() {
        let error = with_defaults(&specs(), given(&[("acount", json!("ana"))])).unwrap_err();
        assert_eq!(
            error,
            BadInputs::Unknown {
                name: "acount".into(),
                help: "did you mean `account`?".into()
            }
        );
        for nothing in [given(&[]), given(&[("account", Value::Null)])] {
            assert_eq!(
                with_defaults(&specs(), nothing).unwrap_err(),
                BadInputs::Missing("account".into())
            );
        }
    }
}
