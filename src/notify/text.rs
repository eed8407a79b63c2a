//! Text of strangers made harmless before it is told: one line, no control or invisible characters, nothing that
//! a chat takes for a mention or a link of its own, and escaped where it stands in HTML.

/// Longest line of a message's body, characters.
pub(super) const LINE_CHARS_MAX: usize = 600;
/// Longest subject, characters: about what a phone and a pager show, and well within RFC 5322's line of 998.
pub(super) const SUBJECT_CHARS_MAX: usize = 200;

/// One line of at most `chars_max` characters that means itself and nothing else.
pub(super) fn line(text: &str, chars_max: usize) -> String {
    // Cut before anything else, so that a text of any length costs no more than one that fits.
    let mut out = String::new();
    let mut space = true;
    let mut kept = 0;
    let mut cut = false;
    for c in text.chars() {
        if kept >= chars_max {
            cut = true;
            break;
        }
        let c = match c {
            c if is_hidden(c) => continue,
            c if c.is_control() || c.is_whitespace() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
            c => c,
        };
        if c == ' ' && space {
            continue;
        }
        space = c == ' ';
        out.push(c);
        kept += 1;
    }
    let mut out = defused(out.trim_end());
    if cut {
        out.push('…');
    }
    out
}

/// Characters that are not seen and change how others are: bidirectional controls (UAX 9), zero-width ones, soft
/// hyphens, variation selectors, and tags, which carry text nobody sees.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Words that call everybody in a room, in one chat or another.
const CALLS: [&str; 5] = ["channel", "here", "everyone", "room", "all"];

/// With a space where a chat would otherwise see a mention or a link with a text of its own: `@channel`, `<!here>`,
/// `<@U024BE7LH>`, `<https://a.example|b.example>`. Connectors escape as well; this holds whichever is in use.
fn defused(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        out.push(c);
        let after = text.get(at + c.len_utf8()..).unwrap_or_default();
        let calls = c == '@'
            && CALLS.iter().any(|word| {
                after
                    .get(..word.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(word))
            });
        let tags =
            c == '<' && after.starts_with(|next: char| !next.is_whitespace() && !next.is_ascii_digit());
        if calls || tags {
            out.push(' ');
        }
    }
    out
}

/// For the inside of an HTML element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_harmless_line() {
        for (text, harmless) in [
            ("a\r\nBcc: eve@evil.example", "a Bcc: eve@evil.example"),
            ("a\n\n\u{2028}b\u{85}c\td", "a b c d"),
            ("\u{1b}[2Jgone\u{0}", "[2Jgone"),
            ("pay\u{202e}cod.exe\u{202c}", "paycod.exe"),
            ("in\u{200b}vis\u{e0041}ible\u{feff}", "invisible"),
            (
                "<!channel> <@U024BE7LH> <#C1>",
                "< !channel> < @U024BE7LH> < #C1>",
            ),
            (
                "<https://evil.example|bank.example>",
                "< https://evil.example|bank.example>",
            ),
            (
                "@Channel @here @everyone @room",
                "@ Channel @ here @ everyone @ room",
            ),
            ("<script>alert(1)</script>", "< script>alert(1)< /script>"),
            (
                "mail ana@example.com, 1 < 2, <3",
                "mail ana@example.com, 1 < 2, <3",
            ),
            ("  spaces   within ", "spaces within"),
            ("Überfall auf web-07", "Überfall auf web-07"),
        ] {
            assert_eq!(line(text, 600), harmless, "{text:?}");
        }
    }

    #[test]
    fn a_text_of_any_length_is_cut() {
        let cut = line(&"é".repeat(100 << 10), 200);
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with('…'));
        assert_eq!(line(&"x".repeat(200), 200), "x".repeat(200));
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(
            escaped("<a href=\"x\">'&"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
        );
    }
}
