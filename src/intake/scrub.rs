//! What was looked up and is secret must not come out again in a finding or a message. Texts known to be secret are
//! replaced wherever they stand; a script that says in so many words that one is a key's public id may use it.

use serde_json::Value;

use crate::secret::Secret;

/// Shortest secret that is looked for; a shorter one would be found everywhere.
const CHARS_MIN: usize = 6;
/// What stands in a secret's place.
const SHOWN: &str = "[secret]";

/// The secrets that one alert's look-ups brought.
#[derive(Default)]
pub(super) struct Secrets {
    /// Kept under a handle.
    kept: Vec<Secret>,
    /// Found where the manifest says that secrets stand.
    found: Vec<Secret>,
}

impl Secrets {
    /// Takes note of a secret that was sealed.
    pub(super) fn kept(&mut self, secret: Secret) {
        self.kept.push(secret);
    }

    /// Takes note of every text under one of these names in an answer.
    pub(super) fn find(&mut self, answer: &Value, names: &[String]) {
        match answer {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) if names.contains(name) => {
                            self.found.push(Secret::new(text.as_str()))
                        }
                        other => self.find(other, names),
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.find(item, names);
                }
            }
            _ => {}
        }
    }

    /// A message without them.
    pub(super) fn out_of(&self, message: &str) -> String {
        let all = self.kept.iter().chain(&self.found);
        all.fold(message.to_owned(), without)
    }

    /// Drafts without them. What is the name of an access key in a draft is public, unless it was sealed.
    pub(super) fn out_of_drafts(&self, drafts: &mut [Value]) {
        let public: Vec<String> = drafts.iter().flat_map(key_names).collect();
        let secret: Vec<&Secret> = self
            .kept
            .iter()
            .chain(
                self.found
                    .iter()
                    .filter(|secret| !public.iter().any(|name| name == secret.expose())),
            )
            .collect();
        for draft in drafts {
            clean(draft, &secret);
        }
    }
}

fn key_names(draft: &Value) -> Vec<String> {
    let entities = draft.get("entities").and_then(Value::as_array);
    let keys = entities
        .into_iter()
        .flatten()
        .filter(|entity| entity.get("type").and_then(Value::as_str) == Some("access_key"));
    keys.flat_map(|key| [key.get("name"), key.get("uid")])
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn clean(value: &mut Value, secrets: &[&Secret]) {
    match value {
        Value::String(text) => {
            for secret in secrets {
                *text = without(std::mem::take(text), secret);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, secrets)),
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            for name in names {
                let shown = secrets
                    .iter()
                    .fold(name.clone(), |text, secret| without(text, secret));
                if let Some(mut inner) = members.remove(&name) {
                    clean(&mut inner, secrets);
                    members.insert(shown, inner);
                }
            }
        }
        _ => {}
    }
}

fn without(text: String, secret: &Secret) -> String {
    let plain = secret.expose();
    if plain.chars().count() < CHARS_MIN || !text.contains(plain) {
        return text;
    }
    text.replace(plain, SHOWN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_nowhere_in_a_draft_and_a_keys_id_is() {
        let mut secrets = Secrets::default();
        let answer =
            json!([{ "secret": "AKIAIOSFODNN7EXAMPLE" }, { "deep": { "secret": "hunter2hunter2" } }]);
        secrets.find(&answer, &["secret".to_owned()]);
        secrets.kept(Secret::new("kept-canary"));
        let mut drafts = vec![json!({
            "title": "hunter2hunter2 and AKIAIOSFODNN7EXAMPLE",
            "raw": { "kept-canary": ["kept-canary!", 7] },
            "entities": [{ "type": "access_key", "name": "AKIAIOSFODNN7EXAMPLE", "uid": "kept-canary" }],
        })];
        secrets.out_of_drafts(&mut drafts);
        assert_eq!(
            drafts,
            [json!({
                "title": "[secret] and AKIAIOSFODNN7EXAMPLE",
                "raw": { "[secret]": ["[secret]!", 7] },
                "entities": [{ "type": "access_key", "name": "AKIAIOSFODNN7EXAMPLE", "uid": "[secret]" }],
            })]
        );
        assert_eq!(
            secrets.out_of("AKIAIOSFODNN7EXAMPLE hunter2hunter2 kept-canary"),
            "[secret] [secret] [secret]"
        );
    }
}
