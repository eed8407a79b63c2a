//! The branching words `all`, `attempt` and `each`: whether they are given what they branch over, and whether a branch
//! changes something outside itself, which nobody will see, because a branch works on copies.

use std::ops::Range;

use super::text::{Text, is_word};
use crate::diagnostic::Diagnostic;
use crate::script::Program;

pub(super) fn check(program: &Program, text: &Text<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for word in ["all", "attempt", "each"] {
        for place in text.words(word) {
            let (before, after) = text.around(&place);
            // `finding.all("host")` and `lib::all(…)` are others.
            if !after.starts_with('(')
                || before.ends_with('.')
                || before.ends_with("::")
                || before.ends_with("fn")
            {
                continue;
            }
            let mut looking = Looking {
                program,
                text,
                word,
                place,
                found: &mut found,
            };
            looking.look();
        }
    }
    found
}

struct Looking<'a> {
    program: &'a Program,
    text: &'a Text<'a>,
    word: &'static str,
    place: Range<usize>,
    found: &'a mut Vec<Diagnostic>,
}

/// A closure as it is written.
struct Closure {
    params: Vec<String>,
    body: Range<usize>,
}

impl Looking<'_> {
    fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) -> usize {
        let (file, text) = (self.program.name(), self.program.text());
        self.found
            .push(Diagnostic::error(code, message, file, text, span, help));
        self.found.len() - 1
    }

    fn code(&self, range: &Range<usize>) -> &str {
        self.text.code.get(range.clone()).unwrap_or_default()
    }

    fn look(&mut self) {
        let arguments = self.text.arguments(self.place.start);
        let branches: Vec<Range<usize>> = match (self.word, arguments.as_slice()) {
            // The parameters of a closure have commas of their own.
            ("each", [list, first, .., last]) => {
                self.list(list);
                let body = first.start..last.end;
                vec![body]
            }
            ("each", [list, body]) => {
                self.list(list);
                vec![body.clone()]
            }
            ("each", _) => return,
            (_, [list]) if self.code(list).starts_with('[') => self.items(list),
            (_, [other]) if self.closure(other).is_some() => {
                let help = format!("write `{}([|| a(), || b()])`", self.word);
                let message = format!("`{}` takes a list of branches", self.word);
                self.error("P033", other.clone(), message, help);
                return;
            }
            // A variable may hold branches.
            _ => return,
        };
        let wanted = usize::from(self.word == "each");
        for branch in branches {
            match self.closure(&branch) {
                Some(closure) if closure.params.len() != wanted => {
                    let (message, help) = if wanted == 1 {
                        (
                            "the branch of `each` takes one parameter, the item",
                            "write `|item| …`",
                        )
                    } else {
                        (
                            "a branch is given nothing",
                            "write `|| …`; it sees the variables around it",
                        )
                    };
                    self.error("P033", branch, message.to_owned(), help);
                }
                Some(closure) => self.lost(&closure),
                None if self.is_name(&branch) || self.code(&branch).starts_with("Fn(") => {}
                None => {
                    let help = if wanted == 1 {
                        "write `|item| …`"
                    } else {
                        "put `||` before it"
                    };
                    let message = format!(
                        "`{}` is done at once and is no branch",
                        shown(self.text.source.get(branch.clone()).unwrap_or_default())
                    );
                    self.error("P033", branch, message, help);
                }
            }
        }
    }

    /// What `each` goes over, where it is seen to be no list.
    fn list(&mut self, list: &Range<usize>) {
        let code = self.code(list);
        let one: String = code
            .chars()
            .filter(|c| !c.is_whitespace())
            .take_while(|c| *c != '(')
            .collect();
        let is_whole = self.text.arguments(list.start).last().is_some_and(|last| {
            self.text
                .code
                .get(last.end..list.end)
                .is_some_and(|rest| rest.trim() == ")")
        });
        if one == "finding.affected" && is_whole {
            let message = "`each` goes over a list, and `finding.affected` is one entity".to_owned();
            self.error(
                "P033",
                list.clone(),
                message,
                "use `finding.all`, or call the action itself",
            );
        }
    }

    fn is_name(&self, range: &Range<usize>) -> bool {
        let code = self.code(range);
        !code.is_empty() && code.chars().all(is_word)
    }

    fn items(&self, list: &Range<usize>) -> Vec<Range<usize>> {
        let Some(inner) = self
            .code(list)
            .strip_prefix('[')
            .and_then(|code| code.strip_suffix(']'))
        else {
            return Vec::new();
        };
        let mut items = Vec::new();
        let (mut depth, mut start) = (0_usize, 0);
        for (at, c) in inner.char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    items.push(start..at);
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(start..inner.len());
        let offset = list.start + 1;
        let placed = items
            .into_iter()
            .map(|item| self.text.trimmed(item.start + offset..item.end + offset));
        placed.filter(|item| !item.is_empty()).collect()
    }

    fn closure(&self, range: &Range<usize>) -> Option<Closure> {
        let code = self.code(range);
        let rest = code.strip_prefix('|')?;
        let bar = rest.find('|')?;
        let params = rest.get(..bar)?.split(',').map(|name| name.trim().to_owned());
        Some(Closure {
            params: params.filter(|name| !name.is_empty()).collect(),
            body: range.start + 1 + bar + 1..range.end,
        })
    }

    /// Changes in a branch to variables that are declared outside it.
    fn lost(&mut self, closure: &Closure) {
        let body = self.code(&closure.body).to_owned();
        let mut told: Vec<String> = Vec::new();
        for (at, name) in names(&body) {
            if closure.params.iter().any(|param| param == name) || told.iter().any(|one| one == name) {
                continue;
            }
            let after = body.get(at + name.len()..).unwrap_or_default().trim_start();
            let before = body.get(..at).unwrap_or_default().trim_end();
            let grows = [".push(", ".insert(", ".append("]
                .iter()
                .any(|method| after.starts_with(method));
            let is_changed =
                !before.ends_with('.') && !before.ends_with("let") && (is_assigned(after) || grows);
            if is_changed
                && !declared(&body, name)
                && declared(self.text.code.get(..closure.body.start).unwrap_or_default(), name)
            {
                told.push(name.to_owned());
                let start = closure.body.start + at;
                let message = format!("a branch of `{}` changes its own copy of `{name}`", self.word);
                let help = format!(
                    "give the result back as the branch's value, and take it from what `{}` answers",
                    self.word
                );
                let n = self.error("P036", start..start + name.len(), message, help);
                if let Some(one) = self.found.get_mut(n) {
                    *one = one.clone().as_warning();
                }
            }
        }
    }
}

/// `=` and its relatives, not `==` and `=>`.
fn is_assigned(after: &str) -> bool {
    let plain = after.starts_with('=') && !after.starts_with("==") && !after.starts_with("=>");
    plain
        || ["+=", "-=", "*=", "/=", "%="]
            .iter()
            .any(|sign| after.starts_with(sign))
}

fn names(code: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(|c: char| is_word(c)) {
        let word = rest.get(start..).unwrap_or_default();
        let length = word.find(|c: char| !is_word(c)).unwrap_or(word.len());
        let at = code.len() - word.len();
        names.push((at, word.get(..length).unwrap_or_default()));
        rest = word.get(length..).unwrap_or_default();
    }
    names
}

/// Whether a variable of this name is declared in some code.
fn declared(code: &str, name: &str) -> bool {
    let all = names(code);
    let pairs = all.iter().zip(all.iter().skip(1));
    pairs
        .filter(|((_, keyword), (_, word))| ["let", "const"].contains(keyword) && *word == name)
        .any(|((at, keyword), (next, _))| {
            code.get(at + keyword.len()..*next)
                .is_some_and(|between| between.trim().is_empty())
        })
}

fn shown(code: &str) -> String {
    let line = code.lines().next().unwrap_or_default();
    match line.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(source: &str) -> Vec<String> {
        let program = Program::new("playbook.rhai", source);
        let found = check(&program, &Text::new(source));
        found
            .iter()
            .map(|one| format!("{} {}", one.code, one.message))
            .collect()
    }

    #[test]
    fn what_is_no_branch_is_found() {
        for (source, wanted) in [
            (
                "all([a::b(x)])",
                "P033 `a::b(x)` is done at once and is no branch",
            ),
            (
                "attempt([|| a(), b()])",
                "P033 `b()` is done at once and is no branch",
            ),
            ("attempt(|| a())", "P033 `attempt` takes a list of branches"),
            ("all([|x| a(x)])", "P033 a branch is given nothing"),
            (
                "each(list, |a, b| a)",
                "P033 the branch of `each` takes one parameter, the item",
            ),
            ("each(list, f(1))", "P033 `f(1)` is done at once and is no branch"),
            (
                "each(finding.affected(\"host\"), |h| a(h))",
                "P033 `each` goes over a list, and `finding.affected` is one entity",
            ),
            (
                "let n = 0; each(list, |x| { n += 1; a(x) })",
                "P036 a branch of `each` changes its own copy of `n`",
            ),
            (
                "let out = []; all([|| out.push(a())])",
                "P036 a branch of `all` changes its own copy of `out`",
            ),
        ] {
            assert_eq!(wrong(source), [wanted], "{source}");
        }
    }

    #[test]
    fn branches_as_they_should_be_are_left_alone() {
        for source in [
            "all([|| a(), || { b(); c() }]); attempt([|| each(xs, |x| f(x))]); each(finding.all(\"host\"), |h| a(h, #{ n: 1 }))",
            "let f = |x| x; each(list, f); all(branches); let bs = [|| a()]; attempt(bs)",
            "finding.all(\"host\"); list.all(|x| x > 1); lib::all(1); fn each(a) { a }",
            "let n = 0; each(list, |x| { let n = x; n += 1; n }); each(list, |n| { n += 1; n }); n += 1;",
            "let n = 0; each(list, |x| { if x.n == n { a(x) } else { #{ n: n } } })",
            "let n = #{ a: 1 }; each(list, |x| { let m = x; m.n = 1; m })",
            "each(finding.affected(\"host\").ids.values(), |id| a(id))",
        ] {
            assert_eq!(wrong(source), [""; 0], "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd_to_look_at(source in "(each\\(|all\\(|attempt\\(|\\[|\\]|\\||x|, |let x|=|\\+=|\\)|;|`|\\$\\{|\\}|\\{|\"|é|\n| ){0,40}") {
            wrong(&source);
        }
    }
}
