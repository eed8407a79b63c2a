//! Which words a playbook can come to: those of its own text, and those of the functions of the library that it
//! calls, directly or through others. What a playbook cannot come to needs no permission.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::text::{Text, is_word};
use crate::script::{Facts, Program};

/// What a script writes before a function of the library.
const LIBRARY: &str = "lib::";

/// The words that `program` can come to. `facts` are those of the same program.
pub(super) fn words(program: &Program, facts: &Facts) -> BTreeSet<String> {
    let mut functions: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (file, calls) in program.library().files().iter().zip(&facts.library) {
        let text = Text::new(file.text());
        for (name, body) in definitions(&text.code) {
            let (words, calls_to) = functions.entry(name).or_default();
            let within = |at| body.contains(&text.offset(at));
            words.extend(
                calls
                    .iter()
                    .filter(|call| within(call.at))
                    .map(|call| call.name.clone()),
            );
            calls_to.extend(called(text.code.get(body.clone()).unwrap_or_default()));
        }
    }
    let mut reached: BTreeSet<String> = facts.calls.iter().map(|call| call.name.clone()).collect();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<String> = called(&Text::new(program.text()).code).collect();
    while let Some(name) = waiting.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        if let Some((words, calls_to)) = functions.get(&name) {
            reached.extend(words.iter().cloned());
            waiting.extend(calls_to.iter().cloned());
        }
    }
    reached
}

/// Names of the functions of the library that code calls.
fn called(code: &str) -> impl Iterator<Item = String> + '_ {
    let calls = code.match_indices(LIBRARY).filter(|(at, _)| {
        let before = code.get(..*at).unwrap_or_default();
        !before.ends_with(is_word)
    });
    calls.map(|(at, _)| {
        let rest = code.get(at + LIBRARY.len()..).unwrap_or_default();
        rest.chars().take_while(|c| is_word(*c)).collect()
    })
}

/// The functions that code defines, each with its place from `fn` to the end of its body.
pub(super) fn definitions(code: &str) -> Vec<(String, Range<usize>)> {
    let starts = code
        .match_indices("fn ")
        .map(|(at, _)| at)
        .filter(|at| !code.get(..*at).unwrap_or_default().ends_with(is_word));
    starts
        .map(|start| {
            let rest = code.get(start..).unwrap_or_default();
            let open = start + rest.find('{').unwrap_or(rest.len());
            let head = rest.get("fn ".len()..).unwrap_or_default().trim_start();
            let name = head.chars().take_while(|c| is_word(*c)).collect();
            (name, start..closing(code, open))
        })
        .collect()
}

/// Where the bracket that opens here is closed.
pub(super) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (n, c) in code.get(open..).unwrap_or_default().char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return open + n;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Library, Vocabulary, Word, check};

    fn reached(text: &str) -> Vec<String> {
        let words_known = ["a::one", "a::two", "a::three", "a::four"].map(|name| Word::ask(name, 0..=2, ""));
        let vocabulary = Vocabulary::new(words_known).unwrap();
        let files = [
            (
                "lib/x.rhai",
                "fn first(x) { a::one(x) }\nfn second(x) {\n  // lib::third\n  lib::first(x); \"lib::third\" }",
            ),
            ("lib/y.rhai", "fn third(x) { a::three(x); lib::third(x) }"),
        ];
        let library = Library::new(files.map(|(name, text)| Program::new(name, text)));
        let program = Program::new("p", text).with_library(&library);
        let facts = check(&program, &vocabulary, &[]).unwrap();
        words(&program, &facts).into_iter().collect()
    }

    #[test]
    fn what_a_playbook_comes_to_is_reached_and_the_rest_of_the_library_is_not() {
        assert_eq!(reached("a::four()"), ["a::four"]);
        assert_eq!(reached("lib::second(1)"), ["a::one"]);
        assert_eq!(reached("let f = |x| lib::third(x); f.call(1)"), ["a::three"]);
        assert_eq!(
            reached("fn own(x) { a::two(x) } `${lib::first(own(1))}`"),
            ["a::one", "a::two"]
        );
        assert_eq!(reached("// lib::third(1)\n\"lib::third\""), [""; 0]);
    }
}
