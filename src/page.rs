//! A TOML file that a person wrote, while it is read: tables taken key by key, so that whatever nobody took is an
//! unknown key, and every mistake points at its place. Knows the shapes of TOML and no word of any format.

use std::cell::RefCell;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::clock::duration_ms;
use crate::diagnostic::{Diagnostic, nearest};

/// The codes of the mistakes that every format has.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    /// A key nobody knows.
    pub unknown: &'static str,
    /// A key that has to be there.
    pub missing: &'static str,
    /// A value of the wrong kind, or an empty one.
    pub wrong: &'static str,
    /// A text that is no duration.
    pub duration: &'static str,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

/// The file being read, and what was found wrong so far.
pub struct Page<'a> {
    /// Its name.
    pub file: &'a str,
    /// What stands in it.
    pub text: &'a str,
    codes: Codes,
    /// The mistakes so far.
    pub mistakes: Vec<Diagnostic>,
}

impl<'a> Page<'a> {
    /// A page over a file's text.
    pub fn new(file: &'a str, text: &'a str, codes: Codes) -> Page<'a> {
        Page {
            file,
            text,
            codes,
            mistakes: Vec::new(),
        }
    }

    /// Notes one mistake.
    pub fn mistake(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.mistakes
            .push(Diagnostic::error(code, message, self.file, self.text, span, help));
    }

    /// Notes that a value is not of the kind that is wanted.
    pub fn wrong(&mut self, key: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>) {
        let code = self.codes.wrong;
        self.mistake(
            code,
            span,
            format!("`{key}` is {} and should be {wanted}", kind_of(found)),
            format!("write {wanted} for `{key}`"),
        );
    }
}

/// One table, with the keys that were asked for so far.
pub struct Table<'t, 'i> {
    table: &'t DeTable<'i>,
    path: String,
    /// Where its header or key stands.
    pub span: Range<usize>,
    asked: Vec<&'static str>,
    shared: Option<Shared<'t, 'i>>,
    hidden: Vec<&'static str>,
}

/// A table whose members count where another does not have them, and which of them were asked for.
type Shared<'t, 'i> = (&'t DeTable<'i>, &'t RefCell<Vec<&'static str>>);

/// A member of a table: its key's place, its value and that value's place.
pub type Member<'t, 'i> = (Range<usize>, &'t DeValue<'i>, Range<usize>);

impl<'t, 'i> Table<'t, 'i> {
    /// The table of a whole file.
    pub fn root(table: &'t DeTable<'i>) -> Table<'t, 'i> {
        Table::new(table, String::new(), 0..0)
    }

    fn new(table: &'t DeTable<'i>, path: String, span: Range<usize>) -> Table<'t, 'i> {
        Table {
            table,
            path,
            span,
            asked: Vec::new(),
            shared: None,
            hidden: Vec::new(),
        }
    }

    /// The same; a key that it does not have is taken from `shared`, and noted in `asked`.
    pub fn or_from(
        mut self,
        shared: &'t DeTable<'i>,
        asked: &'t RefCell<Vec<&'static str>>,
    ) -> Table<'t, 'i> {
        self.shared = Some((shared, asked));
        self
    }

    /// Of keys that say the same thing in different ways, one of its own hides the shared others.
    pub fn choose(&mut self, keys: &[&'static str]) {
        let owns = |key: &&str| self.table.iter().any(|(name, _)| name.get_ref() == *key);
        if keys.iter().any(owns) {
            self.hidden.extend(keys);
        }
    }

    /// Says that these keys are known here.
    pub fn knows(&mut self, keys: &[&'static str]) {
        self.asked.extend(keys);
    }

    fn member(&self, key: &str) -> Option<Member<'t, 'i>> {
        let find = |table: &'t DeTable<'i>| {
            let found = table.iter().find(|(name, _)| name.get_ref() == key);
            found.map(|(name, value)| (name.span(), value.get_ref(), value.span()))
        };
        let shared = self.shared.filter(|_| !self.hidden.contains(&key));
        find(self.table).or_else(|| shared.and_then(|(shared, _)| find(shared)))
    }

    /// A member as it is, when the key is there.
    pub fn take(&mut self, key: &'static str) -> Option<Member<'t, 'i>> {
        self.asked.push(key);
        if let Some((_, asked)) = &self.shared {
            asked.borrow_mut().push(key);
        }
        self.member(key)
    }

    /// True when the key is there; whoever asks this still has to take it.
    pub fn has(&self, key: &str) -> bool {
        self.member(key).is_some()
    }

    /// Where a key stands, or the table where it is absent.
    pub fn place_of(&self, key: &str) -> Range<usize> {
        self.member(key).map_or(self.span.clone(), |(name, _, _)| name)
    }

    /// A text, when the key is there.
    pub fn text(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<String>> {
        let (_, value, span) = self.take(key)?;
        as_text(page, key, value, span)
    }

    /// A text that has to be there and not be blank.
    pub fn needed_text(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<String>> {
        if !self.has(key) {
            self.asked.push(key);
            self.missing(page, key);
            return None;
        }
        let text = self.text(page, key)?;
        if text.value.trim().is_empty() {
            let code = page.codes.wrong;
            page.mistake(
                code,
                text.span.clone(),
                format!("`{key}` is empty"),
                format!("give `{key}` a value"),
            );
            return None;
        }
        Some(text)
    }

    /// Says that a key is missing here.
    pub fn missing(&self, page: &mut Page<'_>, key: &str) {
        let place = if self.path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{}`", self.path)
        };
        let code = page.codes.missing;
        page.mistake(
            code,
            self.span.clone(),
            format!("{place} has no `{key}`"),
            format!("add `{key} = …`"),
        );
    }

    /// A flag, when the key is there.
    pub fn flag(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<bool>> {
        let (_, value, span) = self.take(key)?;
        match value.as_bool() {
            Some(flag) => Some(Placed { value: flag, span }),
            None => {
                page.wrong(key, "`true` or `false`", value, span);
                None
            }
        }
    }

    /// A flag; false when the key is absent or wrong.
    pub fn is_set(&mut self, page: &mut Page<'_>, key: &'static str) -> bool {
        self.flag(page, key).is_some_and(|flag| flag.value)
    }

    /// A whole number from 0 up, when the key is there.
    pub fn count(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<usize>> {
        let (_, value, span) = self.take(key)?;
        match json(value).as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(count) => Some(Placed { value: count, span }),
            None => {
                page.wrong(key, "a whole number", value, span);
                None
            }
        }
    }

    /// A list of texts, or one text where a list of one is meant; empty when the key is absent or wrong.
    pub fn texts(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<Placed<String>> {
        self.texts_given(page, key)
            .map_or(Vec::new(), |texts| texts.value)
    }

    /// The same; `None` when the key is absent or wrong. Each member that is wrong is told.
    pub fn texts_given(
        &mut self,
        page: &mut Page<'_>,
        key: &'static str,
    ) -> Option<Placed<Vec<Placed<String>>>> {
        let (_, value, span) = self.take(key)?;
        if value.is_str() {
            let text = as_text(page, key, value, span.clone())?;
            return Some(Placed {
                value: vec![text],
                span,
            });
        }
        let Some(list) = value.as_array() else {
            page.wrong(key, "a list of texts", value, span);
            return None;
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Placed {
                    value: text.to_owned(),
                    span: item.span(),
                }),
                None => page.wrong(key, "a list of texts", item.get_ref(), item.span()),
            }
        }
        (texts.len() == list.len()).then_some(Placed { value: texts, span })
    }

    /// A duration in ms, when the key is there.
    pub fn duration(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<u64>> {
        let text = self.text(page, key)?;
        match duration_ms(&text.value) {
            Some(ms) => Some(Placed {
                value: ms,
                span: text.span,
            }),
            None => {
                let code = page.codes.duration;
                page.mistake(
                    code,
                    text.span,
                    format!("`{}` is not a duration", text.value),
                    "write a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `30s`",
                );
                None
            }
        }
    }

    /// The same, without its place.
    pub fn ms(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<u64> {
        self.duration(page, key).map(|ms| ms.value)
    }

    /// Any value, as data.
    pub fn data(&mut self, key: &'static str) -> Option<Placed<Value>> {
        let (_, value, span) = self.take(key)?;
        Some(Placed {
            value: json(value),
            span,
        })
    }

    /// A table as data, when the key is there.
    pub fn map(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Placed<Map<String, Value>>> {
        let (name, value, span) = self.take(key)?;
        match json(value) {
            // A table under its own header has no place of its own; its key has.
            Value::Object(map) => Some(Placed {
                value: map,
                span: if span.is_empty() { name } else { span },
            }),
            _ => {
                page.wrong(key, "a table", value, span);
                None
            }
        }
    }

    /// A table inside this one.
    pub fn table(&mut self, page: &mut Page<'_>, key: &'static str) -> Option<Table<'t, 'i>> {
        let (name, value, span) = self.take(key)?;
        match value.as_table() {
            Some(table) => Some(Table::new(table, self.path_of(key), name)),
            None => {
                page.wrong(key, "a table", value, span);
                None
            }
        }
    }

    /// The tables inside the table `key`, by name: `[connectors.NAME]`; none when the key is absent or wrong.
    pub fn named(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<(Placed<String>, Table<'t, 'i>)> {
        self.table(page, key)
            .map_or_else(Vec::new, |inner| inner.tables(page))
    }

    /// The tables inside this one, by name: `[instances.NAME]`. Takes every key.
    pub fn tables(self, page: &mut Page<'_>) -> Vec<(Placed<String>, Table<'t, 'i>)> {
        let mut tables = Vec::new();
        for (name, value) in self.table.iter() {
            match value.get_ref().as_table() {
                Some(table) => tables.push((
                    Placed {
                        value: name.get_ref().to_string(),
                        span: name.span(),
                    },
                    Table::new(table, self.path_of(name.get_ref()), name.span()),
                )),
                None => page.wrong(name.get_ref(), "a table", value.get_ref(), value.span()),
            }
        }
        tables
    }

    /// The tables of a list: `[[request]]`, or `request = [{ … }]`; none when the key is absent or wrong.
    pub fn list(&mut self, page: &mut Page<'_>, key: &'static str) -> Vec<Table<'t, 'i>> {
        self.list_given(page, key).map_or(Vec::new(), |list| list.value)
    }

    /// The same; `None` when the key is absent or wrong. An empty list is written `request = []`.
    pub fn list_given(
        &mut self,
        page: &mut Page<'_>,
        key: &'static str,
    ) -> Option<Placed<Vec<Table<'t, 'i>>>> {
        let (name, value, span) = self.take(key)?;
        let Some(list) = value.as_array() else {
            let code = page.codes.wrong;
            let place = if span.is_empty() { name } else { span };
            page.mistake(
                code,
                place,
                format!("`{key}` is {}, not a list", kind_of(value)),
                format!("write `[[{}]]`, once for each", self.path_of(key)),
            );
            return None;
        };
        let mut tables = Vec::new();
        for item in list.iter() {
            let Some(table) = item.get_ref().as_table() else {
                page.wrong(key, "a list of tables", item.get_ref(), item.span());
                return None;
            };
            // The place of `[[request]]` is its header; an inline table has one of its own.
            let place = if item.span().is_empty() {
                name.clone()
            } else {
                item.span()
            };
            tables.push(Table::new(table, self.path_of(key), place));
        }
        Some(Placed {
            value: tables,
            span: name,
        })
    }

    /// All members, each of which has to be a text.
    pub fn every_text(self, page: &mut Page<'_>) -> Vec<(Placed<String>, Placed<String>)> {
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
    pub fn other_texts(mut self, page: &mut Page<'_>) -> Vec<(Placed<String>, Placed<String>)> {
        let asked = std::mem::take(&mut self.asked);
        let mut texts = Vec::new();
        for (name, value) in self.table.iter() {
            let key = name.get_ref().as_ref();
            if !asked.contains(&key)
                && let Some(text) = as_text(page, key, value.get_ref(), value.span())
            {
                let name = Placed {
                    value: key.to_owned(),
                    span: name.span(),
                };
                texts.push((name, text));
            }
        }
        texts
    }

    /// All members as they are: name and its place, value and its place.
    pub fn members(&self) -> impl Iterator<Item = (&'t str, Member<'t, 'i>)> + use<'t, 'i> {
        self.table.iter().map(|(name, value)| {
            let key: &'t str = name.get_ref().as_ref();
            (key, (name.span(), value.get_ref(), value.span()))
        })
    }

    /// What it is made of.
    pub fn inner(&self) -> &'t DeTable<'i> {
        self.table
    }

    /// The whole table as data; every key counts as taken.
    pub fn into_data(self) -> Placed<Map<String, Value>> {
        Placed {
            value: members(self.table),
            span: self.span,
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Names every key nobody asked for. Called last.
    pub fn finish(self, page: &mut Page<'_>) {
        for (name, _) in self.table.iter() {
            let key = name.get_ref().as_ref();
            if self.asked.contains(&key) {
                continue;
            }
            let help = match nearest(key, self.asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys here are {}", listed(&self.asked)),
            };
            let code = page.codes.unknown;
            page.mistake(code, name.span(), format!("unknown key `{key}`"), help);
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
            page.wrong(key, "a text", value, span);
            None
        }
    }
}

/// A value as data: dates become texts, numbers that do not fit become texts too.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::from(number.as_str()), Value::from),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map_or_else(|| Value::from(number.as_str()), Value::Number),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => Value::Object(members(table)),
    }
}

fn members(table: &DeTable<'_>) -> Map<String, Value> {
    table
        .iter()
        .map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())))
        .collect()
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
pub fn listed<T: AsRef<str>>(words: &[T]) -> String {
    words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CODES: Codes = Codes {
        unknown: "U",
        missing: "M",
        wrong: "W",
        duration: "D",
    };

    fn read<T>(text: &str, read: impl FnOnce(&mut Page<'_>, &mut Table<'_, '_>) -> T) -> (T, Vec<String>) {
        let mut page = Page::new("f.toml", text, CODES);
        let parsed = DeTable::parse(text).unwrap();
        let mut root = Table::root(parsed.get_ref());
        let value = read(&mut page, &mut root);
        root.finish(&mut page);
        let said = page
            .mistakes
            .iter()
            .map(|one| format!("{}:{} {}", one.code, one.line, one.message));
        (value, said.collect())
    }

    #[test]
    fn any_value_becomes_data() {
        let text = "x = { a = 0x1F, b = 1.5, c = [true, \"t\"], d = 2026-01-02T03:04:05Z,\n e = {} }\n";
        let (value, said) = read(text, |_, root| root.data("x").unwrap().value);
        assert_eq!(
            value,
            json!({"a": 31, "b": 1.5, "c": [true, "t"], "d": "2026-01-02T03:04:05Z", "e": {}})
        );
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn each_table_of_a_list_has_its_own_place() {
        let text = "[[r]]\na = 1\n\n[[r]]\na = 2\n";
        let (lines, _) = read(text, |page, root| {
            let list = root.list(page, "r");
            let lines = list
                .iter()
                .map(|one| text[..one.span.start].matches('\n').count() + 1);
            lines.collect::<Vec<_>>()
        });
        assert_eq!(lines, [1, 4]);
    }

    #[test]
    fn what_nobody_took_and_what_is_wrong_is_said() {
        let (_, said) = read("nmae = 1\nflag = 3\nlong = \"soon\"\n", |page, root| {
            root.needed_text(page, "name");
            root.flag(page, "flag");
            root.duration(page, "long");
        });
        let expected = [
            "M:1 the file has no `name`",
            "W:2 `flag` is a number and should be `true` or `false`",
            "D:3 `soon` is not a duration",
            "U:1 unknown key `nmae`",
        ];
        assert_eq!(said, expected);
    }
}
