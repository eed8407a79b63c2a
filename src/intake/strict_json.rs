//! JSON of strangers (RFC 8259), read strictly: UTF-8, bounded depth and size, no duplicate names, nothing after
//! the end, and no digit of a number lost. Two readers of one alert must never see two alerts. Written out instead
//! of built on serde_json because that turns integers beyond 64 bits into floats before anyone can see them; texts
//! are still decoded by it, and a property test holds the two against each other.

use serde_json::{Map, Number, Value};

use super::unreadable::{Unreadable, shown};
use crate::limits::{JSON_DEPTH_MAX, JSON_NODES_MAX};

/// Integers up to here are exact in every reader (RFC 8259, section 6); beyond, they are kept as text.
const EXACT_INTEGER_MAX: i64 = (1 << 53) - 1;

/// Reads one JSON value.
///
/// # Errors
/// Where and why it is not one.
pub fn parse(bytes: &[u8]) -> Result<Value, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    let value = reader.value(0)?;
    reader.space();
    if reader.at < reader.bytes.len() {
        return Err(reader.wrong("something stands after the end"));
    }
    Ok(value)
}

/// Reads one JSON value, or several objects one after the other (JSON lines), within the bounds of one.
///
/// # Errors
/// Where and why it is not that; also when there is nothing at all.
pub fn parse_several(bytes: &[u8]) -> Result<Vec<Value>, Unreadable> {
    let mut reader = Reader::new(bytes)?;
    let mut values: Vec<Value> = Vec::new();
    loop {
        reader.space();
        if reader.at >= reader.bytes.len() {
            break;
        }
        if values.last().is_some_and(|value| !value.is_object())
            || (!values.is_empty() && reader.peek() != Some(b'{'))
        {
            return Err(reader.wrong("something stands after the end"));
        }
        values.push(reader.value(0)?);
    }
    if values.is_empty() {
        return Err(Unreadable::because("the body is empty"));
    }
    Ok(values)
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Reader<'a>, Unreadable> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Reader {
                bytes,
                text,
                at: 0,
                nodes: 0,
            }),
            Err(error) => {
                let (line, column) = place(bytes, error.valid_up_to());
                Err(Unreadable {
                    reason: "this is not UTF-8".into(),
                    line,
                    column,
                })
            }
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> Unreadable {
        let (line, column) = place(self.bytes, self.at);
        Unreadable {
            reason: reason.into(),
            line,
            column,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.nodes += 1;
        if self.nodes > JSON_NODES_MAX {
            return Err(self.wrong(format!("more than {JSON_NODES_MAX} values")));
        }
        if depth > JSON_DEPTH_MAX {
            return Err(self.wrong(format!("nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.wrong("this is not JSON")),
            None => Err(self.wrong("the body ends too early")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut members = Map::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a name in quotes belongs here"));
            }
            let name = self.string()?;
            if members.contains_key(&name) {
                self.at = start;
                return Err(self.wrong(format!("the name `{}` is here twice", shown(&name))));
            }
            self.space();
            if !self.take(b':') {
                return Err(self.wrong("a colon belongs here"));
            }
            let value = self.value(depth + 1)?;
            members.insert(name, value);
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma or `}` belongs here"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Unreadable> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma or `]` belongs here"));
            }
        }
    }

    /// A text: its end is found here, its escapes are decoded by serde_json.
    fn string(&mut self) -> Result<String, Unreadable> {
        let start = self.at;
        let mut end = start + 1;
        loop {
            match self.bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(self.wrong("a text without its closing quote")),
            }
        }
        let token = self
            .text
            .get(start..=end)
            .ok_or_else(|| self.wrong("a text that cannot be read"))?;
        let text = serde_json::from_str(token)
            .map_err(|_| self.wrong("a text with an escape or character that JSON does not allow"))?;
        self.at = end + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Value, Unreadable> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let token = self.text.get(start..start + length).unwrap_or("");
        let digits = token.strip_prefix('-').unwrap_or(token);
        let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = if integer && (digits == "0" || !digits.starts_with('0')) {
            match token.parse::<i64>() {
                Ok(n) if n.unsigned_abs() <= EXACT_INTEGER_MAX.unsigned_abs() => Some(Value::from(n)),
                _ => Some(Value::from(token)),
            }
        } else if integer {
            None
        } else {
            // serde_json knows what a number looks like, but rounds the last digit (its feature
            // `float_roundtrip` is off).
            let well_formed = serde_json::from_str::<Number>(token).is_ok();
            token
                .parse()
                .ok()
                .filter(|_| well_formed)
                .and_then(Number::from_f64)
                .map(Value::Number)
        };
        let value = value.ok_or_else(|| self.wrong("a number that JSON does not allow"))?;
        self.at = start + length;
        Ok(value)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Unreadable> {
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.wrong("this is not JSON"))
    }
}

fn place(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = bytes.get(..at).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}
