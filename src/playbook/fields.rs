//! What a script reads of its finding: properties that no finding has, and types that no entity has. The second
//! would not even fail: `finding.all("hots")` is an empty list, and nothing would be contained.

use super::manifest::listed;
use super::text::{Text, is_word};
use crate::diagnostic::{Diagnostic, nearest};
use crate::finding::EntityType;
use crate::script::Program;

/// The properties of a finding, as a script sees it.
const FIELDS: [&str; 16] = [
    "id",
    "source",
    "uid",
    "title",
    "message",
    "severity_id",
    "severity",
    "activity",
    "time",
    "rule",
    "product",
    "attack",
    "url",
    "entities",
    "entities_left_out",
    "raw",
];

/// The methods that take an entity type.
pub(super) const BY_TYPE: [&str; 4] = ["affected", "all", "actors", "observed"];

pub(super) fn check(program: &Program, text: &Text<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for place in text.words("finding") {
        let (before, after) = text.around(&place);
        let Some(member) = after.strip_prefix('.').map(str::trim_start) else {
            continue;
        };
        if before.ends_with('.') || before.ends_with("::") {
            continue;
        }
        let start = text.code.len() - member.len();
        let name = member.split(|c| !is_word(c)).next().unwrap_or_default();
        let rest = member.get(name.len()..).unwrap_or_default().trim_start();
        let mut error = |code, message: String, span, help: String| {
            found.push(Diagnostic::error(
                code,
                message,
                program.name(),
                program.text(),
                span,
                help,
            ));
        };
        if !rest.starts_with('(') {
            if !name.is_empty() && !FIELDS.contains(&name) {
                let help = match nearest(name, FIELDS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "it has {}; the sender's own fields are under `raw`",
                        listed(&FIELDS)
                    ),
                };
                error(
                    "P022",
                    format!("a finding has no `{name}`"),
                    start..start + name.len(),
                    help,
                );
            }
        } else if BY_TYPE.contains(&name)
            && let Some(argument) = text.arguments(start).first()
            && let Some(kind) = quoted(text, argument)
            && EntityType::from_word(kind).is_none()
        {
            let words = EntityType::ALL.map(EntityType::word);
            let help = match nearest(kind, words) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("types are {}", listed(&words)),
            };
            error(
                "P021",
                format!("`{kind}` is not a type of entity"),
                argument.clone(),
                help,
            );
        }
    }
    found
}

/// What stands in the quotes, where the range is one quoted text.
pub(super) fn quoted<'a>(text: &Text<'a>, range: &std::ops::Range<usize>) -> Option<&'a str> {
    let inner = text
        .source
        .get(range.clone())?
        .strip_prefix('"')?
        .strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_a_finding() {
        let finding = crate::playbook::tests::finding(&["web-07"]);
        let value = serde_json::to_value(finding).unwrap();
        let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut listed = FIELDS.to_vec();
        fields.sort_unstable();
        listed.sort_unstable();
        assert_eq!(fields, listed);
    }

    #[test]
    fn comments_texts_and_other_things_called_finding_are_left_alone() {
        let source = "// finding.titel\nlet a = \"finding.titel\"; let b = #{ finding: #{ titel: 1 } };\n\
                      note(`${b.finding.titel} ${finding.title} ${finding.raw.titel}`);\nfinding.get(\"titel\");\n";
        let program = Program::new("playbook.rhai", source);
        assert_eq!(check(&program, &Text::new(source)), []);
    }

    #[test]
    fn every_type_of_entity_is_known() {
        for kind in EntityType::ALL {
            let source = format!("finding.all(\"{}\")", kind.word());
            let program = Program::new("playbook.rhai", source.as_str());
            assert_eq!(check(&program, &Text::new(&source)), []);
        }
    }
}
