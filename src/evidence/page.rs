//! Lines on a terminal: columns, wrapping with a hanging indent, colours when wanted. Text from outside is
//! cleaned first, so that no alert can move the cursor or hide a line of somebody's terminal.

/// What a line is, so that the eye finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// A heading.
    Strong,
    /// Detail.
    Dim,
    /// As wanted.
    Good,
    /// Not known, not yet, or refused.
    Careful,
    /// Somebody should look: marked `!!` as well, for those without colours.
    Loud,
}

impl Tone {
    /// Select Graphic Rendition parameters (ECMA-48, 8.3.117).
    fn code(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Strong => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Careful => "33",
            Tone::Loud => "1;31",
        }
    }
}

/// Narrowest page that still reads, columns.
const WIDTH_MIN: usize = 40;

/// A page being written.
pub struct Page {
    colours: bool,
    width: usize,
    out: String,
}

impl Page {
    /// An empty page of `width` columns.
    pub fn new(colours: bool, width: usize) -> Page {
        Page {
            colours,
            width: width.max(WIDTH_MIN),
            out: String::new(),
        }
    }

    /// A line of a fixed left part and a text that wraps under itself.
    pub fn line(&mut self, left: &str, text: &str, tone: Tone) {
        let indent = left.chars().count();
        let room = self.width.saturating_sub(indent).max(WIDTH_MIN / 2);
        let text = clean(text);
        let mut prefix = left.to_owned();
        for part in wrap(&text, room) {
            let line = format!("{prefix}{part}");
            self.raw(line.trim_end(), tone);
            prefix = " ".repeat(indent);
        }
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.out.push('\n');
    }

    fn raw(&mut self, line: &str, tone: Tone) {
        let code = tone.code();
        if self.colours && !code.is_empty() {
            self.out.push_str(&format!("\u{1b}[{code}m{line}\u{1b}[0m\n"));
        } else {
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    /// What was written.
    pub fn finish(self) -> String {
        self.out
    }
}

/// The text without anything that moves a cursor, changes a colour or turns the writing direction.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            // Unicode bidirectional controls and zero-width characters (UAX 9, "Trojan Source").
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                '\u{fffd}'
            }
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The first `chars_max` characters, with `…` where something was cut.
pub fn short(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Breaks at spaces; a word longer than the room is broken inside. Never empty.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let space = usize::from(used > 0);
        if used + space + word.len() > room && used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > room {
            let rest = word.split_off(room);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_wrap_under_themselves_and_lose_nothing() {
        let mut page = Page::new(false, 40);
        page.line("+0.100s  note  ", &"containment ".repeat(6), Tone::Plain);
        page.line("          ", &"x".repeat(70), Tone::Plain);
        let text = page.finish();
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert_eq!(text.matches("containment").count(), 6);
        assert_eq!(text.matches('x').count(), 70);
    }

    #[test]
    fn an_alert_cannot_write_over_the_terminal() {
        let mut page = Page::new(true, 80);
        page.line("", "host \u{1b}[2Jweb\r\n\u{202e}70", Tone::Plain);
        let text = page.finish();
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text:?}");
        assert!(text.contains("web"));
    }
}
