//! The small part of YAML 1.2 a trigger is written in, with the place of every node. Has no anchors, aliases,
//! tags, merge keys or second documents: an alias can grow a small file without bound, and a reader at three in
//! the morning should not have to expand one.

use std::borrow::Cow;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::report::Report;

/// Largest trigger file, bytes. The longest rule of the public Sigma collection is under 40 KiB.
const SOURCE_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of a trigger; detection, identifier, list, map, list are five.
const DEPTH_MAX: usize = 10;
/// Most values in one trigger.
const NODES_MAX: usize = 10_000;
/// Integers beyond this lose digits where rules compare numbers as 64-bit floats.
const EXACT_INTEGER_MAX: i64 = 1 << 53;

/// One value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) what: What,
    /// Bytes of the file; for lists and maps the place where they begin.
    pub(super) span: Range<usize>,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum What {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The name of a member of a map.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl Node {
    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, where it is a map.
    pub(super) fn members(&self) -> Option<&[(Key, Node)]> {
        match &self.what {
            What::Map(members) => Some(members),
            _ => None,
        }
    }

    /// The member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&(Key, Node)> {
        self.members()?.iter().find(|(key, _)| key.text == name)
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.what {
            What::Null => "nothing",
            What::Bool(_) => "true or false",
            What::Integer(_) | What::Float(_) => "a number",
            What::Text(_) => "text",
            What::List(_) => "a list",
            What::Map(_) => "a map",
        }
    }
}

/// Reads the one document of a trigger file. `None` when something is wrong, which is then in the report.
pub(super) fn read(source: &str, report: &mut Report<'_>) -> Option<Node> {
    if source.len() > SOURCE_BYTES_MAX {
        report.whole(
            "T001",
            format!(
                "the file has {} bytes, more than the {SOURCE_BYTES_MAX} a trigger may have",
                source.len()
            ),
            "split it: one trigger per file, and long lists of values belong in the SIEM's rule",
        );
        return None;
    }
    if let Some(at) = source.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        report.error(
            "T001",
            &(at..at + 1),
            "the file holds a control character",
            "remove it; a trigger is plain UTF-8 text",
        );
        return None;
    }
    let offsets = (!source.is_ascii()).then(|| source.char_indices().map(|(at, _)| at).collect());
    let mut reader = Reader {
        source,
        offsets,
        parser: Parser::new_from_str(source),
        nodes: 0,
        report,
    };
    reader.document()
}

struct Reader<'a, 'r, 's> {
    source: &'a str,
    /// Where each character begins, in bytes.
    offsets: Option<Vec<usize>>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
    report: &'r mut Report<'s>,
}

impl<'a> Reader<'a, '_, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root: Option<Node> = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    let place = self.bytes(span);
                    self.report.error(
                        "T002",
                        &place,
                        "the file holds several documents",
                        "put each trigger into a file of its own, beside its playbook",
                    );
                    return None;
                }
                Event::DocumentStart(_) => {}
                other => root = Some(self.node(other, span, 0)?),
            }
        }
        if root.is_none() {
            self.report.whole(
                "T001",
                "the file is empty",
                "write a Sigma rule with `title`, `logsource` and `detection`",
            );
        }
        root
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Option<Node> {
        let place = self.bytes(span);
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            self.report.error(
                "T001",
                &place,
                format!(
                    "the file is nested deeper than {DEPTH_MAX} levels or holds more than {NODES_MAX} values"
                ),
                "a detection is a map of fields, or a list of such maps",
            );
            return None;
        }
        match event {
            Event::Scalar(_, _, anchor, ref tag) if anchor != 0 || tag.is_some() => self.refuse(&place),
            Event::SequenceStart(anchor, ref tag) | Event::MappingStart(anchor, ref tag)
                if anchor != 0 || tag.is_some() =>
            {
                self.refuse(&place)
            }
            Event::Alias(_) => self.refuse(&place),
            Event::Scalar(text, style, _, _) => {
                let what = self.scalar(text, style, &place);
                Some(Node { what, span: place })
            }
            Event::SequenceStart(..) => self.list(place, depth),
            Event::MappingStart(..) => self.map(place, depth),
            _ => {
                self.report.error(
                    "T001",
                    &place,
                    "this is not YAML",
                    "write a map of keys and values",
                );
                None
            }
        }
    }

    fn list(&mut self, place: Range<usize>, depth: usize) -> Option<Node> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Some(Node {
                    what: What::List(items),
                    span: place,
                });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, place: Range<usize>, depth: usize) -> Option<Node> {
        let mut members: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Some(Node {
                    what: What::Map(members),
                    span: place,
                });
            }
            let key_place = self.bytes(span);
            let Event::Scalar(text, _, 0, None) = event else {
                self.refuse(&key_place);
                return None;
            };
            let key = Key {
                text: text.into_owned(),
                span: key_place,
            };
            if members.iter().any(|(known, _)| known.text == key.text) {
                self.report.error(
                    "T003",
                    &key.span,
                    format!("the key `{}` is here twice", key.text),
                    "keep one of them; for several values of one field write a list",
                );
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            members.push((key, value));
        }
    }

    fn refuse(&mut self, place: &Range<usize>) -> Option<Node> {
        self.report.error(
            "T002",
            place,
            "anchors (`&`), aliases (`*`), tags (`!`) and keys that are not plain text have no place in a trigger",
            "write the value out; put text that begins with `&`, `*` or `!` in quotes",
        );
        None
    }

    /// The value of a scalar by the core schema of YAML 1.2. Numbers that would lose digits are refused: an
    /// account id must not be compared by its first fifteen digits.
    fn scalar(&mut self, text: Cow<'a, str>, style: ScalarStyle, place: &Range<usize>) -> What {
        if style != ScalarStyle::Plain {
            return What::Text(text.into_owned());
        }
        match text.as_ref() {
            "" | "~" | "null" | "Null" | "NULL" => What::Null,
            "true" | "True" | "TRUE" => What::Bool(true),
            "false" | "False" | "FALSE" => What::Bool(false),
            plain => match number(plain) {
                Number::None => What::Text(plain.to_owned()),
                Number::Integer(n) => What::Integer(n),
                Number::Float(n) => What::Float(n),
                Number::Lossy => {
                    self.report.error(
                        "T011",
                        place,
                        format!("`{plain}` cannot be compared exactly as a number"),
                        format!("if it is an id, put it in quotes: '{plain}'"),
                    );
                    // Read on, so that the author sees what else is wrong.
                    What::Text(plain.to_owned())
                }
            },
        }
    }

    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Some(event),
            Some(Err(error)) => {
                self.syntax(&error);
                None
            }
            None => {
                self.report
                    .whole("T001", "the file ends too early", "complete the last value");
                None
            }
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = self.byte(error.marker().index());
        self.report.error(
            "T001",
            &(at..at + 1),
            format!("this is not YAML: {}", error.info()),
            "look at the indentation, the colons and the quotes on this line and the one before",
        );
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        let end = self.byte(span.end.index()).max(start);
        let text = self.source.get(start..end).unwrap_or("");
        start..start + text.trim_end().len()
    }

    /// The parser counts characters; where they are bytes too, there is no table.
    fn byte(&self, character: usize) -> usize {
        match &self.offsets {
            None => character.min(self.source.len()),
            Some(offsets) => offsets.get(character).copied().unwrap_or(self.source.len()),
        }
    }
}

enum Number {
    None,
    Integer(i64),
    Float(f64),
    Lossy,
}

fn number(text: &str) -> Number {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan") {
        return Number::Lossy;
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Number::None;
    }
    if digits.bytes().all(|c| c.is_ascii_digit()) {
        let exact = digits == "0" || !digits.starts_with('0');
        return match text.parse::<i64>() {
            Ok(n) if exact && n.abs() <= EXACT_INTEGER_MAX => Number::Integer(n),
            _ => Number::Lossy,
        };
    }
    if digits.starts_with("0x") || digits.starts_with("0o") {
        return Number::Lossy;
    }
    let float = digits
        .bytes()
        .all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'-' | b'+'))
        && digits.bytes().any(|c| c.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(n) if float && n.is_finite() => Number::Float(n),
        _ => Number::None,
    }
}
