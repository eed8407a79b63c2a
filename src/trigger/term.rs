//! What a finding must have for a rule to have any chance: necessary equality terms, read from the rule. Every
//! step here may forget a term, which only costs time, but never invents one, which would lose a match.

use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaValue};

/// Most terms one rule is filed under; a longer list of values is looked at linearly.
const TERMS_MAX: usize = 64;

/// A field and a value it must have, lower-cased.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Term {
    pub(super) field: String,
    pub(super) value: String,
}

/// Alternatives: the rule can match only if at least one of these terms holds.
pub(super) type Alternatives = Vec<Term>;

/// Every set of alternatives that each by itself is necessary. The index files the rule under the rarest.
pub(super) fn necessary(detection: &Detections) -> Vec<Alternatives> {
    any_of(
        detection
            .conditions
            .iter()
            .map(|condition| of_condition(condition, detection))
            .collect(),
    )
}

fn of_condition(condition: &ConditionExpr, detection: &Detections) -> Vec<Alternatives> {
    match condition {
        ConditionExpr::And(parts) => parts
            .iter()
            .flat_map(|part| of_condition(part, detection))
            .collect(),
        ConditionExpr::Or(parts) => any_of(parts.iter().map(|part| of_condition(part, detection)).collect()),
        ConditionExpr::Not(_) => Vec::new(),
        ConditionExpr::Identifier(name) => detection.named.get(name).map_or_else(Vec::new, of_detection),
        ConditionExpr::Selector { quantifier, pattern } => {
            // Sorted, so that the same rule is always filed under the same term.
            let mut named: Vec<_> = detection
                .named
                .iter()
                .filter(|(name, _)| pattern.matches_detection_name(name))
                .collect();
            named.sort_by_key(|(name, _)| *name);
            let each: Vec<Vec<Alternatives>> = named
                .into_iter()
                .map(|(_, search)| of_detection(search))
                .collect();
            match quantifier {
                Quantifier::All => each.into_iter().flatten().collect(),
                Quantifier::Count(0) => Vec::new(),
                // At least one of them matches.
                Quantifier::Any | Quantifier::Count(_) => any_of(each),
            }
        }
    }
}

fn of_detection(detection: &Detection) -> Vec<Alternatives> {
    match detection {
        Detection::AllOf(items) => items.iter().filter_map(of_item).collect(),
        Detection::AnyOf(parts) => any_of(parts.iter().map(of_detection).collect()),
        Detection::And(parts) => parts.iter().flat_map(of_detection).collect(),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => Vec::new(),
    }
}

/// One of the parts matches, so one term of one set of each part's holds. From each part its smallest set is
/// taken; a part without any makes the whole free.
fn any_of(parts: Vec<Vec<Alternatives>>) -> Vec<Alternatives> {
    let mut joined: Alternatives = Vec::new();
    for part in &parts {
        let Some(smallest) = part.iter().min_by_key(|set| (set.len(), rank(set))) else {
            return Vec::new();
        };
        joined.extend(smallest.iter().cloned());
    }
    match parts.as_slice() {
        [one] => one.clone(),
        _ if joined.is_empty() || joined.len() > TERMS_MAX => Vec::new(),
        _ => {
            joined.sort();
            joined.dedup();
            vec![joined]
        }
    }
}

fn of_item(item: &DetectionItem) -> Option<Alternatives> {
    let field = item.field.name.as_ref()?;
    if item.values.is_empty()
        || item.values.len() > TERMS_MAX
        || item.field.modifiers.iter().any(|m| *m != Modifier::Cased)
    {
        return None;
    }
    let mut terms = Vec::new();
    for value in &item.values {
        let value = match value {
            SigmaValue::String(text) => text.as_plain()?.to_lowercase(),
            // Numbers also equal texts that read as the same number (`4.0`), except here: always a whole number.
            SigmaValue::Integer(n) if field == "severity_id" => n.to_string(),
            _ => return None,
        };
        terms.push(Term {
            field: field.clone(),
            value,
        });
    }
    Some(terms)
}

/// How little a field tells, for choosing between sets that are otherwise alike.
pub(super) fn rank(set: &[Term]) -> usize {
    set.iter()
        .map(|term| match term.field.as_str() {
            "severity_id" | "severity" | "activity" => 4,
            "source" | "product" => 3,
            field if field.ends_with(".type") || field.ends_with(".role") => 3,
            field if field.starts_with("attack.") => 2,
            field if field.starts_with("raw.") => 1,
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}
