//! The `condition` of a trigger: which searches must match together. Bounds the text before it is parsed, because
//! the grammar recurses on parentheses, and refuses what would match by saying nothing (`all of x*` where no `x`
//! is).

use std::collections::BTreeSet;
use std::ops::Range;

use rsigma_parser::{ConditionExpr, Quantifier, parse_condition};

use super::report::Report;
use super::yaml::{Key, Node, What};
use crate::diagnostic::nearest;

/// Longest condition, bytes.
const CONDITION_BYTES_MAX: usize = 2_048;
/// Most parentheses, and most `not`, in one condition: both make the evaluator recurse.
const NESTING_MAX: usize = 32;

/// The conditions (several are joined by "or") and their texts.
pub(super) fn read(
    node: &Node,
    searches: &[&Key],
    report: &mut Report<'_>,
) -> Option<(Vec<ConditionExpr>, Vec<String>)> {
    let items: &[Node] = match &node.what {
        What::List(items) if !items.is_empty() => items,
        _ => std::slice::from_ref(node),
    };
    let mut used = BTreeSet::new();
    let mut conditions = Vec::new();
    let mut texts = Vec::new();
    for item in items {
        let Some(text) = item.text() else {
            report.error(
                "T012",
                &item.span,
                "a condition is not text",
                "join the names of searches with `and`, `or`, `not`",
            );
            return None;
        };
        let condition = parse(text, &item.span, report)?;
        if !names(&condition, &item.span, text, searches, &mut used, report) {
            return None;
        }
        conditions.push(condition);
        texts.push(text.to_owned());
    }
    let mut complete = true;
    for key in searches
        .iter()
        .filter(|key| !used.contains(key.text.as_str()) && !key.text.starts_with('_'))
    {
        complete = false;
        report.error(
            "T014",
            &key.span,
            format!(
                "the search `{}` is in no condition, so it restricts nothing",
                key.text
            ),
            "name it in `condition`, or remove it",
        );
    }
    complete.then_some((conditions, texts))
}

fn parse(text: &str, span: &Range<usize>, report: &mut Report<'_>) -> Option<ConditionExpr> {
    let negations = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.eq_ignore_ascii_case("not"))
        .count();
    if text.len() > CONDITION_BYTES_MAX || text.matches('(').count() > NESTING_MAX || negations > NESTING_MAX
    {
        report.error("T012", span, "the condition is too long", format!("keep it under {CONDITION_BYTES_MAX} bytes, {NESTING_MAX} parentheses and {NESTING_MAX} `not`; use `1 of name_*`"));
        return None;
    }
    if text.contains('|') {
        report.error(
            "T016",
            span,
            "the condition counts or aggregates (`|`), which triggers do not do",
            "count in the SIEM's rule and let the trigger match its finding",
        );
        return None;
    }
    match parse_condition(text) {
        Ok(condition) => Some(condition),
        Err(_) => {
            report.error("T012", span, format!("the condition `{text}` does not parse"), "join the names of searches with `and`, `or`, `not`, `1 of name_*`, `all of them` and parentheses, in lower case");
            None
        }
    }
}

/// Checks every name against the searches there are, and notes which were used.
fn names<'a>(
    condition: &ConditionExpr,
    span: &Range<usize>,
    text: &str,
    searches: &[&'a Key],
    used: &mut BTreeSet<&'a str>,
    report: &mut Report<'_>,
) -> bool {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            // Every part is looked at, so that all wrong names are told at once.
            let good: Vec<bool> = parts
                .iter()
                .map(|part| names(part, span, text, searches, used, report))
                .collect();
            good.into_iter().all(|good| good)
        }
        ConditionExpr::Not(part) => names(part, span, text, searches, used, report),
        ConditionExpr::Identifier(name) => {
            if let Some(key) = searches.iter().find(|key| key.text == *name) {
                used.insert(key.text.as_str());
                return true;
            }
            let help = match nearest(name, searches.iter().map(|key| key.text.as_str())) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "add a search of this name to `detection`".to_owned(),
            };
            report.error(
                "T013",
                &place(text, span, name),
                format!("the condition names `{name}`, which is no search"),
                help,
            );
            false
        }
        ConditionExpr::Selector { quantifier, pattern } => {
            let found: Vec<&str> = searches
                .iter()
                .map(|key| key.text.as_str())
                .filter(|name| pattern.matches_detection_name(name))
                .collect();
            let needed = match quantifier {
                Quantifier::Count(n) => usize::try_from(*n).unwrap_or(usize::MAX),
                Quantifier::Any | Quantifier::All => 1,
            };
            let enough = needed > 0 && found.len() >= needed;
            if !enough {
                report.error(
                    "T013",
                    span,
                    format!("`{quantifier} of {pattern}` covers {} searches", found.len()),
                    "name a pattern that covers at least as many searches as are wanted, and want at least 1",
                );
            }
            used.extend(found);
            enough
        }
    }
}

/// The place of a name inside the condition's text, as whole word.
fn place(text: &str, span: &Range<usize>, name: &str) -> Range<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let at = text.match_indices(name).map(|(at, _)| at).find(|at| {
        !text.get(..*at).is_some_and(|before| before.ends_with(is_part))
            && !text
                .get(at + name.len()..)
                .is_some_and(|after| after.starts_with(is_part))
    });
    // A quoted condition begins one byte after its span.
    let quote = usize::from(span.len() == text.len() + 2);
    match at {
        Some(at) if span.len() <= text.len() + 2 => {
            let start = span.start + quote + at;
            start..start + name.len()
        }
        _ => span.clone(),
    }
}
