//! The values a detection compares with. A value that can never match, or that the evaluator would read as
//! something else, is an error: a rule that is silently dead contains nothing on the night it is needed.

use rsigma_parser::{Modifier, SigmaString, SigmaValue};

use super::modifier::{self, Comparison};
use super::report::Report;
use super::yaml::{Key, Node, What};
use crate::diagnostic::nearest;
use crate::finding::{Activity, EntityType, Finding, Role, SeverityId};

/// Longest regular expression, characters.
const EXPRESSION_CHARS_MAX: usize = 1_024;

/// The values of one field, checked against what its modifiers can compare.
pub(super) fn values(
    (key, node): (&Key, &Node),
    field: &str,
    chain: &[Modifier],
    comparison: Comparison,
    report: &mut Report<'_>,
) -> Option<Vec<SigmaValue>> {
    let items: &[Node] = match &node.what {
        What::List(items) => items,
        _ => std::slice::from_ref(node),
    };
    let listed = matches!(node.what, What::List(_));
    if items.is_empty() {
        report.error(
            "T011",
            &key.span,
            format!("`{}` has an empty list", key.text),
            "give at least one value",
        );
        return None;
    }
    if listed
        && matches!(
            comparison,
            Comparison::Existence | Comparison::Size | Comparison::Field
        )
    {
        report.error(
            "T011",
            &key.span,
            format!("`{}` takes one value, not a list", key.text),
            "write a second identifier and join the two in the condition",
        );
        return None;
    }
    if chain.contains(&Modifier::All) && items.len() < 2 {
        report.error(
            "T011",
            &key.span,
            "`all` wants a list of two values or more",
            "give a list, or remove `all`",
        );
        return None;
    }
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match value(item, field, chain, comparison, listed) {
            Ok(value) => values.push(value),
            Err((message, help)) => {
                // An absent value has no width of its own, so the caret goes under its key.
                let place = if item.span.is_empty() {
                    &key.span
                } else {
                    &item.span
                };
                report.error("T011", place, message, help);
            }
        }
    }
    (values.len() == items.len()).then_some(values)
}

type Wrong = (String, String);

fn value(
    item: &Node,
    field: &str,
    chain: &[Modifier],
    comparison: Comparison,
    listed: bool,
) -> Result<SigmaValue, Wrong> {
    let wrong = |message: String, help: &str| Err((message, help.to_owned()));
    match (comparison, &item.what) {
        (_, What::List(_) | What::Map(_)) => wrong(
            format!("a value of `{field}` is {}", item.kind()),
            "give text, a number, true or false",
        ),
        (Comparison::Existence, What::Bool(b)) => Ok(SigmaValue::Bool(*b)),
        (Comparison::Existence, _) => wrong(
            "`exists` takes true or false".into(),
            "write `true` or `false` without quotes",
        ),
        (Comparison::Size | Comparison::TimePart, What::Integer(n)) => Ok(SigmaValue::Integer(*n)),
        (Comparison::Size, What::Float(n)) => Ok(SigmaValue::Float(*n)),
        (Comparison::Size | Comparison::TimePart, _) => wrong(
            format!(
                "`{field}` is compared as a number, but the value is {}",
                item.kind()
            ),
            "write a number without quotes; `severity_id` runs from 0 (unknown) over 4 (high) and 5 (critical) to 6 (fatal)",
        ),
        (Comparison::Field, What::Text(other)) if Finding::is_field(other) => {
            Ok(SigmaValue::String(SigmaString::new(other)))
        }
        (Comparison::Field, _) => wrong(
            "`fieldref` takes the name of another field".into(),
            "name a field of the finding, such as `actor.name`",
        ),
        (Comparison::Network, What::Text(text)) => Ok(SigmaValue::String(SigmaString::new(text))),
        (Comparison::Network, _) => wrong("`cidr` takes a network".into(), "write one such as `10.0.0.0/8`"),
        (Comparison::Expression, What::Text(text)) if text.chars().count() <= EXPRESSION_CHARS_MAX => {
            Ok(SigmaValue::from_raw_string(text))
        }
        (Comparison::Expression, _) => wrong(
            format!("`re` takes a regular expression of at most {EXPRESSION_CHARS_MAX} characters, as text"),
            "put it in single quotes",
        ),
        (Comparison::Text, _) => text_value(item, field, chain, listed),
    }
}

fn text_value(item: &Node, field: &str, chain: &[Modifier], listed: bool) -> Result<SigmaValue, Wrong> {
    let partial = chain
        .iter()
        .any(|m| matches!(m, Modifier::Contains | Modifier::StartsWith | Modifier::EndsWith));
    let plain = chain.iter().all(|m| matches!(m, Modifier::Neq));
    match &item.what {
        What::Text(text) => {
            let value = SigmaString::new(text);
            if modifier::encodes(chain) && !value.is_plain() {
                return Err((
                    "wildcards are not expanded under an encoding".into(),
                    "remove `*` and `?`, or write `\\*` and `\\?` for the characters".into(),
                ));
            }
            if partial && text.is_empty() {
                return Err((
                    "empty text is part of every text".into(),
                    "name the part to look for, or use `exists: true`".into(),
                ));
            }
            if !partial && !modifier::encodes(chain) {
                word_of(field, &value)?;
            }
            Ok(SigmaValue::String(value))
        }
        What::Integer(n) if plain || (partial && !modifier::encodes(chain)) => Ok(SigmaValue::Integer(*n)),
        What::Float(n) if plain => Ok(SigmaValue::Float(*n)),
        What::Bool(b) if plain => Ok(SigmaValue::Bool(*b)),
        What::Null if plain && !listed => Ok(SigmaValue::Null),
        What::Null => Err((
            "nothing stands where a value belongs".into(),
            "give a value; `null` for \"not there\" stands alone, without list or modifier".into(),
        )),
        _ => Err((
            format!("this comparison takes text, but the value is {}", item.kind()),
            "put the value in quotes, or drop the modifier".into(),
        )),
    }
}

/// Fields with a known set of words: a word outside it never matches.
fn word_of(field: &str, value: &SigmaString) -> Result<(), Wrong> {
    let Some(word) = value.as_plain() else {
        return Ok(());
    };
    let lower = word.to_lowercase();
    if field == "severity_id" {
        let number = lower.parse::<u8>().is_ok();
        return if number {
            Ok(())
        } else {
            Err((
                format!("`severity_id` is a number, never `{word}`"),
                format!("write `severity: {word}`, or a number from 0 to 6"),
            ))
        };
    }
    let words: Vec<&'static str> = match field.rsplit_once('.') {
        Some(("actor" | "affected" | "observed" | "entity", "type")) => {
            EntityType::ALL.iter().map(|kind| kind.word()).collect()
        }
        Some(("actor" | "affected" | "observed" | "entity", "role")) => {
            [Role::Actor, Role::Affected, Role::Observed]
                .iter()
                .map(|role| role.word())
                .collect()
        }
        None if field == "severity" => [0, 1, 2, 3, 4, 5, 6, 99]
            .into_iter()
            .map(|id| SeverityId(id).word())
            .collect(),
        None if field == "activity" => [Activity::Create, Activity::Update]
            .into_iter()
            .map(activity_word)
            .collect(),
        _ => return Ok(()),
    };
    if words.contains(&lower.as_str()) {
        return Ok(());
    }
    let help = match nearest(&lower, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("it is one of {}", words.join(", ")),
    };
    Err((format!("`{field}` is never `{word}`"), help))
}

/// The word of an activity in findings and triggers.
pub(super) fn activity_word(activity: Activity) -> &'static str {
    match activity {
        Activity::Create => "create",
        Activity::Update => "update",
        Activity::Close => "close",
    }
}
