//! The page of a configuration file while it is read: tables taken key by key, so that whatever nobody took is an
//! unknown key, and every mistake points. Knows TOML and no word of the configuration.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::clock::duration_ms;
use crate::connector::setting_value;
use crate::diagnostic::{Diagnostic, nearest};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// The text being read, and what was found wrong so far.
pub(super) struct Page<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    pub(super) mistakes: Vec<Diagnostic>,
}

impl Page<'_> {
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
    pub(super) table: &'t DeTable<'i>,
    path: String,
    pub(super) span: Range<usize>,
    asked: Vec<&'static str>,
}

/// A member of a table: its key's place, its value and that value's place.
type Member<'t, 'i> = (Range<usize>, &'t DeValue<'i>, Range<usize>);

impl<'t, 'i> Table<'t, 'i> {
    pub(super) fn new(table: &'t DeTable<'i>, path: impl Into<String>, span: Range<usize>) -> Table<'t, 'i> {
        Table {
            table,
            path: path.into(),
            span,
            asked: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Member<'t, 'i>> {
        self.asked.push(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, value)| (name.span(), value.get_ref(), value.span()))
    }

    /// Whether a key stands here, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name.get_ref() == key)
    }

    pub(super) fn text(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<String>> {
        let (_, value, span) = self.take(key)?;
        as_text(page, key, value, span)
    }

    /// A text that has to be there and not be blank.
    pub(super) fn needed_text(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<String>> {
        if !self.has(key) {
            self.asked.push(key);
            self.missing(page, key);
            return None;
        }
        let text = self.text(page, key)?;
        if text.value.trim().is_empty() {
            page.mistake(
                "K004",
                text.span.clone(),
                format!("`{key}` is empty"),
                format!("give `{key}` a value"),
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn missing(&self, page: &mut Page<'_>, key: &str) {
        page.mistake(
            "K003",
            self.span.clone(),
            format!("`{}` has no `{key}`", self.path),
            format!("add `{key} = …`"),
        );
    }

    pub(super) fn flag(&mut self, page: &mut Page<'_>, key: &'static str) -> bool {
        let Some((_, value, span)) = self.take(key) else {
            return false;
        };
        value.as_bool().unwrap_or_else(|| {
            wrong(page, key, "`true` or `false`", value, span);
            false
        })
    }

    /// A whole number from 0 on, with its place.
    pub(super) fn whole(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<(u64, Range<usize>)> {
        let (_, value, span) = self.take(key)?;
        let number = value
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            wrong(page, key, "a whole number", value, span.clone());
        }
        number.map(|number| (number, span))
    }

    /// A list of texts, or one text where a list of one is meant.
    pub(super) fn texts(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<Placed<String>> {
        let Some((_, value, span)) = self.take(key) else {
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            return as_text(page, key, value, span).into_iter().collect();
        };
        list.iter()
            .filter_map(|item| as_text(page, key, item.get_ref(), item.span()))
            .collect()
    }

    /// A duration in ms.
    pub(super) fn duration(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<u64> {
        let text = self.text(page, key)?;
        let ms = duration_ms(&text.value);
        if ms.is_none() {
            page.mistake(
                "K004",
                text.span,
                format!("`{}` is not a duration", text.value),
                "write a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `30s`",
            );
        }
        ms
    }

    pub(super) fn table(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Table<'t, 'i>> {
        let (name, value, span) = self.take(key)?;
        match value.as_table() {
            Some(table) => Some(Table::new(table, self.path_of(key), name)),
            None => {
                wrong(page, key, "a table", value, span);
                None
            }
        }
    }

    /// The tables inside the table `key`, by name: `[connectors.NAME]`.
    pub(super) fn tables(
        &mut self,
        page: &mut Page<'_>,
        key: &'static str,
    ) -> Vec<(Placed<String>, Table<'t, 'i>)> {
        let Some(outer) = self.table(page, key) else {
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, value) in outer.table.iter() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((
                    Placed {
                        value: name.get_ref().to_string(),
                        span: name.span(),
                    },
                    Table::new(table, outer.path_of(name.get_ref()), name.span()),
                )),
                None => wrong(page, name.get_ref(), "a table", value.get_ref(), value.span()),
            }
        }
        tables
    }

    /// The tables of a list: `[[source]]`, or `when = [{ … }]`.
    pub(super) fn list(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<Table<'t, 'i>> {
        let Some((name, value, span)) = self.take(key) else {
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            let help = if self.path.is_empty() {
                format!("write `[[{key}]]`, once for each")
            } else {
                format!("write `{key} = [{{ … }}]`")
            };
            page.mistake(
                "K004",
                span,
                format!("`{key}` is {}, not a list", kind_of(value)),
                help,
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_table() {
                // The place of `[[source]]` itself is its header; an inline table has one of its own.
                Some(table) => {
                    let place = if item.span().is_empty() {
                        name.clone()
                    } else {
                        item.span()
                    };
                    tables.push(Table::new(table, self.path_of(key), place));
                }
                None => wrong(page, key, "a list of tables", item.get_ref(), item.span()),
            }
        }
        tables
    }

    /// All members, each of which has to be a text, a number, a flag or a list of texts.
    pub(super) fn every_setting(
        self,
        page: &mut Page<'_>,
    ) -> Vec<(Placed<String>, Placed<serde_json::Value>)> {
        let mut settings = Vec::new();
        for (name, value) in self.table.iter() {
            match setting_value(value.get_ref()) {
                Some(read) => settings.push((
                    Placed {
                        value: name.get_ref().to_string(),
                        span: name.span(),
                    },
                    Placed {
                        value: read,
                        span: value.span(),
                    },
                )),
                None => wrong(
                    page,
                    name.get_ref(),
                    "a text, a number, a flag or a list of texts",
                    value.get_ref(),
                    value.span(),
                ),
            }
        }
        settings
    }

    /// All members, each of which has to be a text.
    pub(super) fn every_text(self, page: &mut Page<'_>) -> Vec<(Placed<String>, Placed<String>)> {
        self.table
            .iter()
            .filter_map(|(name, value)| {
                let text = as_text(page, name.get_ref(), value.get_ref(), value.span())?;
                Some((
                    Placed {
                        value: name.get_ref().to_string(),
                        span: name.span(),
                    },
                    text,
                ))
            })
            .collect()
    }

    /// All members that nobody took yet, each of which has to be a text.
    pub(super) fn other_texts(self, page: &mut Page<'_>) -> Vec<(Placed<String>, Placed<String>)> {
        self.table
            .iter()
            .filter(|(name, _)| !self.asked.contains(&name.get_ref().as_ref()))
            .filter_map(|(name, value)| {
                let text = as_text(page, name.get_ref(), value.get_ref(), value.span())?;
                let name = Placed {
                    value: name.get_ref().to_string(),
                    span: name.span(),
                };
                Some((name, text))
            })
            .collect()
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
            page.mistake("K002", name.span(), format!("unknown key `{key}`"), help);
        }
    }
}

fn as_text(
    page: &mut Page<'_>,
    key: &str,
    value: &DeValue<'_>,
    span: Range<usize>,
) -> Option<Placed<String>> {
    match value.as_str() {
        Some(text) => Some(Placed {
            value: text.to_owned(),
            span,
        }),
        None => {
            wrong(page, key, "a text", value, span);
            None
        }
    }
}

fn wrong(page: &mut Page<'_>, key: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>) {
    page.mistake(
        "K004",
        span,
        format!("`{key}` is {} and should be {wanted}", kind_of(found)),
        format!("write {wanted} for `{key}`"),
    );
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a flag",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
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
