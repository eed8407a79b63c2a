//! Habits that the language allows and an author will regret: changes one after the other where `each` belongs,
//! hidden in a method or a function; a severity compared as a number although it is a word; an action written without
//! its call.

use std::ops::Range;

use super::check::Ground;
use super::reach;
use super::text::{Text, is_word};
use crate::diagnostic::Diagnostic;
use crate::script::{Call, Program};

/// Methods that call a closure for each item, one after the other.
const WALKING: [&str; 6] = ["map", "for_each", "filter", "find", "some", "retain"];

pub(super) fn check(
    program: &Program,
    text: &Text<'_>,
    calls: &[Call],
    ground: &Ground<'_>,
) -> Vec<Diagnostic> {
    let looking = Looking {
        program,
        text,
        ground,
    };
    let mut found = looking.walked(calls);
    found.extend(looking.hidden(calls));
    found.extend(looking.severity());
    found.extend(looking.uncalled());
    found
}

struct Looking<'a> {
    program: &'a Program,
    text: &'a Text<'a>,
    ground: &'a Ground<'a>,
}

impl Looking<'_> {
    fn error(&self, code: &'static str, span: Range<usize>, message: String, help: &str) -> Diagnostic {
        let (file, text) = (self.program.name(), self.program.text());
        Diagnostic::error(code, message, file, text, span, help)
    }

    fn changes(&self, name: &str) -> bool {
        self.ground.specs(name).iter().any(|spec| spec.changes())
    }

    /// A change inside the closure of a method that walks a list.
    fn walked(&self, calls: &[Call]) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for call in calls.iter().filter(|call| self.changes(&call.name)) {
            let start = self.text.offset(call.at);
            let Some(method) = walker(&self.text.code, start) else {
                continue;
            };
            let name = &call.name;
            let message =
                format!("`{name}` in `{method}` is done one after the other and stops at the first error");
            let help = "use `each(list, |item| …)`, which goes on and does many at once";
            found.push(
                self.error("P007", start..start + name.len(), message, help)
                    .as_warning(),
            );
        }
        found
    }

    /// A function of the script that changes something, called in a loop.
    fn hidden(&self, calls: &[Call]) -> Vec<Diagnostic> {
        let code = &self.text.code;
        let loops = loops(code);
        let mut found = Vec::new();
        for (function, body) in reach::definitions(code) {
            let acting = calls
                .iter()
                .find(|call| self.changes(&call.name) && body.contains(&self.text.offset(call.at)));
            let Some(acting) = acting else { continue };
            for place in self.text.words(&function) {
                let (before, after) = self.text.around(&place);
                let is_call =
                    after.starts_with('(') && !before.ends_with("fn") && !before.ends_with(['.', ':']);
                if is_call
                    && loops
                        .iter()
                        .any(|one| one.contains(&place.start) && !body.contains(&one.start))
                {
                    let message = format!(
                        "`{function}` does `{}`, and in a loop that is done one after the other and stops at the first error",
                        acting.name
                    );
                    let help = "use `each(list, |item| …)`, which goes on and does many at once";
                    found.push(self.error("P007", place, message, help).as_warning());
                }
            }
        }
        found
    }

    /// `finding.severity > 3`: a word and a number are never equal, and neither is the greater one.
    fn severity(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for place in self.text.words("severity") {
            let (before, after) = self.text.around(&place);
            let Some(owner) = before.strip_suffix('.').map(str::trim_end) else {
                continue;
            };
            let signs = ["==", "!=", ">=", "<=", ">", "<"];
            let compared = signs.iter().find_map(|sign| after.strip_prefix(sign));
            let is_number =
                compared.is_some_and(|rest| rest.trim_start().starts_with(|c: char| c.is_ascii_digit()));
            if owner.ends_with("finding") && is_number {
                let message =
                    "`finding.severity` is a word, and no number is more or less than it".to_owned();
                let help = "compare `finding.severity_id`, from 1 (informational) to 6 (fatal)";
                found.push(self.error("P034", place, message, help));
            }
        }
        found
    }

    /// `let f = endpoint::isolate;`
    fn uncalled(&self) -> Vec<Diagnostic> {
        let code = &self.text.code;
        let mut found = Vec::new();
        for (at, _) in code.match_indices("::") {
            let head = code.get(..at).unwrap_or_default();
            let length = head
                .chars()
                .rev()
                .take_while(|c| is_word(*c))
                .map(char::len_utf8)
                .sum::<usize>();
            let tail = code.get(at + 2..).unwrap_or_default();
            let verb: String = tail.chars().take_while(|c| is_word(*c)).collect();
            let after = tail.get(verb.len()..).unwrap_or_default().trim_start();
            let span = at - length..at + 2 + verb.len();
            let name = code.get(span.clone()).unwrap_or_default();
            if !after.starts_with(['(', '!']) && !self.ground.specs(name).is_empty() {
                let message = format!("`{name}` is an action and no value");
                let help = "call it, or wrap it: `|target| …`";
                found.push(self.error("P035", span, message, help));
            }
        }
        found
    }
}

/// The method in whose closure a place stands, if no branching word is nearer.
fn walker(code: &str, place: usize) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, c) in code.get(..place)?.char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '[' | '{' => depth = depth.saturating_sub(1),
            '(' if depth > 0 => depth -= 1,
            '(' => {
                let head = code.get(..at)?;
                let length = head
                    .chars()
                    .rev()
                    .take_while(|c| is_word(*c))
                    .map(char::len_utf8)
                    .sum::<usize>();
                let word = head.get(head.len() - length..)?;
                let is_method = head.get(..head.len() - length)?.trim_end().ends_with('.');
                let is_closure = code.get(at + 1..)?.trim_start().starts_with('|');
                if is_method && is_closure && WALKING.contains(&word) {
                    return Some(word);
                }
                if !is_method && ["each", "all", "attempt"].contains(&word) {
                    return None;
                }
            }
            _ => {}
        }
    }
    None
}

/// The bodies of the loops in some code.
fn loops(code: &str) -> Vec<Range<usize>> {
    let mut bodies = Vec::new();
    for word in ["for", "while", "loop"] {
        for (at, _) in code.match_indices(word) {
            let is_alone = !code.get(..at).is_some_and(|head| head.ends_with(is_word))
                && !code
                    .get(at + word.len()..)
                    .is_some_and(|tail| tail.starts_with(is_word));
            let open = code.get(at..).and_then(|rest| rest.find('{')).map(|n| at + n);
            if let (true, Some(open)) = (is_alone, open) {
                bodies.push(open..reach::closing(code, open));
            }
        }
    }
    bodies
}
