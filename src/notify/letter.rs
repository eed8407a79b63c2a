//! What a message says, as a heading, parts of lines, and places to look; and the two forms in which it is sent.
//! Everything in it is cleaned when it is put in, so that both forms say the same and nothing else.

use serde::{Deserialize, Serialize};

use super::text::{LINE_CHARS_MAX, SUBJECT_CHARS_MAX, escaped, line};

/// Most lines of one part; the rest is counted.
const LINES_MAX: usize = 20;

/// Some lines under a heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The heading.
    pub heading: String,
    /// The lines.
    pub lines: Vec<String>,
}

/// Where to see more: at this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What is there.
    pub label: String,
    /// The path at the server, beginning with `/`.
    pub path: String,
}

/// A message's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// The parts, in the order they are read.
    pub parts: Vec<Part>,
    /// Where to see more.
    pub places: Vec<Place>,
}

impl Letter {
    /// A letter with a subject.
    pub fn new(subject: &str) -> Letter {
        Letter {
            subject: line(subject, SUBJECT_CHARS_MAX),
            ..Letter::default()
        }
    }

    /// Adds a part, unless there is nothing in it. Of more than 20 lines the first are kept and the others counted.
    pub fn part<T: AsRef<str>>(&mut self, heading: &str, lines: impl IntoIterator<Item = T>) {
        let mut kept: Vec<String> = Vec::new();
        let mut left = 0_usize;
        for text in lines {
            if kept.len() < LINES_MAX {
                kept.push(line(text.as_ref(), LINE_CHARS_MAX));
            } else {
                left += 1;
            }
        }
        if left > 0 {
            kept.push(format!("and {left} more"));
        }
        if !kept.is_empty() {
            self.parts.push(Part {
                heading: heading.to_owned(),
                lines: kept,
            });
        }
    }

    /// Adds a place at this server.
    pub fn place(&mut self, label: &str, path: String) {
        self.places.push(Place {
            label: label.to_owned(),
            path,
        });
    }

    /// Plain text, for every channel. The subject is not in it: every channel is given that beside it, and shows both.
    pub fn text(&self, public_url: Option<&str>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&part.heading);
            out.push('\n');
            for text in &part.lines {
                out.push_str("- ");
                out.push_str(text);
                out.push('\n');
            }
        }
        if let Some(url) = public_url
            && !self.places.is_empty()
        {
            out.push('\n');
            for place in &self.places {
                out.push_str(&format!("{}: {url}{}\n", place.label, place.path));
            }
        }
        out
    }

    /// HTML, for mail. No script, no style from outside, nothing that is fetched when it is read.
    pub fn html(&self, public_url: Option<&str>) -> String {
        let mut out = String::from("<!doctype html>\n<html><body>\n");
        out.push_str(&format!("<h2>{}</h2>\n", escaped(&self.subject)));
        for part in &self.parts {
            out.push_str(&format!("<h3>{}</h3>\n<ul>\n", escaped(&part.heading)));
            for text in &part.lines {
                out.push_str(&format!("<li>{}</li>\n", escaped(text)));
            }
            out.push_str("</ul>\n");
        }
        if let Some(url) = public_url {
            for place in &self.places {
                let address = escaped(&format!("{url}{}", place.path));
                let label = escaped(&place.label);
                out.push_str(&format!("<p>{label}: <a href=\"{address}\">{address}</a></p>\n"));
            }
        }
        out.push_str("</body></html>\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        let mut letter = Letter::new("[HIGH] web-07 <isolated>");
        letter.part("What happened", ["Malware & more", "b"]);
        letter.part::<&str>("Empty", []);
        letter.place("The run", "/api/runs/run_x".to_owned());
        letter
    }

    #[test]
    fn both_forms_say_the_same() {
        let url = Some("https://cordon.example.com");
        assert_eq!(
            letter().text(url),
            "What happened\n- Malware & more\n- b\n\n\
             The run: https://cordon.example.com/api/runs/run_x\n"
        );
        let html = letter().html(url);
        assert!(
            html.contains("<h2>[HIGH] web-07 &lt; isolated&gt;</h2>"),
            "{html}"
        );
        assert!(html.contains("<li>Malware &amp; more</li>"), "{html}");
        assert!(
            html.contains("<a href=\"https://cordon.example.com/api/runs/run_x\">"),
            "{html}"
        );
        assert!(!letter().text(None).contains("/api/"));
    }

    #[test]
    fn a_long_part_is_cut_and_says_so() {
        let mut letter = Letter::new("s");
        letter.part("Many", (0..1_000).map(|n| format!("host-{n}")));
        let lines = &letter.parts[0].lines;
        assert_eq!((lines.len(), lines[20].as_str()), (21, "and 980 more"));
    }
}
