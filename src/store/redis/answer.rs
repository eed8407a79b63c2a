//! Answers of functions, part by part. Whatever is not what was written is `Corrupt`.

use std::fmt::Display;
use std::str::FromStr;

use redis::Value;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::clock::Time;
use crate::store::error::{Error, Result};

/// The parts of an answer that are not read yet.
#[derive(Debug)]
pub(super) struct Answer(std::vec::IntoIter<Value>);

/// Something that cannot be what was written.
pub(super) fn unreadable(why: impl Display) -> Error {
    Error::Corrupt { why: why.to_string() }
}

/// Something with a word of its own: an id, a status, an end.
pub(super) fn read_word<T: DeserializeOwned>(text: &str) -> Result<T> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)).map_err(unreadable)
}

impl Answer {
    pub(super) fn of(value: Value) -> Result<Answer> {
        match value {
            Value::Array(items) => Ok(Answer(items.into_iter())),
            other => Err(unreadable(format_args!("a list was expected, not {other:?}"))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The next part; `None` when it is nil or there is none.
    pub(super) fn maybe_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        match self.0.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::BulkString(bytes)) => Ok(Some(bytes)),
            Some(Value::Int(number)) => Ok(Some(number.to_string().into_bytes())),
            Some(Value::SimpleString(text)) => Ok(Some(text.into_bytes())),
            Some(Value::Okay) => Ok(Some(b"OK".to_vec())),
            Some(other) => Err(unreadable(format_args!("text was expected, not {other:?}"))),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>> {
        self.maybe_bytes()?
            .ok_or_else(|| unreadable("something is missing"))
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>> {
        let bytes = self.maybe_bytes()?;
        bytes
            .map(|bytes| String::from_utf8(bytes).map_err(unreadable))
            .transpose()
    }

    pub(super) fn text(&mut self) -> Result<String> {
        self.maybe_text()?
            .ok_or_else(|| unreadable("something is missing"))
    }

    /// A number, an id, a digest.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self) -> Result<T> {
        self.text()?.parse().map_err(unreadable)
    }

    /// A moment; empty text and nil are none. A score comes as the server writes doubles.
    pub(super) fn maybe_time(&mut self) -> Result<Option<Time>> {
        match self.maybe_text()? {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => time(&text).map(Some),
        }
    }

    pub(super) fn time(&mut self) -> Result<Time> {
        self.maybe_time()?
            .ok_or_else(|| unreadable("a moment is missing"))
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.text()? == "1")
    }

    pub(super) fn word<T: DeserializeOwned>(&mut self) -> Result<T> {
        read_word(&self.text()?)
    }

    pub(super) fn maybe_word<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        self.maybe_text()?.map(|text| read_word(&text)).transpose()
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_slice(&self.bytes()?).map_err(unreadable)
    }

    /// The next part, which is a list itself.
    pub(super) fn list(&mut self) -> Result<Answer> {
        match self.0.next() {
            Some(value) => Answer::of(value),
            None => Err(unreadable("a list is missing")),
        }
    }

    /// Reads the rest, each part a list.
    pub(super) fn lists<T>(mut self, read: impl Fn(&mut Answer) -> Result<T>) -> Result<Vec<T>> {
        let mut found = Vec::new();
        while !self.is_empty() {
            found.push(read(&mut self.list()?)?);
        }
        Ok(found)
    }

    /// Reads the rest, a few parts at a time.
    pub(super) fn each<T>(mut self, read: impl Fn(&mut Answer) -> Result<T>) -> Result<Vec<T>> {
        let mut found = Vec::new();
        while !self.is_empty() {
            found.push(read(&mut self)?);
        }
        Ok(found)
    }

    /// The one part, a list, or nothing.
    pub(super) fn one<T>(mut self, read: impl Fn(&mut Answer) -> Result<T>) -> Result<Option<T>> {
        match self.0.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(value) => read(&mut Answer::of(value)?).map(Some),
        }
    }
}

/// A moment as it was written, or as a score comes back.
pub(super) fn time(text: &str) -> Result<Time> {
    if let Ok(exact) = text.parse::<i64>() {
        return Ok(Time(exact));
    }
    let score: f64 = text.parse().map_err(unreadable)?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "saturates, which is right for a moment beyond all others"
    )]
    Ok(Time(score as i64))
}
