//! `[source]` of a manifest: how alerts arrive from a sender, what tells them apart, and what its script may ask.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use super::manifest::{DeliveryId, SourceSpec};
use crate::diagnostic::nearest;
use crate::limits::FINDING_WINDOW_MS;
use crate::page::{Page, Table, listed};
use crate::script::{Vocabulary, Word};

/// A question a sender asks before its first alert, by who asks like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A GET with `X-Okta-Verification-Challenge`, answered by `{"verification": …}` with the same value.
    Okta,
}

impl Challenge {
    const WORDS: [&'static str; 1] = ["okta"];

    /// The header the question stands in.
    pub fn header(self) -> &'static str {
        match self {
            Challenge::Okta => "x-okta-verification-challenge",
        }
    }
}

/// What a sender's script may look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUpSpec {
    /// The least permission it needs, in the vendor's words.
    pub permission: String,
    /// Members of answers that hold secrets: their texts are kept out of findings and messages.
    pub secrets: Vec<String>,
}

/// What a setting of a source may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A table of texts.
    Map,
}

impl SettingKind {
    const WORDS: [&'static str; 3] = ["text", "texts", "map"];

    fn from_word(word: &str) -> Option<SettingKind> {
        match word {
            "text" => Some(SettingKind::Text),
            "texts" => Some(SettingKind::Texts),
            "map" => Some(SettingKind::Map),
            _ => None,
        }
    }

    /// The kind in words.
    pub fn words(self) -> &'static str {
        match self {
            SettingKind::Text => "a text",
            SettingKind::Texts => "a list of texts",
            SettingKind::Map => "a table of texts",
        }
    }
}

pub(super) fn read(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<SourceSpec> {
    let kinds = table.texts(page, "auth");
    if kinds.is_empty() {
        table.missing(page, "auth");
    }
    for kind in &kinds {
        if !SourceSpec::AUTH_KINDS.contains(&kind.value.as_str()) {
            unknown(
                page,
                kind.span.clone(),
                "C015",
                "kind of authentication",
                &kind.value,
                &SourceSpec::AUTH_KINDS,
            );
        }
    }
    let delivery_id = match table.text(page, "delivery_id_header") {
        Some(header) => DeliveryId::Header(header.value.to_ascii_lowercase()),
        None => DeliveryId::BodyDigest,
    };
    let script = table.is_set(page, "script");
    let finding_window_ms = table.ms(page, "finding_window").unwrap_or(FINDING_WINDOW_MS);
    let challenge = table
        .text(page, "challenge")
        .and_then(|word| match word.value.as_str() {
            "okta" => Some(Challenge::Okta),
            other => {
                unknown(
                    page,
                    word.span.clone(),
                    "C030",
                    "challenge",
                    other,
                    &Challenge::WORDS,
                );
                None
            }
        });
    let lookup = table.table(page, "lookup").and_then(|mut inner| {
        let permission = inner.needed_text(page, "permission");
        let secrets = inner
            .texts(page, "secrets")
            .into_iter()
            .map(|text| text.value)
            .collect();
        let span = inner.span.clone();
        inner.finish(page);
        if !script {
            page.mistake(
                "C031",
                span,
                "only a script can ask for a look-up, and this sender has none",
                "add `script = true` and write `source.rhai`",
            );
        }
        Some(LookUpSpec {
            permission: permission?.value,
            secrets,
        })
    });
    let mut settings = BTreeMap::new();
    if let Some(inner) = table.table(page, "settings") {
        for (name, word) in inner.every_text(page) {
            match SettingKind::from_word(&word.value) {
                Some(kind) => {
                    settings.insert(name.value, kind);
                }
                None => unknown(
                    page,
                    word.span,
                    "C032",
                    "kind of setting",
                    &word.value,
                    &SettingKind::WORDS,
                ),
            }
        }
    }
    table.finish(page);
    Some(SourceSpec {
        auth: kinds.into_iter().map(|kind| kind.value).collect(),
        delivery_id,
        script,
        finding_window_ms,
        challenge,
        lookup,
        settings,
    })
}

fn unknown(
    page: &mut Page<'_>,
    span: Range<usize>,
    code: &'static str,
    what: &str,
    word: &str,
    known: &[&str],
) {
    let help = match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", listed(known)),
    };
    page.mistake(code, span, format!("unknown {what} `{word}`"), help);
}

/// The words of a sender's script: none, or with look-ups those that read and those that keep what was read.
#[allow(
    clippy::expect_used,
    reason = "the names are written below; that they are words is tested"
)]
pub fn source_vocabulary(looks_up: bool) -> &'static Arc<Vocabulary> {
    static NONE: LazyLock<Arc<Vocabulary>> =
        LazyLock::new(|| Arc::new(Vocabulary::new([]).expect("no words are words")));
    static WORDS: LazyLock<Arc<Vocabulary>> = LazyLock::new(|| {
        let words = [
            Word::ask(
                "http::get",
                1..=2,
                "PATH, #{ query, headers }: reads; the answer is #{ status, headers, body }",
            ),
            Word::ask(
                "secret::keep",
                1..=1,
                "TEXT: seals it and answers the handle #{ secret: NAME } to use in its place",
            ),
            Word::ask(
                "secret::digest",
                1..=1,
                "TEXT: its SHA-256 in base64, by which others may know it; only for what nobody can guess",
            ),
        ];
        Arc::new(Vocabulary::new(words).expect("names of source words are words"))
    });
    if looks_up { &WORDS } else { &NONE }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Manifest;
    use super::*;

    const HEAD: &str = "name = \"a\"\ntitle = \"A\"\nversion = \"1\"\n";

    #[test]
    fn the_words_of_sources_are_words() {
        assert_eq!(source_vocabulary(false).words().count(), 0);
        assert_eq!(source_vocabulary(true).words().count(), 3);
    }

    #[test]
    fn a_sender_says_what_it_asks_and_is_asked() {
        let text = format!(
            "{HEAD}hosts = [\"api.example.com\"]\n[source]\nauth = \"header\"\nscript = true\nchallenge = \"okta\"\n\
             lookup = {{ permission = \"alerts: read\", secrets = [\"secret\"] }}\nsettings = {{ labels = \"map\" }}\n"
        );
        let spec = Manifest::parse("connector.toml", &text).unwrap().source.unwrap();
        assert_eq!(spec.challenge, Some(Challenge::Okta));
        assert_eq!(spec.lookup.unwrap().secrets, ["secret"]);
        assert_eq!(spec.settings["labels"], SettingKind::Map);
    }

    #[test]
    fn what_a_sender_cannot_have_is_said() {
        for (table, code) in [
            ("script = true\nchallenge = \"otka\"", "C030"),
            ("lookup = { permission = \"x\" }", "C031"),
            ("script = true\nsettings = { labels = \"mop\" }", "C032"),
            ("script = true\nlookup = { permission = \"x\" }", "C003"),
        ] {
            let hosts = if code == "C003" {
                ""
            } else {
                "hosts = [\"api.example.com\"]\n"
            };
            let text = format!("{HEAD}{hosts}[source]\nauth = \"header\"\n{table}\n");
            let mistakes = Manifest::parse("connector.toml", &text).unwrap_err();
            assert!(
                mistakes.iter().any(|one| one.code == code),
                "{table}: {mistakes:?}"
            );
        }
    }

    #[test]
    fn a_name_with_a_hyphen_is_for_those_who_only_send() {
        let sends = "name = \"aws-guardduty\"\ntitle = \"A\"\nversion = \"1\"\n[source]\nauth = \"header\"\n";
        assert_eq!(
            Manifest::parse("connector.toml", sends).unwrap().name,
            "aws-guardduty"
        );
        let acts = "name = \"aws-iam\"\ntitle = \"A\"\nversion = \"1\"\nhosts = [\"a.example.com\"]\n\
                    [actions.x]\ntitle = \"X\"\nclass = \"read\"\npermission = \"p\"\n";
        let mistakes = Manifest::parse("connector.toml", acts).unwrap_err();
        assert_eq!(mistakes[0].code, "C005");
        for name in ["-a", "a-", "a--b", "A-b"] {
            let text = sends.replace("aws-guardduty", name);
            assert!(Manifest::parse("connector.toml", &text).is_err(), "{name}");
        }
    }
}
