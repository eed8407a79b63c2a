//! `[notify]`: who is told of what, and how they are reached. Reads and judges it from the file alone; whether an
//! instance can send messages is judged when the connectors are known.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::read::is_name;
use crate::clock::{duration_ms, duration_text};
use crate::diagnostic::nearest;
use crate::finding::SeverityId;
use crate::limits::{NOTIFY_WINDOW_MS, NOTIFY_WINDOW_MS_MAX};
use crate::notify::{About, GroupBy, Override, Rota, Route, Whom};
use crate::page::{Page, Placed, Table, listed};

/// A day, ms.
const DAY_MS: u64 = 24 * 3_600_000;

/// An address at an instance.
#[derive(Clone, Debug)]
pub(super) struct WayDraft {
    pub(super) instance: Placed<String>,
    pub(super) to: String,
}

/// `[notify]` as written; names in it are those of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct NotifyDraft {
    /// True when the file has `[notify]`.
    pub(super) is_given: bool,
    pub(super) channels: BTreeMap<String, WayDraft>,
    pub(super) people: BTreeMap<String, Vec<WayDraft>>,
    pub(super) teams: BTreeMap<String, Vec<Whom>>,
    pub(super) rotas: BTreeMap<String, Rota>,
    pub(super) first_rota: Option<String>,
    pub(super) routes: Vec<Route>,
    pub(super) all_routes: bool,
    pub(super) default: Vec<Whom>,
    pub(super) fallback: Option<String>,
    pub(super) window_ms: u64,
    pub(super) group_by: GroupBy,
}

/// Names that were used, to be held against those there are when all are known.
#[derive(Default)]
struct Uses {
    whom: Vec<Placed<Whom>>,
    people: Vec<Placed<String>>,
    channels: Vec<Placed<String>>,
    teams: Vec<Placed<String>>,
}

pub(super) fn read(page: &mut Page<'_>, mut table: Table<'_, '_>) -> NotifyDraft {
    let mut draft = NotifyDraft {
        is_given: true,
        window_ms: window(page, &mut table),
        all_routes: one_of(page, &mut table, "match", &["first", "all"]) == Some(1),
        group_by: match one_of(page, &mut table, "group_by", &["playbook", "subject"]) {
            Some(1) => GroupBy::Subject,
            _ => GroupBy::Playbook,
        },
        ..NotifyDraft::default()
    };
    let mut uses = Uses::default();
    for (name, channel) in table.named(page, "channels") {
        named(page, &name, "channel");
        if let Some(way) = channel_way(page, channel) {
            draft.channels.insert(name.value, way);
        }
    }
    for (name, person) in table.named(page, "people") {
        named(page, &name, "person");
        let ways = person_ways(page, &name, person);
        draft.people.insert(name.value, ways);
    }
    for (name, mut team) in table.named(page, "teams") {
        named(page, &name, "team");
        let to = whom(page, &mut team, "to", &mut uses);
        if to.is_empty() {
            team.missing(page, "to");
        }
        team.finish(page);
        draft.teams.insert(name.value, to);
    }
    for (name, rota) in table.named(page, "oncall") {
        named(page, &name, "rota");
        draft.first_rota.get_or_insert(name.value.clone());
        if let Some(rota) = read_rota(page, rota, &mut uses) {
            draft.rotas.insert(name.value, rota);
        }
    }
    for route in table.list(page, "routes") {
        if let Some(route) = read_route(page, route, &mut uses) {
            draft.routes.push(route);
        }
    }
    draft.default = whom(page, &mut table, "default", &mut uses);
    if let Some(fallback) = table.text(page, "fallback") {
        uses.channels.push(fallback.clone());
        draft.fallback = Some(fallback.value);
    }
    table.finish(page);
    known(page, &draft, &uses);
    draft
}

fn window(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> u64 {
    let Some(text) = table.text(page, "window") else {
        return NOTIFY_WINDOW_MS;
    };
    match duration_ms(&text.value) {
        Some(ms) if ms <= NOTIFY_WINDOW_MS_MAX => ms,
        _ => {
            page.mistake(
                "K004",
                text.span,
                format!("`{}` is not a time in which repeats can be collected", text.value),
                format!(
                    "write up to `{}`, such as `5m`; `0s` tells every message by itself",
                    duration_text(NOTIFY_WINDOW_MS_MAX)
                ),
            );
            NOTIFY_WINDOW_MS
        }
    }
}

/// The place of a word among those a key may have.
fn one_of(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    key: &'static str,
    words: &[&str],
) -> Option<usize> {
    let text = table.text(page, key)?;
    let found = words.iter().position(|word| *word == text.value);
    if found.is_none() {
        page.mistake(
            "K004",
            text.span,
            format!("`{key}` cannot be `{}`", text.value),
            format!("it is one of {}", listed(words)),
        );
    }
    found
}

fn named(page: &mut Page<'_>, name: &Placed<String>, what: &str) {
    if !is_name(&name.value) {
        page.mistake(
            "K004",
            name.span.clone(),
            format!("`{}` cannot name a {what}", name.value),
            "use lower-case letters, digits, `-` and `_`, beginning with a letter",
        );
    }
}

fn channel_way(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<WayDraft> {
    let instance = table.needed_text(page, "use");
    let to = table.needed_text(page, "to");
    table.finish(page);
    let to = to.and_then(|to| address(page, to))?;
    Some(WayDraft {
        instance: instance?,
        to,
    })
}

/// An address without control characters, which no channel has and which could end a header.
fn address(page: &mut Page<'_>, text: Placed<String>) -> Option<String> {
    if text.value.chars().any(char::is_control) || text.value.trim().is_empty() {
        page.mistake(
            "K004",
            text.span,
            "an address is blank or has control characters",
            "write the address alone, such as `soc@example.com` or `#soc`",
        );
        return None;
    }
    Some(text.value)
}

/// A person's address at each instance, in the order of `prefer`, and then of the file.
fn person_ways(page: &mut Page<'_>, name: &Placed<String>, mut table: Table<'_, '_>) -> Vec<WayDraft> {
    let prefer = table.texts(page, "prefer");
    let mut ways: Vec<WayDraft> = Vec::new();
    for (key, value) in table.inner().iter() {
        if key.get_ref() == "prefer" {
            continue;
        }
        let instance = Placed {
            value: key.get_ref().to_string(),
            span: key.span(),
        };
        match value.get_ref().as_str() {
            Some(text) => {
                let text = Placed {
                    value: text.to_owned(),
                    span: value.span(),
                };
                ways.extend(address(page, text).map(|to| WayDraft { instance, to }));
            }
            None => page.mistake(
                "K004",
                value.span(),
                format!(
                    "the address of `{}` at `{}` is not a text",
                    name.value, instance.value
                ),
                "write the address in quotes",
            ),
        }
    }
    if ways.is_empty() {
        page.mistake(
            "K023",
            name.span.clone(),
            format!("`{}` cannot be reached", name.value),
            "add an address at one or more connector instances, such as `email = \"ana@example.com\"`",
        );
    }
    for one in prefer.iter().filter(|_| !ways.is_empty()) {
        if !ways.iter().any(|way| way.instance.value == one.value) {
            let there: Vec<&str> = ways.iter().map(|way| way.instance.value.as_str()).collect();
            page.mistake(
                "K023",
                one.span.clone(),
                format!("`{}` has no address at `{}`", name.value, one.value),
                format!("name what is there: {}", listed(&there)),
            );
        }
    }
    let place = |way: &WayDraft| prefer.iter().position(|one| one.value == way.instance.value);
    ways.sort_by_key(|way| place(way).unwrap_or(usize::MAX));
    ways
}

fn whom(page: &mut Page<'_>, table: &mut Table<'_, '_>, key: &'static str, uses: &mut Uses) -> Vec<Whom> {
    let mut list = Vec::new();
    for text in table.texts(page, key) {
        match text.value.parse::<Whom>() {
            Ok(whom) => {
                uses.whom.push(Placed {
                    value: whom.clone(),
                    span: text.span,
                });
                list.push(whom);
            }
            Err(why) => page.mistake(
                "K020",
                text.span,
                why.to_string(),
                "say what it is before the name, such as `channel:soc`",
            ),
        }
    }
    list
}

fn read_rota(page: &mut Page<'_>, mut table: Table<'_, '_>, uses: &mut Uses) -> Option<Rota> {
    let zone = match table.text(page, "zone") {
        None => Some(TimeZone::UTC),
        Some(text) => {
            let zone = TimeZone::get(&text.value).ok();
            if zone.is_none() {
                page.mistake(
                    "K022",
                    text.span,
                    format!("there is no time zone `{}`", text.value),
                    "write its name in the IANA database, such as `Europe/Berlin`",
                );
            }
            zone
        }
    };
    let people = table.texts(page, "people");
    if people.is_empty() {
        page.mistake(
            "K022",
            table.span.clone(),
            "a rota has nobody in it",
            "add `people = [\"ana\", \"ben\"]`, in the order of their turns",
        );
    }
    let begins = local(page, &mut table, "begins", true);
    let every_days = match table.text(page, "every") {
        None => Some(7),
        Some(text) => {
            let days = duration_ms(&text.value)
                .filter(|ms| *ms >= DAY_MS && ms.is_multiple_of(DAY_MS))
                .and_then(|ms| u32::try_from(ms / DAY_MS).ok())
                .filter(|days| *days <= 366);
            if days.is_none() {
                page.mistake(
                    "K022",
                    text.span,
                    format!("a turn cannot last `{}`", text.value),
                    "write whole days, from `1d` to `366d`; a week is `7d`",
                );
            }
            days
        }
    };
    let mut overrides = Vec::new();
    for mut one in table.list(page, "overrides") {
        let person = one.needed_text(page, "person");
        let from = local(page, &mut one, "from", true);
        let until = local(page, &mut one, "until", true);
        let span = one.span.clone();
        one.finish(page);
        let (Some(person), Some(from), Some(until)) = (person, from, until) else {
            continue;
        };
        if until <= from {
            page.mistake(
                "K022",
                span,
                "an override ends before it begins",
                "`from` is the first moment, `until` the one after the last",
            );
        }
        uses.people.push(person.clone());
        overrides.push(Override {
            person: person.value,
            from,
            until,
        });
    }
    table.finish(page);
    uses.people.extend(people.iter().cloned());
    Some(Rota {
        zone: zone?,
        people: people.into_iter().map(|one| one.value).collect(),
        begins: begins?,
        every_days: every_days?,
        overrides,
    })
}

/// A local date and time, as a text or as TOML has it.
fn local(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    key: &'static str,
    needed: bool,
) -> Option<DateTime> {
    let Some((_, value, span)) = table.take(key) else {
        if needed {
            table.missing(page, key);
        }
        return None;
    };
    let text = match (value.as_str(), value.as_datetime()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(moment)) => moment.to_string(),
        (None, None) => String::new(),
    };
    // A zone or an offset would be passed over in silence otherwise.
    let plain = !text.contains(['Z', 'z', '+', '[']);
    let parsed = text.parse::<DateTime>().ok().filter(|_| plain);
    if parsed.is_none() {
        page.mistake(
            "K022",
            span,
            format!("`{key}` is not a local date and time"),
            "write it without a zone, such as `\"2026-01-05T09:00\"`; the rota's `zone` says where",
        );
    }
    parsed
}

fn read_route(page: &mut Page<'_>, mut table: Table<'_, '_>, uses: &mut Uses) -> Option<Route> {
    let severity = table.text(page, "severity").map(|text| severity(page, text));
    let team = table.text(page, "team");
    let playbooks = table.texts(page, "playbook");
    let about: Vec<Option<About>> = table
        .texts(page, "about")
        .into_iter()
        .map(|text| about(page, text))
        .collect();
    let to = whom(page, &mut table, "to", uses);
    let span = table.span.clone();
    table.finish(page);
    if to.is_empty() {
        page.mistake(
            "K024",
            span,
            "a route leads to nobody",
            "add `to = [\"channel:NAME\"]`; to keep something quiet on purpose write `to = [\"log\"]`",
        );
        return None;
    }
    uses.teams.extend(team.iter().cloned());
    // A condition that was misread would send to the wrong people, so nothing is made of it.
    Some(Route {
        severity: match severity {
            Some(found) => Some(found?),
            None => None,
        },
        team: team.map(|team| team.value),
        playbooks: playbooks.into_iter().map(|one| one.value).collect(),
        about: about.into_iter().collect::<Option<Vec<_>>>()?,
        to,
    })
}

fn severity(page: &mut Page<'_>, text: Placed<String>) -> Option<SeverityId> {
    let words = ["informational", "low", "medium", "high", "critical", "fatal"];
    if words.contains(&text.value.as_str()) {
        return Some(SeverityId::from_word(&text.value));
    }
    let help = match nearest(&text.value, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "it is one of {}; a route takes what is at least so severe",
            listed(&words)
        ),
    };
    page.mistake(
        "K024",
        text.span,
        format!("`{}` is no severity", text.value),
        help,
    );
    None
}

fn about(page: &mut Page<'_>, text: Placed<String>) -> Option<About> {
    let found = About::ALL.into_iter().find(|about| about.word() == text.value);
    if found.is_none() {
        page.mistake(
            "K024",
            text.span,
            format!("no message is about `{}`", text.value),
            format!("it is one of {}", listed(&About::ALL.map(About::word))),
        );
    }
    found
}

/// Holds every name that was used against those there are.
fn known(page: &mut Page<'_>, draft: &NotifyDraft, uses: &Uses) {
    let channels: BTreeSet<&str> = draft.channels.keys().map(String::as_str).collect();
    let people: BTreeSet<&str> = draft.people.keys().map(String::as_str).collect();
    let teams: BTreeSet<&str> = draft.teams.keys().map(String::as_str).collect();
    let rotas: BTreeSet<&str> = draft.rotas.keys().map(String::as_str).collect();
    let mut check = |name: &str, span: &Range<usize>, what: &str, table: &str, there: &BTreeSet<&str>| {
        if there.contains(name) {
            return;
        }
        let help = match nearest(name, there.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `[notify.{table}.{name}]`"),
        };
        page.mistake("K020", span.clone(), format!("there is no {what} `{name}`"), help);
    };
    for one in &uses.channels {
        check(&one.value, &one.span, "channel", "channels", &channels);
    }
    for one in &uses.people {
        check(&one.value, &one.span, "person", "people", &people);
    }
    for one in &uses.teams {
        // A group that decides approvals is routed as the team of its name.
        check(&one.value, &one.span, "team", "teams", &teams);
    }
    let mut rota_wanted = None;
    for one in &uses.whom {
        match &one.value {
            Whom::Channel(name) => check(name, &one.span, "channel", "channels", &channels),
            Whom::Person(name) => check(name, &one.span, "person", "people", &people),
            Whom::Team(name) => check(name, &one.span, "team", "teams", &teams),
            Whom::Oncall(Some(name)) => check(name, &one.span, "rota", "oncall", &rotas),
            Whom::Oncall(None) => rota_wanted = Some(one.span.clone()),
            Whom::Log => {}
        }
    }
    if let Some(span) = rota_wanted.filter(|_| draft.first_rota.is_none()) {
        page.mistake(
            "K020",
            span,
            "nobody is on call: there is no rota",
            "add `[notify.oncall.NAME]` with `people` and `begins`",
        );
    }
}
