//! From the files of a `tests` folder to cases: one case a file, or several as `[[case]]`. What a file says beyond
//! what is read of it is a mistake, never passed over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::case::{BEGINS, Body, Case, Sheet, What};
use super::{read_call, read_play};
use crate::action::ActionName;
use crate::clock::Time;
use crate::diagnostic::{Diagnostic, nearest};
use crate::page::{Codes, Page, Placed, Table, listed};

const CODES: Codes = Codes {
    unknown: "S002",
    missing: "S003",
    wrong: "S004",
    duration: "S004",
};

/// What kind of content a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A playbook.
    Playbook,
    /// A connector.
    Connector,
}

/// The cases of one folder of content. `files` are its files, by path from the folder; cases are the TOML files
/// below `tests/`.
pub fn cases(folder: &str, files: &BTreeMap<String, String>, of: Of) -> (Vec<Case>, Vec<Diagnostic>) {
    let mut cases = Vec::new();
    let mut mistakes = Vec::new();
    for (path, text) in files {
        let Some(stem) = path
            .strip_prefix("tests/")
            .and_then(|path| path.strip_suffix(".toml"))
        else {
            continue;
        };
        let sheet = Sheet {
            file: format!("{folder}/{path}"),
            text: Arc::from(text.as_str()),
        };
        let parsed = match DeTable::parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let message = format!("this is not TOML: {}", error.message().replace('\n', ", "));
                let help = "look at the marked place: a text stands in double quotes, a list in `[ ]`";
                mistakes.push(sheet.says("S001", &error.span().unwrap_or(0..0), message, help));
                continue;
            }
        };
        let mut page = Page::new(&sheet.file, text, CODES);
        let read = |page: &mut Page<'_>, table, name: String, span| {
            let what = match of {
                Of::Playbook => {
                    read_play::play(page, table, files).map(|play| What::Playbook(Box::new(play)))
                }
                Of::Connector => read_call::case(page, table, files),
            };
            what.map(|what| Case {
                name,
                sheet: sheet.clone(),
                span,
                what,
            })
        };
        let mut root = Table::root(parsed.get_ref());
        if root.has("case") {
            let asked = RefCell::new(Vec::new());
            for mut table in root.list(&mut page, "case") {
                let Some(name) = table.needed_text(&mut page, "name") else {
                    continue;
                };
                let table = table.or_from(parsed.get_ref(), &asked);
                cases.extend(read(
                    &mut page,
                    table,
                    format!("{stem}: {}", name.value),
                    name.span,
                ));
            }
            root.knows(&asked.borrow());
            root.finish(&mut page);
        } else {
            cases.extend(read(&mut page, root, stem.to_owned(), 0..0));
        }
        if page.mistakes.is_empty() {
            continue;
        }
        // A file with a mistake runs none of its cases: what is left of it may mean something else.
        cases.retain(|case| case.sheet.file != sheet.file);
        // A mistake in what cases share is found by each of them.
        for mistake in page.mistakes {
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
    }
    (cases, mistakes)
}

/// A moment, RFC 3339.
pub fn moment(page: &mut Page<'_>, table: &mut Table<'_, '_>, key: &'static str) -> Time {
    let begins = Time::parse(BEGINS).unwrap_or_default();
    let Some(text) = table.data(key) else {
        return begins;
    };
    let read = text.value.as_str().and_then(Time::parse);
    read.unwrap_or_else(|| {
        let help = format!("write a date and time with its zone, such as `{BEGINS}`");
        page.mistake("S004", text.span, format!("`{key}` is not a moment"), help);
        begins
    })
}

/// The name of an action or capability.
pub fn action_name(page: &mut Page<'_>, text: Placed<String>) -> Option<Placed<ActionName>> {
    match text.value.parse() {
        Ok(name) => Some(Placed {
            value: name,
            span: text.span,
        }),
        Err(error) => {
            let error: crate::action::NotAnActionName = error;
            page.mistake(
                "S005",
                text.span,
                error.to_string(),
                "such as `endpoint::isolate`",
            );
            None
        }
    }
}

/// One of a few words.
pub fn one_of(
    page: &mut Page<'_>,
    key: &str,
    text: Option<Placed<String>>,
    words: &[&str],
) -> Option<Placed<String>> {
    let text = text?;
    if words.contains(&text.value.as_str()) {
        return Some(text);
    }
    let help = match nearest(&text.value, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", listed(words)),
    };
    page.mistake(
        "S004",
        text.span,
        format!("`{}` is no value of `{key}`", text.value),
        help,
    );
    None
}

/// `json`, `body` or `file`, of which exactly one is given, and `headers`.
pub fn body(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    files: &BTreeMap<String, String>,
) -> Option<Body> {
    let span = table.span.clone();
    let json = table.data("json");
    let text = table.text(page, "body");
    let file = table.text(page, "file");
    let headers = texts(page, table, "headers");
    let answers = plain(page, table, "answers").into_iter().collect();
    let settings = plain(page, table, "settings");
    let bytes = match (json, text, file) {
        (Some(json), None, None) => json.value.to_string(),
        (None, Some(text), None) => text.value,
        (None, None, Some(name)) => match files.get(&format!("tests/{}", name.value)) {
            Some(text) => text.clone(),
            None => {
                let there: Vec<&str> = files
                    .keys()
                    .filter_map(|path| path.strip_prefix("tests/"))
                    .filter(|path| !path.ends_with(".toml"))
                    .collect();
                let help = if there.is_empty() {
                    "put the file beside the case, in the folder `tests`".to_owned()
                } else {
                    format!("files there are {}", listed(&there))
                };
                page.mistake(
                    "S008",
                    name.span,
                    format!("there is no file `tests/{}`", name.value),
                    help,
                );
                return None;
            }
        },
        _ => {
            page.mistake(
                "S003",
                span,
                "a delivery is exactly one of `json`, `body` and `file`",
                "write `body = '''…'''` for the bytes as they came",
            );
            return None;
        }
    };
    Some(Body {
        span,
        bytes: bytes.into_bytes(),
        headers,
        answers,
        settings,
    })
}

/// Names in lower case to texts.
pub fn texts(page: &mut Page<'_>, table: &mut Table<'_, '_>, key: &'static str) -> Vec<(String, String)> {
    let Some(table) = table.table(page, key) else {
        return Vec::new();
    };
    table
        .every_text(page)
        .into_iter()
        .map(|(name, text)| (name.value.to_lowercase(), text.value))
        .collect()
}

/// A table as plain data, empty where it is absent.
pub fn plain(page: &mut Page<'_>, table: &mut Table<'_, '_>, key: &'static str) -> Map<String, Value> {
    table.map(page, key).map_or_else(Map::new, |map| map.value)
}
