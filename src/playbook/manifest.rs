//! What a playbook says of itself in `playbook.toml`: what it is for, whose it is, and what happens when it
//! fails. Reads text and nothing else; whether what it says can be done yet is for `check`.

use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::input::{Input, InputSpecs};
use crate::approval::Terms;
use crate::clock::duration_ms;
use crate::diagnostic::{Diagnostic, nearest};
use crate::journal::{AskOnFailure, OnFailure, PlaybookKind};
use crate::limits::{APPROVAL_MS, RUN_DEADLINE_MS};
use crate::script;

const KEYS: [&str; 11] = [
    "id",
    "title",
    "kind",
    "owner",
    "author",
    "on_failure",
    "ask",
    "attack",
    "controls",
    "limits",
    "inputs",
];
const LIMITS: [&str; 1] = ["deadline"];
const KINDS: [(&str, PlaybookKind); 2] = [
    ("response", PlaybookKind::Response),
    ("lifecycle", PlaybookKind::Lifecycle),
];
const FAILURES: [(&str, OnFailure); 3] = [
    ("keep", OnFailure::Keep),
    ("roll_back", OnFailure::RollBack),
    ("ask", OnFailure::Ask),
];

/// Longest deadline, ms: ninety days, the longest approval and the longest lease fit into it.
const DEADLINE_MS_MAX: u64 = 90 * 24 * 3_600_000;
/// Longest id, characters: it stands in lists and in file names.
const ID_CHARS_MAX: usize = 80;

/// A playbook, as its `playbook.toml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its name everywhere: lower-case letters, digits and `-`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// What it is for.
    pub kind: PlaybookKind,
    /// The team that answers for it.
    pub owner: String,
    /// The principal who published it and therefore approves nothing it does; the estate's where nothing is said.
    pub author: Option<String>,
    /// What happens to effects when the script fails. Where nothing is said: `keep` for a response,
    /// `roll_back` for a lifecycle playbook.
    pub on_failure: OnFailure,
    /// Who decides when the script fails; there exactly where `on_failure` is `ask`.
    pub ask: Option<AskOnFailure>,
    /// ATT&CK technique ids it answers, such as `T1078.004`.
    pub attack: Vec<String>,
    /// Controls it serves, in their framework's words, such as `CSF:PR.AA-05`.
    pub controls: Vec<String>,
    /// How long a run may take, ms; a day where nothing is said.
    pub deadline_ms: u64,
    /// What whoever starts it gives.
    pub inputs: InputSpecs,
    /// Where `[inputs]` stands.
    pub(super) inputs_at: Range<usize>,
    /// Where `ask` says who decides.
    pub(super) ask_at: Range<usize>,
}

impl Manifest {
    /// Reads a manifest; `file` is its name in messages.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it: codes `P010` to `P013`.
    pub fn parse(file: &str, text: &str) -> Result<Manifest, Vec<Diagnostic>> {
        let mut reader = Reader {
            file,
            text,
            found: Vec::new(),
        };
        let manifest = match DeTable::parse(text) {
            Ok(root) => read(&mut reader, root.get_ref()),
            Err(error) => {
                let message = format!("this is not TOML: {}", error.message().replace('\n', ", "));
                let help = "look at the marked place: a text stands in double quotes, a list in `[ ]`";
                reader.error("P010", error.span().unwrap_or(0..0), message, help);
                None
            }
        };
        match manifest {
            Some(manifest) if reader.found.is_empty() => Ok(manifest),
            _ => Err(reader.found),
        }
    }
}

fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Manifest> {
    reader.only(root, &KEYS);
    let id = reader.needed(root, "id").and_then(|id| reader.id(id));
    let title = reader.needed(root, "title").map(|(title, _)| title);
    let kind = reader
        .needed(root, "kind")
        .and_then(|kind| reader.one_of("kind", kind, &KINDS));
    let owner = reader.needed(root, "owner").map(|(owner, _)| owner);
    let author = reader.text(root, "author").map(|(author, _)| author);
    let on_failure = reader.text(root, "on_failure");
    let on_failure = on_failure.and_then(|said| reader.one_of("on_failure", said, &FAILURES));
    let attack = reader.texts(root, "attack");
    for (technique, span) in &attack {
        if !is_technique(technique) {
            let message = format!("`{technique}` is not an ATT&CK technique");
            reader.error(
                "P013",
                span.clone(),
                message,
                "write an id such as `T1078` or `T1078.004`",
            );
        }
    }
    let controls = reader
        .texts(root, "controls")
        .into_iter()
        .map(|(control, _)| control)
        .collect();
    let deadline_ms = reader.deadline(root);
    let (inputs, inputs_at) = reader.inputs(root);
    let (kind, _) = kind?;
    let by_kind = match kind {
        PlaybookKind::Lifecycle => OnFailure::RollBack,
        PlaybookKind::Response | PlaybookKind::Internal => OnFailure::Keep,
    };
    let (on_failure, on_failure_at) = on_failure.unwrap_or((by_kind, 0..0));
    let (ask, ask_at) = reader.ask(root, on_failure, &on_failure_at);
    Some(Manifest {
        id: id?,
        title: title?,
        kind,
        owner: owner?,
        author,
        on_failure,
        ask,
        attack: attack.into_iter().map(|(technique, _)| technique).collect(),
        controls,
        deadline_ms,
        inputs,
        inputs_at,
        ask_at,
    })
}

/// `T` and four digits, with `.` and three for a sub-technique.
fn is_technique(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    text.strip_prefix('T')
        .is_some_and(|rest| match rest.split_once('.') {
            Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
            None => digits(rest, 4),
        })
}

type Placed<T> = (T, Range<usize>);

/// The text being read, and what was found wrong so far.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found
            .push(Diagnostic::error(code, message, self.file, self.text, span, help));
    }

    fn only(&mut self, table: &DeTable<'_>, known: &[&'static str]) {
        for (name, _) in table.iter() {
            let key = name.get_ref().as_ref();
            if !known.contains(&key) {
                let help = match nearest(key, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("keys here are {}", listed(known)),
                };
                self.error("P011", name.span(), format!("unknown key `{key}`"), help);
            }
        }
    }

    fn wrong(&mut self, key: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>) {
        let message = format!("`{key}` is {} and should be {wanted}", found.type_str());
        self.error("P013", span, message, format!("write {wanted} for `{key}`"));
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<Placed<String>> {
        let (_, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
        match value.get_ref().as_str() {
            Some(text) if text.trim().is_empty() => {
                self.error(
                    "P013",
                    value.span(),
                    format!("`{key}` is empty"),
                    format!("give `{key}` a value"),
                );
                None
            }
            Some(text) => Some((text.to_owned(), value.span())),
            None => {
                self.wrong(key, "a text", value.get_ref(), value.span());
                None
            }
        }
    }

    fn needed(&mut self, table: &DeTable<'_>, key: &str) -> Option<Placed<String>> {
        if !table.iter().any(|(name, _)| name.get_ref() == key) {
            let help = format!("add `{key} = \"…\"` above the first table");
            self.error("P012", 0..0, format!("the manifest has no `{key}`"), help);
            return None;
        }
        self.text(table, key)
    }

    fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Vec<Placed<String>> {
        let Some((_, value)) = table.iter().find(|(name, _)| name.get_ref() == key) else {
            return Vec::new();
        };
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(key, "a list of texts", value.get_ref(), value.span());
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), item.span())),
                None => self.wrong(key, "a list of texts", item.get_ref(), item.span()),
            }
        }
        texts
    }

    fn one_of<T: Copy>(
        &mut self,
        key: &str,
        (word, span): Placed<String>,
        words: &[(&str, T)],
    ) -> Option<Placed<T>> {
        let found = words
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, value)| (*value, span.clone()));
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
            let help = match nearest(&word, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}", listed(&names)),
            };
            self.error("P013", span, format!("`{word}` is no value of `{key}`"), help);
        }
        found
    }

    fn id(&mut self, (id, span): Placed<String>) -> Option<String> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-');
        if ends && id.chars().all(letters) && id.len() <= ID_CHARS_MAX {
            return Some(id);
        }
        let help = format!(
            "use lower-case letters, digits and `-`, beginning with a letter, at most {ID_CHARS_MAX}"
        );
        self.error(
            "P013",
            span,
            format!("`{id}` cannot be the id of a playbook"),
            help,
        );
        None
    }

    fn inputs(&mut self, root: &DeTable<'_>) -> (InputSpecs, Range<usize>) {
        let mut inputs = InputSpecs::new();
        let Some((name, value)) = root.iter().find(|(name, _)| name.get_ref() == "inputs") else {
            return (inputs, 0..0);
        };
        let place = name.span();
        let Some(table) = value.get_ref().as_table() else {
            self.wrong("inputs", "a table", value.get_ref(), value.span());
            return (inputs, place);
        };
        for (name, value) in table.iter() {
            let key = name.get_ref().as_ref();
            if !script::is_variable(key) || key == "finding" {
                self.error(
                    "P046",
                    name.span(),
                    format!("`{key}` cannot be the name of an input"),
                    "use letters, digits and `_`, and no word that the language or a finding has",
                );
            }
            match input(value.get_ref()) {
                Some(spec) => drop(inputs.insert(key.to_owned(), spec)),
                None => self.error(
                    "P046",
                    value.span(),
                    format!("this does not say what the input `{key}` is"),
                    "write `\"required\"`, `\"optional\"`, or `{ default = … }` with a text, number or flag",
                ),
            }
        }
        (inputs, place)
    }

    /// `[ask]`: who decides whether a run that failed is rolled back. Needed with `on_failure = "ask"`, and nowhere else.
    fn ask(
        &mut self,
        root: &DeTable<'_>,
        on_failure: OnFailure,
        said_at: &Range<usize>,
    ) -> (Option<AskOnFailure>, Range<usize>) {
        let found = root.iter().find(|(name, _)| name.get_ref() == "ask");
        let asks = on_failure == OnFailure::Ask;
        let Some((name, value)) = found else {
            if asks {
                let help = "add a table `[ask]` with `by = \"GROUP\"`, and `quorum` and `within` if you like";
                self.error(
                    "P012",
                    said_at.clone(),
                    "nobody is named to be asked when it fails",
                    help,
                );
            }
            return (None, 0..0);
        };
        if !asks {
            let help = "write `on_failure = \"ask\"`, or take the table out";
            self.error(
                "P013",
                name.span(),
                "`ask` goes with `on_failure = \"ask\"`",
                help,
            );
            return (None, 0..0);
        }
        let Some(table) = value.get_ref().as_table() else {
            self.wrong("ask", "a table", value.get_ref(), value.span());
            return (None, 0..0);
        };
        self.only(table, &Terms::KEYS);
        let by = self.text(table, "by");
        if !table.iter().any(|(name, _)| name.get_ref() == "by") {
            let help = "add `by = \"GROUP\"`: a group of `[groups]`, or a member of one";
            self.error("P012", name.span(), "`[ask]` does not say who decides", help);
        }
        let mut quorum = 1;
        let mut within_ms = APPROVAL_MS;
        for (name, value) in table.iter() {
            let written = match value.get_ref() {
                DeValue::Integer(number) => number.as_str().parse::<i64>().map_or(Value::Null, Value::from),
                DeValue::String(text) => Value::from(text.as_ref()),
                _ => Value::Null,
            };
            let read = match name.get_ref().as_ref() {
                "quorum" => Terms::quorum(&written).map(|n| quorum = n),
                "within" => Terms::within(&written).map(|ms| within_ms = ms),
                _ => Ok(()),
            };
            if let Err(error) = read {
                let help = "write for instance `quorum = 2` and `within = \"8h\"`";
                self.error("P013", value.span(), error.to_string(), help);
            }
        }
        match by {
            Some((by, span)) => {
                let ask = AskOnFailure {
                    by,
                    quorum,
                    within_ms,
                };
                (Some(ask), span)
            }
            None => (None, 0..0),
        }
    }

    fn deadline(&mut self, root: &DeTable<'_>) -> u64 {
        let Some((_, limits)) = root.iter().find(|(name, _)| name.get_ref() == "limits") else {
            return RUN_DEADLINE_MS;
        };
        let Some(table) = limits.get_ref().as_table() else {
            self.wrong("limits", "a table", limits.get_ref(), limits.span());
            return RUN_DEADLINE_MS;
        };
        self.only(table, &LIMITS);
        let Some((text, span)) = self.text(table, "deadline") else {
            return RUN_DEADLINE_MS;
        };
        match duration_ms(&text) {
            Some(ms) if (1..=DEADLINE_MS_MAX).contains(&ms) => ms,
            _ => {
                let message = format!("`{text}` is not a duration from 1ms to 90d");
                self.error(
                    "P013",
                    span,
                    message,
                    "write a whole number and a unit: `30m`, `24h`, `7d`",
                );
                RUN_DEADLINE_MS
            }
        }
    }
}

/// What one input is; `None` where the value says nothing known.
fn input(value: &DeValue<'_>) -> Option<Input> {
    match value {
        DeValue::String(word) if word == "required" => Some(Input::Required),
        DeValue::String(word) if word == "optional" => Some(Input::Optional),
        DeValue::Table(table) => match (table.len(), table.iter().next()) {
            (1, Some((key, value))) if key.get_ref() == "default" => match value.get_ref() {
                DeValue::String(text) => Some(Input::Default(Value::from(text.as_ref()))),
                DeValue::Boolean(flag) => Some(Input::Default(Value::from(*flag))),
                DeValue::Integer(number) => number
                    .as_str()
                    .parse::<i64>()
                    .ok()
                    .map(|n| Input::Default(n.into())),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// `a`, `b`, `c` in back-ticks.
pub(super) fn listed<T: AsRef<str>>(words: &[T]) -> String {
    words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
id = "compromised-service-account"
title = "Compromised service account"
kind = "response"
owner = "identity-response"
on_failure = "roll_back"
attack = ["T1078.004"]
controls = ["CSF:PR.AA-05"]
[limits]
deadline = "2h"
"#;

    #[test]
    fn a_manifest_says_what_its_keys_say() {
        let manifest = Manifest::parse("playbook.toml", WHOLE).unwrap();
        assert_eq!(manifest.id, "compromised-service-account");
        assert_eq!(
            (manifest.kind, manifest.on_failure),
            (PlaybookKind::Response, OnFailure::RollBack)
        );
        assert_eq!(
            (manifest.attack, manifest.controls.len()),
            (vec!["T1078.004".to_owned()], 1)
        );
        assert_eq!(manifest.deadline_ms, 7_200_000);
    }

    #[test]
    fn inputs_are_declared() {
        let of = |text: &str| Manifest::parse("playbook.toml", &format!("{WHOLE}[inputs]\n{text}"));
        let manifest =
            of("account = \"required\"\nhours = { default = 4 }\nticket = \"optional\"\n").unwrap();
        assert_eq!(manifest.inputs["account"], Input::Required);
        assert_eq!(manifest.inputs["hours"], Input::Default(4.into()));
        assert_eq!(manifest.inputs["ticket"], Input::Optional);
        for wrong in [
            "account = \"neded\"",
            "account = 3",
            "account = { default = [1] }",
            "finding = \"required\"",
            "import = \"required\"",
            "my-name = \"required\"",
        ] {
            let mistakes = of(wrong).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{wrong}");
            assert_eq!(mistakes[0].code, "P046", "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_follows_from_the_kind() {
        let of = |kind: &str| {
            let text = format!("id = \"a\"\ntitle = \"A\"\nkind = \"{kind}\"\nowner = \"us\"\n");
            Manifest::parse("playbook.toml", &text).unwrap()
        };
        assert_eq!(of("response").on_failure, OnFailure::Keep);
        assert_eq!(of("lifecycle").on_failure, OnFailure::RollBack);
        assert_eq!(of("response").deadline_ms, RUN_DEADLINE_MS);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = "id = \"Bad Id\"\ntitle = 3\nkind = \"respones\"\nattack = [\"T1\"]\ncontrols = \"x\"\n\
                    ownr = \"us\"\n[limits]\ndeadline = \"soon\"\n";
        let mut codes: Vec<(&str, usize)> = Manifest::parse("playbook.toml", text)
            .unwrap_err()
            .iter()
            .map(|mistake| (mistake.code, mistake.line))
            .collect();
        codes.sort_unstable();
        let expected = [
            ("P011", 6),
            ("P012", 1),
            ("P013", 1),
            ("P013", 2),
            ("P013", 3),
            ("P013", 4),
            ("P013", 5),
            ("P013", 8),
        ];
        assert_eq!(codes, expected);
    }

    #[test]
    fn techniques_have_the_shape_of_attack() {
        for good in ["T1078", "T1078.004"] {
            assert!(is_technique(good), "{good}");
        }
        for bad in ["1078", "T107", "T1078.4", "T1078.0044", "TA0001", "T1078.", ""] {
            assert!(!is_technique(bad), "{bad}");
        }
    }
}
