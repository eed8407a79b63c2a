//! A script as text without its comments and quoted texts, so that whoever looks for words finds only code.

/// The same bytes with blanks for comments and for what stands inside quotes; the quotes stay, and so does code
/// inside `${…}`. Every byte keeps its place. For a script that compiles; on anything else it answers less.
pub fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut within: Vec<Within> = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (keep, bytes) = step(&mut within, rest, first);
        let taken = rest.get(..bytes).unwrap_or(rest);
        for c in taken.chars() {
            if keep || c == '\n' {
                code.push(c);
            } else {
                code.extend(std::iter::repeat_n(' ', c.len_utf8()));
            }
        }
        rest = rest.get(taken.len()..).unwrap_or("");
    }
    code
}

/// What the reader of a script stands in.
enum Within {
    /// `// …`
    Line,
    /// `/* … */`, which nest.
    Block(usize),
    /// `"…"` or `'…'`.
    Quote(char),
    /// `#"…"#` with so many `#`.
    Raw(usize),
    /// A text in back-ticks.
    Ticks,
    /// `${…}` in one, with so many braces open.
    Code(usize),
}

/// How many bytes come next, and whether they are code.
fn step(within: &mut Vec<Within>, rest: &str, first: char) -> (bool, usize) {
    let one = first.len_utf8();
    match within.last_mut() {
        None => in_code(within, rest, first),
        Some(Within::Code(open)) => {
            match first {
                '{' => *open += 1,
                '}' if *open == 0 => {
                    within.pop();
                    return (true, one);
                }
                '}' => *open -= 1,
                _ => {}
            }
            in_code(within, rest, first)
        }
        Some(Within::Line) => {
            if first == '\n' {
                within.pop();
            }
            (false, one)
        }
        Some(Within::Block(depth)) => {
            if rest.starts_with("/*") {
                *depth += 1;
                return (false, 2);
            }
            if !rest.starts_with("*/") {
                return (false, one);
            }
            *depth -= 1;
            if *depth == 0 {
                within.pop();
            }
            (false, 2)
        }
        Some(Within::Quote(quote)) => {
            if first == '\\' {
                let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
                return (false, one + escaped);
            }
            let closing = first == *quote;
            if closing {
                within.pop();
            }
            (closing, one)
        }
        Some(Within::Raw(hashes)) => {
            let end = format!("\"{}", "#".repeat(*hashes));
            if rest.starts_with(&end) {
                within.pop();
                return (true, end.len());
            }
            (false, one)
        }
        Some(Within::Ticks) => {
            if rest.starts_with("${") {
                within.push(Within::Code(0));
                return (true, 2);
            }
            if first == '`' {
                within.pop();
            }
            (first == '`', one)
        }
    }
}

fn in_code(within: &mut Vec<Within>, rest: &str, first: char) -> (bool, usize) {
    if rest.starts_with("//") {
        within.push(Within::Line);
        return (false, 2);
    }
    if rest.starts_with("/*") {
        within.push(Within::Block(1));
        return (false, 2);
    }
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if hashes > 0 && rest.get(hashes..).is_some_and(|after| after.starts_with('"')) {
        within.push(Within::Raw(hashes));
        return (true, hashes + 1);
    }
    match first {
        '"' | '\'' => within.push(Within::Quote(first)),
        '`' => within.push(Within::Ticks),
        _ => {}
    }
    (true, first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left_and_nothing_moves() {
        for (source, code) in [
            ("a // b \"c\nd", "a        \nd"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("a\"b", 'x', "é")"#, r#"f("    ", ' ', "  ")"#),
            (
                "`a ${b(\"c\", #{ d: `e` })} f` g",
                "`  ${b(\" \", #{ d: ` ` })}  ` g",
            ),
            ("#\"a \"b\"# #{ c: 1 }", "#\"    \"# #{ c: 1 }"),
        ] {
            assert_eq!(code_of(source), code);
            assert_eq!(code_of(source).len(), source.len());
        }
    }
}
