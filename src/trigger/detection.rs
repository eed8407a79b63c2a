//! The `detection` section: named searches over the fields of a finding, built into rsigma's own tree so that
//! exactly what was checked is what is evaluated. Evaluates nothing itself.

use std::collections::HashMap;

use rsigma_parser::{Detection, DetectionItem, Detections, FieldSpec, SigmaString, SigmaValue};

use super::report::Report;
use super::yaml::{Key, Node, What};
use super::{condition, modifier, value};
use crate::diagnostic::nearest;
use crate::finding::Finding;

/// Reads the section under `detection`. `None` when something is wrong.
pub(super) fn read(section: (&Key, &Node), report: &mut Report<'_>) -> Option<Detections> {
    let (key, node) = section;
    let Some(members) = node.members() else {
        report.error(
            "T006",
            &key.span,
            "`detection` is not a map",
            "give it named searches and a `condition`",
        );
        return None;
    };
    let mut named = HashMap::new();
    let mut searches: Vec<&Key> = Vec::new();
    let mut complete = true;
    for (name, body) in members {
        match name.text.as_str() {
            "condition" => {}
            "timeframe" => {
                complete = false;
                report.error(
                    "T016",
                    &name.span,
                    "`timeframe` counts events over time, which triggers do not do",
                    "count in the SIEM's rule; for one run per hour write `window: 1h` under `cordon`",
                );
            }
            text if !is_identifier(text) => {
                complete = false;
                report.error("T006", &name.span, format!("`{text}` cannot be named in a condition"), "use letters, digits, `_` and `-`, and none of `and`, `or`, `not`, `all`, `any`, `of`, `them`");
            }
            text => {
                searches.push(name);
                match search(name, body, report) {
                    Some(found) => drop(named.insert(text.to_owned(), found)),
                    None => complete = false,
                }
            }
        }
    }
    if searches.is_empty() {
        report.error(
            "T005",
            &key.span,
            "`detection` names no search",
            "add one, such as `who: { affected.type: service_account }`",
        );
        return None;
    }
    let Some((_, body)) = node.get("condition") else {
        report.error(
            "T005",
            &key.span,
            "`detection` has no `condition`",
            format!(
                "add `condition: {}`",
                searches
                    .iter()
                    .map(|key| key.text.as_str())
                    .collect::<Vec<_>>()
                    .join(" and ")
            ),
        );
        return None;
    };
    let (conditions, condition_strings) = condition::read(body, &searches, report)?;
    complete.then_some(Detections {
        named,
        conditions,
        condition_strings,
        timeframe: None,
    })
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !["and", "or", "not", "all", "any", "of", "them"].contains(&text)
}

/// One named search: a map of fields, a list of maps, or words to find anywhere.
fn search(name: &Key, body: &Node, report: &mut Report<'_>) -> Option<Detection> {
    match &body.what {
        What::Map(members) => fields(name, members, report),
        What::List(items) if items.is_empty() => {
            report.error(
                "T006",
                &name.span,
                format!("`{}` is an empty list", name.text),
                "give it a map of fields",
            );
            None
        }
        What::List(items) if items.iter().all(|item| matches!(item.what, What::Map(_))) => {
            let maps: Vec<Option<Detection>> = items
                .iter()
                .map(|item| fields(name, item.members().unwrap_or_default(), report))
                .collect();
            maps.into_iter().collect::<Option<Vec<_>>>().map(Detection::AnyOf)
        }
        What::List(items)
            if items
                .iter()
                .all(|item| item.text().is_some_and(|text| !text.is_empty())) =>
        {
            Some(Detection::Keywords(items.iter().filter_map(keyword).collect()))
        }
        What::Text(text) if !text.is_empty() => keyword(body).map(|word| Detection::Keywords(vec![word])),
        _ => {
            let place = if body.span.is_empty() {
                &name.span
            } else {
                &body.span
            };
            report.error(
                "T006",
                place,
                format!(
                    "`{}` is neither a map of fields, a list of such maps, nor words to look for",
                    name.text
                ),
                "write `field: value` under it; put words to look for in quotes",
            );
            None
        }
    }
}

fn keyword(node: &Node) -> Option<SigmaValue> {
    node.text().map(|text| SigmaValue::String(SigmaString::new(text)))
}

fn fields(name: &Key, members: &[(Key, Node)], report: &mut Report<'_>) -> Option<Detection> {
    if members.is_empty() {
        report.error(
            "T006",
            &name.span,
            format!("`{}` is an empty map, which every finding would match", name.text),
            "give it at least one field",
        );
        return None;
    }
    let items: Vec<Option<DetectionItem>> = members
        .iter()
        .map(|(key, body)| item(key, body, report))
        .collect();
    items
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(Detection::AllOf)
}

fn item(key: &Key, body: &Node, report: &mut Report<'_>) -> Option<DetectionItem> {
    let mut parts = key.text.split('|');
    let field = parts.next().unwrap_or("");
    let mut good = check_field(field, key, report);
    let mut chain = Vec::new();
    for word in parts {
        match modifier::known(word) {
            Some(modifier) => chain.push(modifier),
            None => {
                good = false;
                unknown_modifier(word, key, report);
            }
        }
    }
    if !good {
        return None;
    }
    let comparison = match modifier::comparison(&chain) {
        Ok(comparison) => comparison,
        Err(why) => {
            report.error(
                "T010",
                &key.span,
                format!("the modifiers of `{}` do not go together", key.text),
                why,
            );
            return None;
        }
    };
    let values = value::values((key, body), field, &chain, comparison, report)?;
    let item = DetectionItem {
        field: FieldSpec::new(Some(field.to_owned()), chain),
        values,
    };
    // The evaluator's own check (regular expressions, networks), one item at a time so that it has a place.
    match rsigma_eval::compiler::compile_detection(&Detection::AllOf(vec![item.clone()])) {
        Ok(_) => Some(item),
        Err(error) => {
            let text = error.to_string();
            // A broken expression is drawn over several lines; the first and the last say it.
            let lines: Vec<&str> = text
                .lines()
                .map(|line| line.trim().trim_end_matches(':'))
                .collect();
            let said = match lines.as_slice() {
                [first, .., last] => format!("{first}, {last}"),
                _ => text.clone(),
            };
            report.error(
                "T011",
                &body.span,
                format!("the value of `{}` cannot be used: {said}", key.text),
                "correct the value, or put it in single quotes if characters were taken as special",
            );
            None
        }
    }
}

fn check_field(field: &str, key: &Key, report: &mut Report<'_>) -> bool {
    if field.contains(['[', ']', '\\']) {
        report.error(
            "T008",
            &key.span,
            format!("`{field}` picks a member of a list by brackets, which triggers do not do"),
            "drop the brackets: a field of a list matches when any member does",
        );
        return false;
    }
    if Finding::is_field(field) {
        return true;
    }
    let help = match nearest(field, Finding::FIELDS) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!(
            "a field of the sender is `raw.{field}`; ours are listed in the guide, such as `affected.type`, `severity_id`, `rule.uid`"
        ),
    };
    report.error("T008", &key.span, format!("unknown field `{field}`"), help);
    false
}

fn unknown_modifier(word: &str, key: &Key, report: &mut Report<'_>) {
    if word == "expand" {
        report.error(
            "T017",
            &key.span,
            "`expand` fills in placeholders, for which triggers have no values",
            "write the values out",
        );
        return;
    }
    let help = match (word, nearest(word, modifier::names())) {
        ("not", _) => "`not` belongs in the condition; for \"differs from\" write `|neq`".to_owned(),
        (_, Some(known)) => format!("did you mean `{known}`?"),
        (_, None) => "see the page of this error for the modifiers there are".to_owned(),
    };
    report.error("T009", &key.span, format!("unknown modifier `{word}`"), help);
}
