//! Arguments of a function. Numbers and moments go as text, what may be left out goes empty.

use serde::Serialize;

use crate::clock::Time;
use crate::store::error::{Error, Result};

/// Arguments, in the order the function takes them.
#[derive(Default)]
pub(super) struct Args(Vec<Vec<u8>>);

impl Args {
    pub(super) fn new() -> Args {
        Args::default()
    }

    /// Text, a number or an id.
    pub(super) fn put(self, value: impl ToString) -> Args {
        self.bytes(value.to_string().into_bytes())
    }

    pub(super) fn maybe(self, value: Option<impl ToString>) -> Args {
        match value {
            Some(value) => self.put(value),
            None => self.bytes(Vec::new()),
        }
    }

    pub(super) fn bytes(mut self, bytes: Vec<u8>) -> Args {
        self.0.push(bytes);
        self
    }

    pub(super) fn time(self, at: Time) -> Args {
        self.put(at.0)
    }

    pub(super) fn maybe_time(self, at: Option<Time>) -> Args {
        self.maybe(at.map(|at| at.0))
    }

    pub(super) fn flag(self, flag: bool) -> Args {
        self.put(u8::from(flag))
    }

    /// A value whose JSON is a string, as that string.
    pub(super) fn word(self, value: &impl Serialize) -> Result<Args> {
        Ok(self.put(to_word(value)?))
    }

    pub(super) fn maybe_word(self, value: Option<&impl Serialize>) -> Result<Args> {
        Ok(self.maybe(value.map(to_word).transpose()?))
    }

    pub(super) fn json(self, value: &impl Serialize) -> Result<Args> {
        let json = serde_json::to_vec(value).map_err(|error| Error::Corrupt {
            why: error.to_string(),
        })?;
        Ok(self.bytes(json))
    }

    /// How many, then each.
    pub(super) fn texts<T: AsRef<str>>(self, texts: &[T]) -> Args {
        texts
            .iter()
            .fold(self.put(texts.len()), |args, text| args.put(text.as_ref()))
    }

    pub(super) fn into_vec(self) -> Vec<Vec<u8>> {
        self.0
    }
}

/// The string that is a value's JSON.
pub(super) fn to_word(value: &impl Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(Error::Corrupt {
            why: format!("{other} is not a word"),
        }),
        Err(error) => Err(Error::Corrupt {
            why: error.to_string(),
        }),
    }
}
