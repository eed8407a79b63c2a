//! Rust source as this test needs it: the paths it names, the text literals it holds, each with its line and
//! whether it is test code. A small reader of tokens, not a parser: it knows comments, literals, braces and
//! `::`, and that is enough to find every path that is written out.

use std::collections::BTreeSet;

/// One source file.
#[derive(Debug, Default)]
pub struct File {
    /// Path from `src`, such as `run/next.rs`.
    pub path: String,
    /// Paths it names: `["crate", "clock", "Time"]`. Groups are spelt out.
    pub paths: Vec<Found<Vec<String>>>,
    /// Text literals, unescaped only so far as their quotes are gone.
    pub texts: Vec<Found<String>>,
}

/// Something found in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// From 1.
    pub line: usize,
    /// In code that is compiled for tests only.
    pub test: bool,
    /// Inline modules around it.
    pub inside: usize,
    /// What.
    pub what: T,
}

impl File {
    /// The room: `run` of `run/next.rs`, `clock` of `clock.rs`; `None` for `lib.rs`.
    pub fn room(&self) -> Option<&str> {
        let first = self.path.split('/').next()?;
        let room = first.strip_suffix(".rs").unwrap_or(first);
        (room != "lib").then_some(room)
    }

    /// How many modules the file is below the crate: 2 for `run/next.rs`, 1 for `run/mod.rs`.
    pub fn depth(&self) -> usize {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        if parts
            .last()
            .is_some_and(|last| *last == "mod.rs" || *last == "lib.rs")
        {
            parts.pop();
        }
        parts.len()
    }
}

/// Reads files together, because what is test code may be said in another file (`#[cfg(test)] mod contract;`).
pub fn read_all(texts: &[(String, String)]) -> Vec<File> {
    let mut test_modules: BTreeSet<String> = BTreeSet::new();
    let mut files = Vec::new();
    for (path, text) in texts {
        let (file, modules) = read(path, text);
        let folder = match path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            _ if path == "lib.rs" || path == "main.rs" => String::new(),
            _ => format!("{}/", path.trim_end_matches(".rs")),
        };
        test_modules.extend(modules.into_iter().map(|module| format!("{folder}{module}")));
        files.push(file);
    }
    for file in &mut files {
        let stem = file.path.trim_end_matches(".rs");
        let name = stem.rsplit('/').next().unwrap_or(stem);
        let by_name =
            name == "tests" || name.ends_with("_tests") || stem.split('/').any(|part| part == "tests");
        let by_word = test_modules
            .iter()
            .any(|module| stem == module || stem.starts_with(&format!("{module}/")));
        if by_name || by_word {
            file.paths.iter_mut().for_each(|found| found.test = true);
            file.texts.iter_mut().for_each(|found| found.test = true);
        }
    }
    files
}

/// Reads one file, and the names of modules it declares for tests only (`#[cfg(test)] mod name;`).
pub fn read(path: &str, text: &str) -> (File, Vec<String>) {
    let tokens = tokens(text);
    let marks = marks(&tokens);
    let mut file = File {
        path: path.to_owned(),
        ..File::default()
    };
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let found = |line| (line, marks.test[at], marks.inside[at]);
        match &token.kind {
            Kind::Text(text) => {
                let (line, test, inside) = found(token.line);
                file.texts.push(Found {
                    line,
                    test,
                    inside,
                    what: text.clone(),
                });
                at += 1;
            }
            Kind::Word(_) => {
                let (_, test, inside) = found(token.line);
                let mut paths = Vec::new();
                at = path_at(&tokens, at, Vec::new(), &mut paths);
                let paths = paths.into_iter().map(|(what, line)| Found {
                    line,
                    test,
                    inside,
                    what,
                });
                file.paths.extend(paths);
            }
            Kind::Mark(_) => at += 1,
        }
    }
    (file, marks.test_modules)
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Word(String),
    Text(String),
    /// `::` or one other character.
    Mark(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    kind: Kind,
}

impl Token {
    fn is(&self, mark: &str) -> bool {
        matches!(&self.kind, Kind::Mark(own) if own == mark)
    }

    fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Reads the path that begins at a word, its groups spelt out; answers where it ends.
fn path_at(
    tokens: &[Token],
    mut at: usize,
    before: Vec<String>,
    out: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    let mut path = before;
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match tokens.get(at) {
            Some(Token {
                kind: Kind::Word(word),
                ..
            }) => path.push(word.clone()),
            Some(token) if token.is("*") => path.push("*".to_owned()),
            Some(token) if token.is("{") => {
                at += 1;
                while let Some(token) = tokens.get(at) {
                    if token.is("}") {
                        return at + 1;
                    }
                    if token.is(",") {
                        at += 1;
                    } else if token.word().is_some() || token.is("*") {
                        at = path_at(tokens, at, path.clone(), out);
                        // `as name` gives no new path.
                        if tokens.get(at).and_then(Token::word) == Some("as") {
                            at += 2;
                        }
                    } else {
                        at += 1;
                    }
                }
                return at;
            }
            _ => break,
        }
        at += 1;
        if !tokens.get(at).is_some_and(|token| token.is("::")) {
            break;
        }
        let more = tokens
            .get(at + 1)
            .is_some_and(|next| next.word().is_some() || next.is("{") || next.is("*"));
        if !more {
            break;
        }
        at += 1;
    }
    out.push((path, line));
    at
}

struct Marks {
    test: Vec<bool>,
    inside: Vec<usize>,
    test_modules: Vec<String>,
}

/// For every token, whether it is under `#[cfg(test)]` and in how many inline modules.
fn marks(tokens: &[Token]) -> Marks {
    let mut marks = Marks {
        test: vec![false; tokens.len()],
        inside: vec![0; tokens.len()],
        test_modules: Vec::new(),
    };
    for at in 0..tokens.len() {
        let words = |n: usize| tokens.get(at + n).and_then(Token::word);
        let is = |n: usize, mark: &str| tokens.get(at + n).is_some_and(|token| token.is(mark));
        if words(0) == Some("mod") && words(1).is_some() && is(2, "{") {
            for inside in marks.inside.iter_mut().take(closing(tokens, at + 2)).skip(at + 3) {
                *inside += 1;
            }
        }
        let whole_file = is(0, "#") && is(1, "!");
        let open = if whole_file { 2 } else { 1 };
        if !(is(0, "#") && is(open, "[") && words(open + 1) == Some("cfg") && is(open + 2, "(")) {
            continue;
        }
        let only_tests = words(open + 3) == Some("test")
            || (words(open + 3) == Some("all") && is(open + 4, "(") && words(open + 5) == Some("test"));
        if !only_tests {
            continue;
        }
        if whole_file {
            marks.test.iter_mut().for_each(|test| *test = true);
            continue;
        }
        let mut item = closing(tokens, at + open) + 1;
        while tokens.get(item).is_some_and(|token| token.is("#")) {
            item = closing(tokens, item + 1) + 1;
        }
        let end = end_of_item(tokens, item);
        for test in marks.test.iter_mut().take(end + 1).skip(at) {
            *test = true;
        }
        let words: Vec<&str> = tokens
            .iter()
            .take(end)
            .skip(item)
            .filter_map(Token::word)
            .collect();
        if tokens.get(end).is_some_and(|token| token.is(";"))
            && let Some(at) = words.iter().position(|word| *word == "mod")
            && let Some(name) = words.get(at + 1)
        {
            marks.test_modules.push((*name).to_owned());
        }
    }
    marks
}

/// The last token of the item that begins here: its `;`, or the brace that closes its body.
fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let is_use = tokens.get(from).and_then(Token::word) == Some("use");
    let mut at = from;
    while let Some(token) = tokens.get(at) {
        if token.is(";") {
            return at;
        }
        if token.is("(") || token.is("[") || (token.is("{") && is_use) {
            at = closing(tokens, at);
        } else if token.is("{") {
            return closing(tokens, at);
        }
        at += 1;
    }
    tokens.len().saturating_sub(1)
}

/// Where the bracket that opens here is closed.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if ["(", "[", "{"].iter().any(|mark| token.is(mark)) {
            depth += 1;
        } else if [")", "]", "}"].iter().any(|mark| token.is(mark)) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at;
            }
        }
    }
    tokens.len().saturating_sub(1)
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let c = get(at);
        let begun = line;
        if c == '\n' {
            line += 1;
            at += 1;
        } else if c.is_whitespace() {
            at += 1;
        } else if c == '/' && get(at + 1) == '/' {
            while at < chars.len() && get(at) != '\n' {
                at += 1;
            }
        } else if c == '/' && get(at + 1) == '*' {
            let mut depth = 0_usize;
            while at < chars.len() {
                if get(at) == '/' && get(at + 1) == '*' {
                    depth += 1;
                    at += 2;
                } else if get(at) == '*' && get(at + 1) == '/' {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                } else {
                    line += usize::from(get(at) == '\n');
                    at += 1;
                }
            }
        } else if let Some(hashes) = raw_text(&chars, at) {
            let open = at + chars.iter().skip(at).position(|c| *c == '"').unwrap_or(0) + 1;
            let mut end = open;
            while end < chars.len() && !(get(end) == '"' && (1..=hashes).all(|n| get(end + n) == '#')) {
                line += usize::from(get(end) == '\n');
                end += 1;
            }
            let text = chars.iter().take(end).skip(open).collect();
            tokens.push(Token {
                line: begun,
                kind: Kind::Text(text),
            });
            at = end + 1 + hashes;
        } else if c == '"' {
            let open = at + 1;
            let mut end = open;
            while end < chars.len() && get(end) != '"' {
                line += usize::from(get(end) == '\n');
                end += if get(end) == '\\' { 2 } else { 1 };
                line += usize::from(get(end.saturating_sub(1)) == '\n' && get(end.saturating_sub(2)) == '\\');
            }
            let text = chars.iter().take(end).skip(open).collect();
            tokens.push(Token {
                line: begun,
                kind: Kind::Text(text),
            });
            at = end + 1;
        } else if c == '\'' {
            // A character, or a lifetime.
            if get(at + 1) == '\\' {
                at += 3;
                while at < chars.len() && get(at) != '\'' {
                    at += 1;
                }
                at += 1;
            } else if get(at + 2) == '\'' {
                at += 3;
            } else {
                at += 1;
                while is_word(get(at)) {
                    at += 1;
                }
            }
        } else if is_word(c) {
            let open = at;
            while is_word(get(at)) {
                at += 1;
            }
            let word: String = chars.iter().take(at).skip(open).collect();
            let is_number = word.starts_with(|c: char| c.is_ascii_digit());
            let kind = if is_number {
                Kind::Mark(word)
            } else {
                Kind::Word(word)
            };
            tokens.push(Token { line, kind });
        } else if c == ':' && get(at + 1) == ':' {
            tokens.push(Token {
                line,
                kind: Kind::Mark("::".into()),
            });
            at += 2;
        } else {
            tokens.push(Token {
                line,
                kind: Kind::Mark(c.to_string()),
            });
            at += 1;
        }
    }
    tokens
}

/// How many `#` a raw text literal that begins here has; `None` when none begins.
fn raw_text(chars: &[char], at: usize) -> Option<usize> {
    let rest: Vec<char> = chars.iter().skip(at).take(20).copied().collect();
    let after_prefix = match rest.as_slice() {
        ['r', rest @ ..] | ['b' | 'c', 'r', rest @ ..] => rest,
        _ => return None,
    };
    let hashes = after_prefix.iter().take_while(|c| **c == '#').count();
    (after_prefix.get(hashes) == Some(&'"')).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        read("run/next.rs", text)
            .0
            .paths
            .iter()
            .map(|found| found.what.join("::"))
            .collect()
    }

    #[test]
    fn groups_and_renames_are_spelt_out() {
        let found = paths("use crate::{clock::{self, Time as T}, id::*};\nuse std::fs;");
        assert_eq!(
            found,
            [
                "use",
                "crate::clock::self",
                "crate::clock::Time",
                "crate::id::*",
                "use",
                "std::fs"
            ]
        );
    }

    #[test]
    fn paths_inside_code_are_found_and_those_in_comments_and_texts_are_not() {
        let text = "// crate::server\n/* /* crate::cli */ crate::cli */ fn f<'a>(c: char) { \
                    let s = \"crate::app\"; let r = r#\"crate::\"x\"#; let c = '\"'; crate::store::open::<u8>(c) }";
        let found = paths(text);
        assert!(found.contains(&"crate::store::open".to_owned()), "{found:?}");
        assert!(
            !found
                .iter()
                .any(|path| path.contains("server") || path.contains("cli") || path.contains("app"))
        );
    }

    #[test]
    fn lines_are_counted_over_texts_and_comments() {
        let (file, _) = read("a.rs", "/*\n*/ \"x\ny\" r\"\n\"\n\"a\\\nb\"\ncrate::id::RunId");
        let path = file.paths.first().unwrap();
        assert_eq!(
            (path.line, path.what.join("::")),
            (7, "crate::id::RunId".to_owned())
        );
    }

    #[test]
    fn code_for_tests_is_told_apart() {
        let text = "use crate::a;\n#[cfg(test)]\nuse crate::{b};\n#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::c; }\n\
                    #[cfg(all(test, unix))] fn f() { crate::d() }\n#[cfg(any(test, unix))] fn g() { crate::e() }\n\
                    #[cfg(not(test))] use crate::f;";
        let (file, _) = read("run/next.rs", text);
        let of = |test: bool| -> Vec<&str> {
            let found = file
                .paths
                .iter()
                .filter(|found| found.test == test && found.what[0] == "crate");
            found.map(|found| found.what[1].as_str()).collect()
        };
        assert_eq!(of(false), ["a", "e", "f"]);
        assert_eq!(of(true), ["b", "c", "d"]);
        let inner = file
            .paths
            .iter()
            .find(|found| found.what == ["crate", "c"])
            .unwrap();
        assert_eq!(inner.inside, 1);
    }

    #[test]
    fn files_that_only_tests_declare_are_test_code() {
        let one = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let files = read_all(&[
            one("store/mod.rs", "#[cfg(test)]\nmod contract;\nmod open;"),
            one("store/contract/runs.rs", "use crate::a;"),
            one("store/open.rs", "use crate::b;"),
            one("run/tests/whole.rs", "use crate::c;"),
            one("run/egress_tests.rs", "use crate::d;"),
        ]);
        let tests: Vec<bool> = files.iter().map(|file| file.paths.last().unwrap().test).collect();
        assert_eq!(tests, [false, true, false, true, true]);
    }
}
