//! The rules, each from what was read to a list of sentences about what breaks it.

use std::collections::{BTreeMap, BTreeSet};

use super::floors::House;
use super::source::{File, Found};

/// Highest floor without async, I/O, clock and randomness.
const PURE_FLOOR_MAX: u32 = 3;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 10] = [
    "util", "utils", "common", "types", "models", "helpers", "core", "manager", "service", "misc",
];

/// Letters that diagnostic codes begin with, before three digits.
const CODE_LETTERS: [char; 5] = ['P', 'T', 'C', 'K', 'S'];

/// Imports that point up or sideways, in test code too.
pub fn direction(house: &House, file: &File) -> Vec<String> {
    let Some(room) = file.room() else {
        return Vec::new();
    };
    let Some(own) = house.rooms.get(room) else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    for found in &file.paths {
        let Some(other) = room_of(file, found) else {
            continue;
        };
        if other == room {
            continue;
        }
        let place = format!("src/{}:{}", file.path, found.line);
        match house.rooms.get(other) {
            // What `#[macro_export]` puts at the root would end here; there is none.
            None => violations.push(format!("{place}: `{other}` is no room of the floors table")),
            Some(others) if !own.may_use(*others) => {
                let (from, to) = (own.floor, others.floor);
                violations.push(format!(
                    "{place}: `{room}` (floor {from}) uses `{other}` (floor {to})"
                ));
            }
            Some(_) => {}
        }
    }
    violations
}

/// The room a path leads to, if it goes by way of the crate's root.
fn room_of<'a>(file: &File, found: &'a Found<Vec<String>>) -> Option<&'a str> {
    let first = found.what.first()?;
    if first == "crate" {
        return found.what.get(1).map(String::as_str);
    }
    let ups = found.what.iter().take_while(|part| *part == "super").count();
    if ups > 0 && ups >= file.depth() + found.inside {
        return found.what.get(ups).map(String::as_str);
    }
    None
}

/// Something the pure floors do not do.
type Impurity = &'static str;

/// What a path does that a pure floor does not: the word by which an exception names it.
fn impurity(path: &[String]) -> Option<Impurity> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let has = |name: &str| parts.contains(&name);
    if has("SystemTime")
        || has("Instant")
        || parts.ends_with(&["Timestamp", "now"])
        || parts.ends_with(&["Zoned", "now"])
    {
        return Some("clock");
    }
    match parts.as_slice() {
        ["async" | "await"] | ["async_trait" | "tokio" | "futures_util", ..] => Some("async"),
        ["std", "fs", ..] | ["tempfile", ..] => Some("files"),
        // Addresses are nouns; sockets are not.
        [
            "std",
            "net",
            "IpAddr" | "Ipv4Addr" | "Ipv6Addr" | "SocketAddr",
            ..,
        ] => None,
        ["std", "net", ..] | ["reqwest" | "axum" | "rustls", ..] => Some("network"),
        ["rusqlite", ..] => Some("database"),
        ["std", "env" | "process", ..] | ["rustix", ..] => Some("process"),
        ["std", "thread", ..] => Some("threads"),
        ["getrandom" | "rand", ..] => Some("randomness"),
        _ => None,
    }
}

/// What the pure floors do and should not; test code is free to.
pub fn purity(house: &House, file: &File) -> Vec<String> {
    let Some(room) = file.room() else {
        return Vec::new();
    };
    if house
        .rooms
        .get(room)
        .is_none_or(|place| place.floor > PURE_FLOOR_MAX)
    {
        return Vec::new();
    }
    let allowed = house.exceptions.get(room);
    file.paths
        .iter()
        .filter(|found| !found.test)
        .filter_map(|found| {
            let kind = impurity(&found.what)?;
            if allowed.is_some_and(|allowed| allowed.iter().any(|word| word == kind)) {
                return None;
            }
            let path = found.what.join("::");
            Some(format!(
                "src/{}:{}: `{path}` is {kind}, on a floor without it",
                file.path, found.line
            ))
        })
        .collect()
}

/// Waits of the engine that a simulation could not order: all go through `run/pace.rs`.
pub fn waits(file: &File) -> Vec<String> {
    if file.room() != Some("run") || file.path == "run/pace.rs" {
        return Vec::new();
    }
    let waits = |found: &&Found<Vec<String>>| {
        let mut parts = found.what.iter().map(String::as_str);
        !found.test && parts.next() == Some("tokio") && parts.next() == Some("time")
    };
    let found = file.paths.iter().filter(waits);
    found
        .map(|found| {
            format!(
                "src/{}:{}: the engine waits by `Context::pause_ms` and `within_ms`, so that a simulation can order it",
                file.path, found.line
            )
        })
        .collect()
}

/// Exceptions nobody makes use of any more.
pub fn exceptions_without_use(house: &House, files: &[File]) -> Vec<String> {
    let mut unused = Vec::new();
    for (room, kinds) in &house.exceptions {
        for kind in kinds {
            let used = files
                .iter()
                .filter(|file| file.room() == Some(room.as_str()))
                .flat_map(|file| &file.paths)
                .any(|found| !found.test && impurity(&found.what) == Some(kind.as_str()));
            if !used {
                unused.push(format!(
                    "docs/ARCHITECTURE.md: `{room}` has the exception `{kind}` and does not use it"
                ));
            }
        }
    }
    unused
}

/// Rooms without a floor, and rooms on a floor without source.
pub fn rooms(house: &House, paths: &[String]) -> Vec<String> {
    let built: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| match path.split_once('/') {
            Some(("snapshots", _)) => None,
            Some((room, _)) => Some(room),
            None => path.strip_suffix(".rs").filter(|room| *room != "lib"),
        })
        .collect();
    let mut violations: Vec<String> = built
        .iter()
        .filter(|room| !house.rooms.contains_key(**room))
        .map(|room| format!("src/{room} is not in the floors table of docs/ARCHITECTURE.md"))
        .collect();
    for (room, place) in &house.rooms {
        if !place.later && !built.contains(room.as_str()) {
            violations.push(format!(
                "docs/ARCHITECTURE.md: `{room}` is not built; write `{room}` (later), or take it away"
            ));
        }
    }
    violations
}

/// Files and folders whose name says nothing.
pub fn names(paths: &[String]) -> Vec<String> {
    paths
        .iter()
        .filter(|path| {
            path.split('/').any(|part| {
                let name = part.split_once('.').map_or(part, |(name, _)| name);
                EMPTY_NAMES.contains(&name)
            })
        })
        .map(|path| format!("src/{path}: call it what it is"))
        .collect()
}

/// Codes without a page, and pages without a code or with another title. `pages` by file name.
pub fn codes(files: &[File], pages: &BTreeMap<String, String>) -> Vec<String> {
    let mut used: BTreeMap<&str, String> = BTreeMap::new();
    for file in files {
        for found in file
            .texts
            .iter()
            .filter(|found| !found.test && is_code(&found.what))
        {
            used.entry(&found.what)
                .or_insert_with(|| format!("src/{}:{}", file.path, found.line));
        }
    }
    let mut violations = Vec::new();
    for (code, place) in &used {
        if !pages.contains_key(&format!("{code}.md")) {
            violations.push(format!("{place}: `{code}` has no page docs/errors/{code}.md"));
        }
    }
    for (name, text) in pages {
        let code = name.trim_end_matches(".md");
        if !is_code(code) {
            violations.push(format!("docs/errors/{name} is not named after a code"));
        } else if !used.contains_key(code) {
            violations.push(format!("docs/errors/{name}: no code in src says `{code}`"));
        } else if !text.starts_with(&format!("# {code}: ")) {
            violations.push(format!("docs/errors/{name} does not begin with `# {code}: `"));
        }
    }
    violations
}

fn is_code(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|letter| CODE_LETTERS.contains(&letter))
        && text.len() == 4
        && chars.all(|digit| digit.is_ascii_digit())
}

/// Every relative link of every page: the page, and where it leads, from the root of the repository.
pub fn links(pages: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (page, text) in pages {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        // What stands in a fence is an example.
        let prose = text.split("```").step_by(2);
        for target in prose
            .flat_map(|part| part.split("](").skip(1))
            .filter_map(|rest| rest.split(')').next())
        {
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                found.push((page.clone(), joined(folder, target)));
            }
        }
    }
    found
}

fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn house() -> House {
        let page = "| Floor | Rooms | What they never contain |\n|---|---|---|\n| 9 | `server` `range` `lsp` (later) | |\n\
                    | 7 | `run` | |\n| 3 | `journal` | |\n| 2 | `script` | |\n| 0, in order | `clock` `id` | |\n\n\
                    | Room | May use | Why |\n|---|---|---|\n| `script` | `threads` `clock` | because |\n";
        House::parse(page).unwrap()
    }

    fn file(path: &str, text: &str) -> File {
        source::read(path, text).0
    }

    #[track_caller]
    fn breaks(violations: &[String], says: &[&str]) {
        assert_eq!(violations.len(), says.len(), "{violations:#?}");
        for (violation, says) in violations.iter().zip(says) {
            assert!(violation.contains(says), "`{violation}` does not say `{says}`");
        }
    }

    #[test]
    fn an_import_that_points_up_or_sideways_is_seen_however_it_is_written() {
        let says = ["`run` (floor 7) uses `server` (floor 9)"];
        for text in [
            "use crate::server::Api;",
            "use crate::{id::RunId, server};",
            "pub use crate::{\n    server as s,\n};",
            "fn f() -> crate::server::Api { todo() }",
            "use super::super::server::Api;",
            "mod inner { use super::super::super::server::Api; }",
            "#[cfg(test)]\nmod tests { use crate::server::Api; }",
        ] {
            breaks(&direction(&house(), &file("run/next.rs", text)), &says);
        }
        breaks(
            &direction(&house(), &file("server/api.rs", "use crate::range::Range;")),
            &["uses `range`"],
        );
        breaks(
            &direction(&house(), &file("clock.rs", "use crate::id::RunId;")),
            &["uses `id`"],
        );
        breaks(
            &direction(&house(), &file("run/next.rs", "use crate::lib_thing;")),
            &["no room"],
        );
    }

    #[test]
    fn imports_that_point_down_or_stay_inside_are_fine() {
        let text = "use crate::run::next;\nuse crate::{clock::Time, journal};\nuse super::server;\n// crate::server\n\
                    /// See [`crate::server`].\nfn f() { let x = \"crate::server\"; }\nmod t { use super::super::server; }\n\
                    pub(crate) fn g() {}";
        breaks(&direction(&house(), &file("run/next.rs", text)), &[]);
        breaks(
            &direction(&house(), &file("id.rs", "use crate::clock::Time;")),
            &[],
        );
    }

    #[test]
    fn the_pure_floors_do_nothing_to_the_world() {
        for (text, kind) in [
            ("async fn f() {}", "async"),
            ("fn f() { g().await }", "async"),
            ("use tokio::sync::mpsc;", "async"),
            ("use std::{fmt, fs::File};", "files"),
            ("fn f() { std::fs::read(p) }", "files"),
            ("use std::net::{IpAddr, TcpStream};", "network"),
            ("use std::time::{Duration, SystemTime};", "clock"),
            ("use std::time::Instant;", "clock"),
            ("fn f() { jiff::Timestamp::now() }", "clock"),
            ("fn f() { getrandom::fill(b) }", "randomness"),
            ("fn f() { std::env::var(n) }", "process"),
        ] {
            breaks(
                &purity(&house(), &file("journal/event.rs", text)),
                &[&format!("is {kind}")],
            );
        }
    }

    #[test]
    fn what_is_excepted_in_test_code_or_higher_up_is_fine() {
        let house = house();
        breaks(
            &purity(
                &house,
                &file("script/state.rs", "use std::time::Instant;\nuse std::thread;"),
            ),
            &[],
        );
        breaks(
            &purity(&house, &file("script/state.rs", "use std::fs;")),
            &["is files"],
        );
        breaks(&purity(&house, &file("run/next.rs", "async fn f() {}")), &[]);
        let text = "use std::net::IpAddr;\n#[cfg(test)]\nmod tests { use std::fs; async fn f() {} }";
        breaks(&purity(&house, &file("journal/event.rs", text)), &[]);
    }

    #[test]
    fn the_engine_waits_in_one_place() {
        let sleeps = "async fn f() { tokio::time::sleep(d).await }";
        breaks(&waits(&file("run/drive.rs", sleeps)), &["pause_ms"]);
        breaks(
            &waits(&file("run/drive.rs", "use tokio::time::timeout;")),
            &["pause_ms"],
        );
        breaks(&waits(&file("run/pace.rs", sleeps)), &[]);
        breaks(&waits(&file("notify/desk.rs", sleeps)), &[]);
        let text = format!("use tokio::sync::mpsc;\n#[cfg(test)]\nmod tests {{ {sleeps} }}");
        breaks(&waits(&file("run/worker.rs", &text)), &[]);
    }

    #[test]
    fn an_exception_that_is_not_used_is_taken_away() {
        let files = [file(
            "script/state.rs",
            "use std::time::Instant;\n#[cfg(test)]\nuse std::thread;",
        )];
        breaks(
            &exceptions_without_use(&house(), &files),
            &["`script` has the exception `threads`"],
        );
    }

    #[test]
    fn table_and_source_have_the_same_rooms() {
        let paths = [
            "lib.rs",
            "clock.rs",
            "id.rs",
            "run/mod.rs",
            "server/mod.rs",
            "range/a/b.rs",
            "attic/mod.rs",
        ];
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        breaks(
            &rooms(&house(), &paths),
            &["src/attic", "`journal` is not built", "`script` is not built"],
        );
    }

    #[test]
    fn names_that_say_nothing_are_refused_as_file_and_as_folder() {
        let paths: Vec<String> = [
            "run/util.rs",
            "store/common/a.rs",
            "types.rs",
            "run/manager.rs",
            "run/score.rs",
            "store/runs.rs",
        ]
        .iter()
        .map(|path| (*path).to_owned())
        .collect();
        breaks(
            &names(&paths),
            &["run/util.rs", "store/common", "types.rs", "run/manager.rs"],
        );
    }

    #[test]
    fn codes_and_pages_belong_together() {
        let files = [
            file(
                "script/lint.rs",
                "fn f() { mistake(\"P001\"); mistake(\"P002\"); word(\"T1078\"); }",
            ),
            file(
                "script/more.rs",
                "#[cfg(test)]\nmod tests { const X: &str = \"P003\"; }",
            ),
        ];
        let page = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let pages = BTreeMap::from([
            page("P001.md", "# P001: fine\n"),
            page("P003.md", "# P003: used in a test only\n"),
            page("notes.md", ""),
        ]);
        let says = [
            "`P002` has no page",
            "no code in src says `P003`",
            "notes.md is not named",
        ];
        breaks(&codes(&files, &pages), &says);
        let pages = BTreeMap::from([
            page("P001.md", "# P002: another"),
            page("P002.md", "# P002: fine"),
        ]);
        breaks(
            &codes(&files, &pages),
            &["P001.md does not begin with `# P001: `"],
        );
    }

    #[test]
    fn links_are_followed_from_their_page() {
        let text =
            "[a](../STYLE.md#names) [b](https://example.com/x) [c](#here)\n```\n[d](none.md)\n```\n[e](e.md)";
        let pages = BTreeMap::from([("docs/guide/a.md".to_owned(), text.to_owned())]);
        let to: Vec<String> = links(&pages).into_iter().map(|(_, to)| to).collect();
        assert_eq!(to, ["docs/STYLE.md", "docs/guide/e.md"]);
    }
}
