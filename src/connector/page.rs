//! A manifest's page while it is read: TOML tables taken key by key, so that whatever nobody took is an
//! unknown key, and every mistake points at its place. Knows the shapes of TOML and no word of connectors.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::clock::duration_ms;
use crate::diagnostic::{Diagnostic, nearest};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed<T> {
    /// The value.
    pub(super) value: T,
    /// Its bytes in the page.
    pub(super) span: Range<usize>,
}

/// The text being read, and what was found wrong so far.
pub(super) struct Page<'a> {
    file: &'a str,
    text: &'a str,
    pub(super) mistakes: Vec<Diagnostic>,
}

impl<'a> Page<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Page<'a> {
        Page {
            file,
            text,
            mistakes: Vec::new(),
        }
    }

    /// Notes one mistake.
    pub(super) fn mistake(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.mistakes
            .push(Diagnostic::error(code, message, self.file, self.text, span, help));
    }
}

/// One table, with the keys that were asked for so far.
pub(super) struct Table<'t, 'i> {
    table: &'t DeTable<'i>,
    /// `actions.contain_host`, for messages; empty for the page itself.
    path: String,
    /// Where its header or key stands.
    pub(super) span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'t, 'i> Table<'t, 'i> {
    pub(super) fn root(table: &'t DeTable<'i>) -> Table<'t, 'i> {
        Table {
            table,
            path: String::new(),
            span: 0..0,
            asked: Vec::new(),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Range<usize>, &'t DeValue<'i>, Range<usize>)> {
        self.asked.push(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, value)| (name.span(), value.get_ref(), value.span()))
    }

    fn wrong(&self, page: &mut Page<'_>, key: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>) {
        page.mistake(
            "C004",
            span,
            format!("`{key}` is {} and should be {wanted}", kind(found)),
            format!("write {wanted} for `{key}`"),
        );
    }

    /// True when the key is not there.
    pub(super) fn is_without(&self, key: &str) -> bool {
        !self.table.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// A text, when the key is there.
    pub(super) fn text(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<String>> {
        let (_, value, span) = self.take(key)?;
        match value.as_str() {
            Some(text) => Some(Placed {
                value: text.to_owned(),
                span,
            }),
            None => {
                self.wrong(page, key, "a text", value, span);
                None
            }
        }
    }

    /// A text that has to be there and not be blank.
    pub(super) fn needed_text(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<String>> {
        let there = self.table.iter().any(|(name, _)| name.get_ref() == key);
        if !there {
            self.asked.push(key);
            self.missing(page, key);
            return None;
        }
        let text = self.text(page, key)?;
        if text.value.trim().is_empty() {
            page.mistake(
                "C003",
                text.span.clone(),
                format!("`{key}` is empty"),
                format!("give `{key}` a value"),
            );
            return None;
        }
        Some(text)
    }

    /// Says that a key is missing here.
    pub(super) fn missing(&self, page: &mut Page<'_>, key: &str) {
        let place = if self.path.is_empty() {
            "the manifest".to_owned()
        } else {
            format!("`[{}]`", self.path)
        };
        page.mistake(
            "C003",
            self.span.clone(),
            format!("{place} has no `{key}`"),
            format!("add `{key} = …`"),
        );
    }

    /// A flag; false when the key is absent.
    pub(super) fn flag(&mut self, page: &mut Page<'_>, key: &'static str) -> bool {
        match self.take(key) {
            None => false,
            Some((_, value, span)) => value.as_bool().unwrap_or_else(|| {
                self.wrong(page, key, "`true` or `false`", value, span);
                false
            }),
        }
    }

    /// Texts: a list, or one text where a list of one is meant.
    pub(super) fn texts(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<Placed<String>> {
        let Some((_, value, span)) = self.take(key) else {
            return Vec::new();
        };
        if let Some(text) = value.as_str() {
            return vec![Placed {
                value: text.to_owned(),
                span,
            }];
        }
        let Some(list) = value.as_array() else {
            self.wrong(page, key, "a list of texts", value, span);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Placed {
                    value: text.to_owned(),
                    span: item.span(),
                }),
                None => self.wrong(page, key, "a list of texts", item.get_ref(), item.span()),
            }
        }
        texts
    }

    /// HTTP statuses: a list of numbers from 400 to 599.
    pub(super) fn statuses(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<u16> {
        let Some((_, value, span)) = self.take(key) else {
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            self.wrong(page, key, "a list of statuses", value, span);
            return Vec::new();
        };
        let mut statuses = Vec::new();
        for item in list.iter() {
            let number = item
                .get_ref()
                .as_integer()
                .and_then(|number| number.as_str().parse::<u16>().ok())
                .filter(|number| (400..600).contains(number));
            match number {
                Some(number) => statuses.push(number),
                None => self.wrong(page, key, "a status from 400 to 599", item.get_ref(), item.span()),
            }
        }
        statuses
    }

    /// A duration in ms, or `default` when the key is absent or wrong.
    pub(super) fn duration(&mut self, page: &mut Page<'_>, key: &'static str, default: u64) -> u64 {
        let Some(text) = self.text(page, key) else {
            return default;
        };
        duration_ms(&text.value).unwrap_or_else(|| {
            page.mistake(
                "C008",
                text.span,
                format!("`{}` is not a duration", text.value),
                "write a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `30s`",
            );
            default
        })
    }

    /// A table inside this one.
    pub(super) fn table(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Table<'t, 'i>> {
        let (name_span, value, span) = self.take(key)?;
        match value.as_table() {
            Some(table) => Some(Table {
                table,
                path: self.path_of(key),
                span: name_span,
                asked: Vec::new(),
            }),
            None => {
                self.wrong(page, key, "a table", value, span);
                None
            }
        }
    }

    /// The tables inside the table `key`, by name: `[actions.NAME]`.
    pub(super) fn tables(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<(String, Table<'t, 'i>)> {
        let Some(outer) = self.table(page, key) else {
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, value) in outer.table.iter() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((
                    name.get_ref().to_string(),
                    Table {
                        table,
                        path: outer.path_of(name.get_ref()),
                        span: name.span(),
                        asked: Vec::new(),
                    },
                )),
                None => self.wrong(page, name.get_ref(), "a table", value.get_ref(), value.span()),
            }
        }
        tables
    }

    /// All members as they are: name, its place, value, its place.
    pub(super) fn members(
        &self,
    ) -> impl Iterator<Item = (&'t str, Range<usize>, &'t DeValue<'i>, Range<usize>)> + use<'t, 'i> {
        self.table.iter().map(|(name, value)| {
            (
                name.get_ref().as_ref(),
                name.span(),
                value.get_ref(),
                value.span(),
            )
        })
    }

    /// Where a key stands; the table itself where it is absent.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map_or(self.span.clone(), |(name, _)| name.span())
    }

    /// All members, each of which has to be a text: `{ argument = "field" }`.
    pub(super) fn every_text(self, page: &mut Page<'_>) -> Vec<(String, Placed<String>)> {
        let mut texts = Vec::new();
        for (name, value) in self.table.iter() {
            match value.get_ref().as_str() {
                Some(text) => texts.push((
                    name.get_ref().to_string(),
                    Placed {
                        value: text.to_owned(),
                        span: value.span(),
                    },
                )),
                None => self.wrong(page, name.get_ref(), "a text", value.get_ref(), value.span()),
            }
        }
        texts
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Names every key nobody asked for. Called last.
    pub(super) fn finish(self, page: &mut Page<'_>) {
        for (name, _) in self.table.iter() {
            let key = name.get_ref().as_ref();
            if self.asked.contains(&key) {
                continue;
            }
            let help = match nearest(key, self.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys here are {}", listed(&self.asked)),
            };
            page.mistake("C002", name.span(), format!("unknown key `{key}`"), help);
        }
    }
}

/// `a`, `b`, `c` in back-ticks.
pub(super) fn listed<T: AsRef<str>>(words: &[T]) -> String {
    words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The kind of a value, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a flag",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
