//! Takes the secrets a request was sent with out of what a vendor answers, should it repeat them.

use serde_json::Value;

use crate::secret::Secret;

/// Shortest secret that is looked for in answers; a shorter one would be found everywhere.
const SCRUBBED_CHARS_MIN: usize = 6;

/// The text without the secrets.
pub(super) fn scrubbed(mut text: String, secrets: &[Secret]) -> String {
    for secret in secrets {
        let plain = secret.expose();
        if plain.chars().count() < SCRUBBED_CHARS_MIN {
            continue;
        }
        let quoted = Value::from(plain).to_string();
        let escaped = quoted.trim_matches('"');
        for form in [plain, escaped] {
            if text.contains(form) {
                text = text.replace(form, "[secret]");
            }
        }
    }
    text
}
