//! The calls of `notify::…`, held against what they take, and the names they address, which configuration has to
//! know. What is only known at run time goes to the default then, with a note.

use std::ops::Range;

use super::text::Text;
use crate::diagnostic::{Diagnostic, nearest};
use crate::finding::SeverityId;
use crate::script::{Call, Literal, Program};

/// Keys of `notify::…` that mean something; every other one is told as it is.
pub const TELLING_KEYS: [&str; 4] = ["subject", "severity", "text", "rota"];

/// Somebody a playbook tells by name.
#[derive(Clone, Debug)]
pub struct Addressed {
    /// `team`, `person` or `channel`.
    pub what: &'static str,
    /// The name.
    pub name: String,
    program: Program,
    span: Range<usize>,
}

impl Addressed {
    /// The warning that nobody of this name is configured; `known` are those that are.
    pub fn unknown(&self, known: &[&str]) -> Diagnostic {
        let (what, name) = (self.what, &self.name);
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? else it goes to `default`, with a note"),
            None => "add it under `[notify]`; until then it goes to `default`, with a note".to_owned(),
        };
        let message = format!("`[notify]` has no {what} `{name}`");
        let (file, text) = (self.program.name(), self.program.text());
        Diagnostic::error("K027", message, file, text, self.span.clone(), help).as_warning()
    }
}

/// The words that take a name before the message.
const NAMING: [(&str, &str); 3] = [
    ("notify::team", "team"),
    ("notify::person", "person"),
    ("notify::channel", "channel"),
];

/// Everybody these calls tell by a name that stands in the text.
pub(super) fn addressed(program: &Program, text: &Text<'_>, calls: &[Call]) -> Vec<Addressed> {
    let mut found = Vec::new();
    for call in calls {
        let Some((_, what)) = NAMING.iter().find(|(word, _)| *word == call.name) else {
            continue;
        };
        let span = text.arguments(text.offset(call.at)).into_iter().next();
        if let (Some(name), Some(span)) = (call.args.first().and_then(Literal::as_str), span) {
            found.push(Addressed {
                what,
                name: name.to_owned(),
                program: program.clone(),
                span,
            });
        }
    }
    found
}

/// What is wrong with one call of `notify::…`.
pub(super) fn check(program: &Program, text: &Text<'_>, call: &Call) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let start = text.offset(call.at);
    let arguments = text.arguments(start);
    let whole = start..start + call.name.len();
    let place = usize::from(NAMING.iter().any(|(word, _)| *word == call.name));
    let mut error = |span: Range<usize>, message: String, help: String| {
        let (file, source) = (program.name(), program.text());
        found.push(Diagnostic::error("P017", message, file, source, span, help));
    };
    let at = |n: usize| arguments.get(n).cloned().unwrap_or_else(|| whole.clone());
    if place == 1
        && let Some(Literal::Scalar(value)) = call.args.first()
        && !value.is_string()
    {
        let message = format!("`{}` takes a name first, and `{value}` is none", call.name);
        error(at(0), message, "write it as a text, such as `\"soc\"`".to_owned());
    }
    let map = at(place);
    let members = match call.args.get(place) {
        Some(Literal::Map(members)) => members,
        None | Some(Literal::Unknown) => return found,
        Some(Literal::Scalar(_) | Literal::List(_)) => {
            let message = format!("`{}` takes a map that says what is told", call.name);
            error(map, message, "write `#{ subject: \"…\" }`".to_owned());
            return found;
        }
    };
    if !members.contains_key("subject") {
        let near = nearest("subject", members.keys().map(String::as_str));
        let help = match near {
            Some(near) => format!("`{near}` is told as a further fact; did you mean `subject`?"),
            None => "add `subject`, the one line that is read first".to_owned(),
        };
        error(map.clone(), format!("`{}` has no `subject`", call.name), help);
    }
    for (key, value) in members {
        let Literal::Scalar(value) = value else { continue };
        let span = text.member(&map, key).map_or(map.clone(), |(_, value)| value);
        if key == "severity"
            && value
                .as_str()
                .is_some_and(|word| SeverityId::from_word(word) == SeverityId::UNKNOWN)
        {
            let help = "it is one of `informational`, `low`, `medium`, `high`, `critical`, `fatal`";
            error(
                span,
                format!("`{}` is no severity", value.as_str().unwrap_or_default()),
                help.to_owned(),
            );
        } else if TELLING_KEYS.contains(&key.as_str()) && key != "severity" && !value.is_string() {
            error(
                span,
                format!("`{key}` of `{}` is a text", call.name),
                "write it in quotes".to_owned(),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::connector::Catalog;
    use crate::playbook::vocabulary;

    fn calls(script: &str) -> (Program, Vec<Call>) {
        let program = Program::new("playbook.rhai", script);
        let words = vocabulary(&Catalog::of([]), false).unwrap();
        let facts = crate::script::check(&program, &words, &["finding"]).unwrap();
        (program, facts.calls)
    }

    fn told(script: &str) -> String {
        let (program, calls) = calls(script);
        let text = Text::new(program.text());
        let found: Vec<String> = calls
            .iter()
            .flat_map(|call| check(&program, &text, call))
            .map(|one| format!("{}: {}", one.message, one.help))
            .collect();
        found.join("\n")
    }

    #[test]
    fn a_message_needs_a_subject_and_words_that_exist() {
        for (script, wanted) in [
            (
                "notify::oncall(#{ subject: \"s\", severity: \"high\", more: 1 });",
                "",
            ),
            (
                "notify::oncall(#{ subject: `a ${finding.title}`, severity: finding.severity });",
                "",
            ),
            ("notify::oncall(#{ subjct: \"s\" });", "did you mean `subject`?"),
            ("notify::oncall(#{ results: [] });", "add `subject`"),
            (
                "notify::oncall(#{ subject: 1 });",
                "`subject` of `notify::oncall` is a text",
            ),
            (
                "notify::oncall(#{ subject: \"s\", severity: \"urgent\" });",
                "`urgent` is no severity",
            ),
            ("notify::oncall(\"s\");", "takes a map"),
            ("notify::team(#{ subject: \"s\" }, 2);", "takes a map"),
            ("notify::team(3, #{ subject: \"s\" });", "takes a name first"),
            ("notify::channel(\"soc\", #{ text: \"s\" });", "has no `subject`"),
        ] {
            let told = told(script);
            assert_eq!(told.is_empty(), wanted.is_empty(), "{script}: {told}");
            assert!(told.contains(wanted), "{script}: {told}");
        }
    }

    #[test]
    fn names_are_found_where_they_stand() {
        let (program, calls) = calls(
            "notify::team(\"socc\", #{ subject: \"s\" });\nnotify::person(finding.owner, #{ subject: \"s\" });\n\
             notify::channel(\"soc\", #{ subject: \"s\" });\n",
        );
        let found = addressed(&program, &Text::new(program.text()), &calls);
        let names: BTreeMap<&str, &str> = found.iter().map(|one| (one.what, one.name.as_str())).collect();
        assert_eq!(names, BTreeMap::from([("team", "socc"), ("channel", "soc")]));
        let warning = found[0].unknown(&["soc"]);
        assert_eq!((warning.line, warning.column), (1, 14));
        assert!(warning.help.contains("did you mean `soc`?"), "{}", warning.help);
    }
}
