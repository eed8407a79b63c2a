//! Properties of what a playbook was given, where the text shows what it is: an entity of the finding, the receipt of a
//! change, the outcome of a branch, the answer to a question. A property that is not there would end the script
//! with an error half way through; here the author learns it before. What only a run can tell is left alone.

use std::ops::Range;

use super::check::Ground;
use super::manifest::listed;
use super::target::{self, Binding};
use super::text::{Text, is_word};
use crate::diagnostic::{Diagnostic, nearest};
use crate::script::Program;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Entity,
    Receipt,
    Outcome,
    Answer,
    /// What a branch threw.
    Error,
}

/// The same, or a list of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    One(Shape),
    List(Shape),
}

impl Shape {
    fn what(self) -> &'static str {
        match self {
            Shape::Entity => "an entity",
            Shape::Receipt => "the receipt of a change",
            Shape::Outcome => "the outcome of a branch",
            Shape::Answer => "the answer to `approve`",
            Shape::Error => "the error of a branch",
        }
    }

    fn fields(self) -> &'static [&'static str] {
        match self {
            Shape::Entity => &["type", "role", "name", "uid", "ids", "attributes"],
            Shape::Receipt => &[
                "verified", "how", "effect", "action", "instance", "target", "until", "unseen", "result",
                "effects",
            ],
            Shape::Outcome => &["ok", "value", "error"],
            Shape::Answer => &["granted", "by", "why", "at"],
            Shape::Error => &["code", "message", "action", "data"],
        }
    }
}

/// Names followed deeper than this are not followed.
const DEPTH_MAX: usize = 6;

pub(super) fn check(program: &Program, text: &Text<'_>, ground: &Ground<'_>) -> Vec<Diagnostic> {
    let looking = Looking { text, ground };
    let mut found = Vec::new();
    for (at, owner) in members(text) {
        let rest = text.code.get(at..).unwrap_or_default();
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let after = rest.get(name.len()..).unwrap_or_default().trim_start();
        if name.is_empty() || after.starts_with('(') || after.starts_with("::") {
            continue;
        }
        let Some(Known::One(shape)) = looking.known(&owner, DEPTH_MAX) else {
            continue;
        };
        let fields = shape.fields();
        if fields.contains(&name.as_str()) {
            continue;
        }
        let help = match nearest(&name, fields.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", listed(fields)),
        };
        found.push(Diagnostic::error(
            "P032",
            format!("{} has no `{name}`", shape.what()),
            program.name(),
            program.text(),
            at..at + name.len(),
            help,
        ));
    }
    found
}

/// Every place behind a `.` where a name begins, with what stands before the `.`.
fn members(text: &Text<'_>) -> Vec<(usize, Range<usize>)> {
    let code = &text.code;
    let dots = code.match_indices('.').map(|(at, _)| at);
    dots.filter_map(|dot| {
        let after = code.get(dot + 1..)?;
        let gap = after.len() - after.trim_start().len();
        if after.starts_with('.') || code.get(..dot)?.ends_with('.') {
            return None;
        }
        let owner = before(code, dot)?;
        Some((dot + 1 + gap, owner))
    })
    .collect()
}

/// The expression that ends just before a place: names, calls and indexes joined by `.` and `::`.
fn before(code: &str, end: usize) -> Option<Range<usize>> {
    let end = code.get(..end)?.trim_end().len();
    let mut start = end;
    loop {
        let head = code.get(..start)?;
        let trimmed = head.trim_end();
        let last = trimmed.chars().last()?;
        if last == ')' || last == ']' {
            start = opening(trimmed)?;
            continue;
        }
        if is_word(last) {
            // A word that stands before another one is a keyword, not a part of it.
            let is_first = start == end
                || code
                    .get(start..)
                    .is_some_and(|rest| rest.starts_with(['(', '[', '.', ':']));
            if !is_first {
                break;
            }
            let word = trimmed.len()
                - trimmed
                    .chars()
                    .rev()
                    .take_while(|c| is_word(*c))
                    .map(char::len_utf8)
                    .sum::<usize>();
            start = word;
            let joined = code.get(..start)?.trim_end();
            if joined.ends_with("::") {
                start = joined.len() - 2;
                continue;
            }
            if joined.ends_with('.') && !joined.ends_with("..") {
                start = joined.len() - 1;
                continue;
            }
            break;
        }
        break;
    }
    let range = start..end;
    let starts_well = code
        .get(range.clone())?
        .starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
    starts_well.then_some(range)
}

/// Where the bracket that ends this text was opened.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '(' | '[' | '{' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

struct Looking<'a> {
    text: &'a Text<'a>,
    ground: &'a Ground<'a>,
}

impl Looking<'_> {
    fn known(&self, range: &Range<usize>, depth: usize) -> Option<Known> {
        let depth = depth.checked_sub(1)?;
        let code = self.text.code.get(range.clone())?;
        if code.chars().all(is_word) {
            return self.named(code, depth);
        }
        // `list[0]`, and `outcome.error`.
        if code.ends_with(']') {
            let open = opening(code)?;
            return match self.known(&(range.start..range.start + open), depth)? {
                Known::List(shape) => Some(Known::One(shape)),
                Known::One(_) => None,
            };
        }
        if let Some(owner) = code
            .strip_suffix("error")
            .and_then(|head| head.trim_end().strip_suffix('.'))
        {
            let owner = range.start..range.start + owner.trim_end().len();
            let is_outcome = self.known(&owner, depth)? == Known::One(Shape::Outcome);
            return is_outcome.then_some(Known::One(Shape::Error));
        }
        self.call(range, code)
    }

    /// A call and nothing behind it.
    fn call(&self, range: &Range<usize>, code: &str) -> Option<Known> {
        let open = code.ends_with(')').then(|| opening(code))??;
        let name: String = code.get(..open)?.split_whitespace().collect();
        let kind = || {
            let arguments = self.text.arguments(range.start + open);
            arguments.len() == 1
        };
        match name.as_str() {
            "finding.affected" if kind() => Some(Known::One(Shape::Entity)),
            "finding.all" | "finding.actors" | "finding.observed" if kind() => {
                Some(Known::List(Shape::Entity))
            }
            "each" | "attempt" => Some(Known::List(Shape::Outcome)),
            "approve" => Some(Known::One(Shape::Answer)),
            _ => {
                let specs = self.ground.specs(&name);
                let changes = !specs.is_empty() && specs.iter().all(|spec| spec.changes());
                changes.then_some(Known::One(Shape::Receipt))
            }
        }
    }

    fn named(&self, name: &str, depth: usize) -> Option<Known> {
        let item = |known: Known| match known {
            Known::List(shape) => Some(Known::One(shape)),
            Known::One(_) => None,
        };
        match target::binding(self.text, name)? {
            Binding::Let(value) => self.known(&value, depth),
            Binding::EachOver(list) | Binding::WalkedOver(list) => item(self.known(&list, depth)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Library;

    fn wrong(source: &str) -> Vec<String> {
        static CONNECTORS: std::sync::LazyLock<crate::connector::Catalog> =
            std::sync::LazyLock::new(|| crate::connector::Catalog::embedded().unwrap());
        static GROUND: std::sync::LazyLock<Ground<'static>> =
            std::sync::LazyLock::new(|| Ground::new(&CONNECTORS, Library::default()).unwrap());
        let program = Program::new("playbook.rhai", source);
        let found = check(&program, &Text::new(source), &GROUND);
        found
            .iter()
            .map(|one| format!("{}:{} {}", one.line, one.column, one.message))
            .collect()
    }

    #[test]
    fn properties_that_are_not_there_are_found_where_the_text_shows_what_it_is() {
        for (source, wanted) in [
            (
                "let h = finding.affected(\"host\"); note(h.nmae);",
                "an entity has no `nmae`",
            ),
            (
                "note(finding.affected(\"host\").host);",
                "an entity has no `host`",
            ),
            (
                "each(finding.all(\"host\"), |h| note(`${h.hostname}`));",
                "an entity has no `hostname`",
            ),
            (
                "for h in finding.all(\"host\") { note(h.uidd); }",
                "an entity has no `uidd`",
            ),
            (
                "let hs = finding.all(\"host\"); note(hs[0].nam);",
                "an entity has no `nam`",
            ),
            (
                "let r = endpoint::isolate(h); if r.verifed == \"yes\" {}",
                "the receipt of a change has no `verifed`",
            ),
            (
                "let rs = each(hs, |h| f(h)); for r in rs { if r.okay {} }",
                "the outcome of a branch has no `okay`",
            ),
            (
                "let rs = attempt([|| a()]); note(rs[0].error.text);",
                "the error of a branch has no `text`",
            ),
            (
                "let a = approve(#{ ask: \"x\" }); if a.grant {}",
                "the answer to `approve` has no `grant`",
            ),
            (
                "let a = approve(#{ ask: \"x\" }); if !a . grant {}",
                "the answer to `approve` has no `grant`",
            ),
        ] {
            let name = wanted.rsplit('`').nth(1).unwrap();
            let column = source.rfind(name).unwrap() + 1;
            assert_eq!(wrong(source), [format!("1:{column} {wanted}")], "{source}");
        }
    }

    #[test]
    fn nothing_is_claimed_where_a_run_could_differ() {
        for source in [
            "let h = finding.affected(\"host\"); h = other; note(h.nmae);",
            "let h = finding.affected(\"host\").attributes; note(h.anything);",
            "let h = finding.all(\"host\").map(|x| #{ y: x }); note(h[0].y);",
            "let r = endpoint::lookup(h); note(r.anything);",
            "let r = endpoint::isolate(h); note(r.result.anything); note(r.target.id);",
            "let rs = each(hs, |h| f(h)); note(rs[0].value.anything); note(rs.len());",
            "let rs = each(hs, |h| f(h)).filter(|r| r.ok); note(rs[0].anything);",
            "let h = finding.affected(\"host\"); note(h.name.len()); note(h.get(\"x\")); note(h.ids.okta);",
            "fn f(h) { h.nmae } let h = finding.affected(\"host\");",
            "let x = 1.5; let y = [1, 2]; for n in 0..3 { note(`${y[n]}`); }",
            "let m = #{ h: #{ nmae: 1 } }; let h = finding.affected(\"host\"); note(m.h.nmae);",
            "return finding.title.len();",
        ] {
            assert_eq!(wrong(source), [""; 0], "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd_to_look_at(source in "(let h|h|=|finding|\\.|affected\\(\"host\"\\)|each\\(|\\||, |\\)|\\]|\\[0|;|for |in |`|\\$\\{|\\}|#\\{|\"|::|é|\n| ){0,40}") {
            wrong(&source);
        }
    }
}
