//! The type of a target where the text shows it: `finding.affected("host")` itself, a variable that holds it, or
//! the item of an `each` over `finding.all("host")`. A name that is bound twice or assigned to says nothing.

use std::ops::Range;

use super::fields::{BY_TYPE, quoted};
use super::text::{Text, is_word};
use crate::finding::EntityType;

/// The type of the target written at `range`, or none where only a run can tell.
pub(super) fn kind(text: &Text<'_>, range: &Range<usize>) -> Option<EntityType> {
    let code = text.code.get(range.clone())?;
    if !is_name(code) {
        return of_finding(text, range, true);
    }
    match binding(text, code)? {
        Binding::Let(value) => of_finding(text, &value, true),
        Binding::EachOver(list) | Binding::WalkedOver(list) => {
            let name = text.code.get(list.clone())?;
            if !is_name(name) {
                return of_finding(text, &list, false);
            }
            match binding(text, name)? {
                Binding::Let(value) => of_finding(text, &value, false),
                Binding::EachOver(_) | Binding::WalkedOver(_) => None,
            }
        }
    }
}

/// What a name stands for.
pub(super) enum Binding {
    /// `let name = VALUE;`
    Let(Range<usize>),
    /// `each(LIST, |name| …`
    EachOver(Range<usize>),
    /// `for name in LIST {`
    WalkedOver(Range<usize>),
}

/// `finding.affected("host")` for one entity, the other methods for lists; nothing before or after it.
fn of_finding(text: &Text<'_>, range: &Range<usize>, one: bool) -> Option<EntityType> {
    let code = text.code.get(range.clone())?;
    let method = code
        .strip_prefix("finding")?
        .trim_start()
        .strip_prefix('.')?
        .trim_start();
    let name = method.split(|c| !is_word(c)).next()?;
    if !BY_TYPE.contains(&name) || (name == "affected") != one {
        return None;
    }
    let arguments = text.arguments(range.end - method.len());
    let [argument] = arguments.as_slice() else {
        return None;
    };
    let after = text.code.get(argument.end..range.end)?;
    if after.trim() != ")" {
        return None;
    }
    quoted(text, argument).and_then(EntityType::from_word)
}

/// The only binding of a name, or none where there are several or none that we know.
pub(super) fn binding(text: &Text<'_>, name: &str) -> Option<Binding> {
    let mut bindings = Vec::new();
    for place in text.words(name) {
        let (before, after) = text.around(&place);
        let follows = |word: &str| {
            before
                .strip_suffix(word)
                .is_some_and(|rest| !rest.ends_with(is_word))
                && before.len() < place.start
        };
        if follows("let") || follows("const") {
            let value = after.strip_prefix('=').filter(|value| !value.starts_with('='))?;
            let start = text.code.len() - value.len();
            let end = start + value.find(';')?;
            bindings.push(Some(Binding::Let(text.trimmed(start..end))));
        } else if before.ends_with('|') && after.starts_with('|') {
            bindings.push(each_over(text, place.start - 1));
        } else if follows("for")
            && let Some(list) = after.strip_prefix("in ")
        {
            let start = text.code.len() - list.len();
            bindings.push(
                list.find('{')
                    .map(|length| Binding::WalkedOver(text.trimmed(start..start + length))),
            );
        } else if is_bound_otherwise(before, after) {
            bindings.push(None);
        }
    }
    match <[Option<Binding>; 1]>::try_from(bindings) {
        Ok([binding]) => binding,
        Err(_) => None,
    }
}

/// The list of the `each` whose closure begins just before or at `bar`.
fn each_over(text: &Text<'_>, bar: usize) -> Option<Binding> {
    let before = text.code.get(..bar)?.trim_end().trim_end_matches('|').trim_end();
    let before = before.strip_suffix(',')?;
    let call = before.rfind("each")?;
    let arguments = text.arguments(call);
    let list = arguments.first()?;
    let whole = text
        .code
        .get(call + "each".len()..)?
        .trim_start()
        .starts_with('(');
    (whole && list.end == before.trim_end().len()).then(|| Binding::EachOver(list.clone()))
}

/// An assignment, a loop, a caught error, or a parameter among others.
fn is_bound_otherwise(before: &str, after: &str) -> bool {
    let assigned = after.starts_with('=') && !after.starts_with("==");
    let changed = ["+=", "-=", "*=", "/=", "??="]
        .iter()
        .any(|sign| after.starts_with(sign));
    let looped = before.ends_with("for") || (after.starts_with("in ") && !before.ends_with('('));
    let caught = before.trim_end_matches('(').trim_end().ends_with("catch");
    let among = (before.ends_with('|') && after.starts_with(','))
        || (before.ends_with(',') && after.starts_with('|'));
    let parameter = before.rfind("fn ").is_some_and(|at| {
        let head = before.get(at..).unwrap_or_default();
        head.contains('(') && !head.contains(')')
    });
    assigned || changed || looped || caught || among || parameter
}

fn is_name(code: &str) -> bool {
    !code.is_empty() && code.chars().all(is_word) && !code.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type of the target of the `act(` in a script.
    fn seen(source: &str) -> Option<EntityType> {
        let text = Text::new(source);
        let range = text
            .arguments(source.find("act(").unwrap())
            .first()
            .cloned()
            .unwrap();
        kind(&text, &range)
    }

    #[test]
    fn a_type_is_seen_where_the_text_shows_it() {
        for source in [
            "act(finding.affected(\"host\"))",
            "let h = finding.affected(\"host\"); act(h)",
            "each(finding.all(\"host\"), |h| act(h, #{ lease: \"4h\" }))",
            "let hosts = finding.all(\"host\");\neach(hosts, |h| act(h))",
            "/* let h = 1; */ let h = finding.affected ( \"host\" ) ; act(h)",
        ] {
            assert_eq!(seen(source), Some(EntityType::Host), "{source}");
        }
    }

    #[test]
    fn nothing_is_claimed_where_a_run_could_differ() {
        for source in [
            "let h = finding.affected(\"host\"); h = other; act(h)",
            "let h = finding.affected(\"host\"); if x { let h = y; } act(h)",
            "each(finding.all(\"host\"), |h| 1); each(xs, |h| act(h))",
            "let h = finding.affected(\"host\").get(\"x\"); act(h)",
            "let h = finding.all(\"host\"); act(h)",
            "fn f(h) { act(h) } let h = finding.affected(\"host\"); f(h)",
            "for h in xs { act(h) } let h = finding.affected(\"host\");",
            "each(finding.all(\"host\").filter(|x| x), |h| act(h))",
            "act(pick(finding.affected(\"host\")))",
        ] {
            assert_eq!(seen(source), None, "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd_to_look_at(source in "(let |h|finding|\\.all\\(\"host\"\\)|each\\(|\\||, |act\\(|\\)|;|`|\\$\\{|\\}|#|\"|'|/\\*|//|é|\n| ){0,40}") {
            let text = Text::new(&source);
            assert_eq!(text.code.len(), source.len());
            for at in 0..=source.len() {
                for range in text.arguments(at) {
                    kind(&text, &range);
                    text.member(&range, "h");
                }
            }
            let program = crate::script::Program::new("playbook.rhai", source.as_str());
            super::super::fields::check(&program, &text);
        }
    }
}
