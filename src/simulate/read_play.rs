//! A playbook's cases as they are written.

use std::collections::BTreeMap;

use serde_json::Value;

use super::case::{
    Behaviour, Deed, EffectExpect, Fact, HoldExpect, How, Input, Later, MessageExpect, Play, PlayExpect,
    Simulated, StateExpect,
};
use super::read::{action_name, body, moment, one_of, plain};
use super::read_call::{expect, expects_nothing};
use crate::action::Retry;
use crate::clock::duration_ms;
use crate::connector::Owns;
use crate::finding::EntityType;
use crate::guardrail::{Groups, Protected};
use crate::page::{Page, Placed, Table, listed};

const ENDS: [&str; 7] = [
    "succeeded",
    "kept",
    "rolled_back",
    "in_doubt",
    "cancelled",
    "parked",
    "open",
];
const HOWS: [&str; 9] = [
    "acted",
    "already_so",
    "observed",
    "told",
    "still_held",
    "nothing_to_restore",
    "not_done",
    "in_doubt",
    "open",
];
const VERIFIED: [&str; 7] = [
    "yes",
    "undone",
    "held_again",
    "pending",
    "not_in_force",
    "unverifiable",
    "contradicted",
];

/// One case; `None` when something is wrong with it.
pub fn play(page: &mut Page<'_>, mut table: Table<'_, '_>, files: &BTreeMap<String, String>) -> Option<Play> {
    table.text(page, "title");
    let now = moment(page, &mut table, "now");
    let until_ms = table.ms(page, "until");
    let input = input(page, &mut table, files);
    let inputs = table.map(page, "inputs");
    let by = table.text(page, "by").map(|by| by.value);
    let instances = instances(page, &mut table);
    let bind = table
        .table(page, "bind")
        .map_or(Vec::new(), |bind| bind.every_text(page));
    let groups = groups(page, &mut table);
    let protected = protected(page, &mut table);
    let facts = list(page, &mut table, "target");
    let facts = facts.into_iter().filter_map(|one| fact(page, one)).collect();
    let behaviours = list(page, &mut table, "action");
    let behaviours = behaviours
        .into_iter()
        .filter_map(|one| behaviour(page, one))
        .collect();
    let later = list(page, &mut table, "later");
    let mut later: Vec<Later> = later
        .into_iter()
        .filter_map(|one| self::later(page, one))
        .collect();
    later.sort_by_key(|one| one.after_ms);
    let expect = play_expect(page, &mut table)?;
    table.finish(page);
    Some(Play {
        now,
        until_ms,
        input: input?,
        inputs,
        by,
        instances,
        bind,
        groups,
        protected,
        facts,
        behaviours,
        later,
        expect,
    })
}

fn input(page: &mut Page<'_>, table: &mut Table<'_, '_>, files: &BTreeMap<String, String>) -> Option<Input> {
    table.choose(&["alert", "finding"]);
    let place = table.span.clone();
    let has_inputs = table.has("inputs");
    let alert = table.table(page, "alert");
    let findings = table.list_given(page, "finding");
    match (alert, findings) {
        (Some(mut alert), None) => {
            let source = alert.needed_text(page, "source");
            let weak = alert.is_set(page, "weak");
            let body = body(page, &mut alert, files);
            alert.finish(page);
            Some(Input::Alert {
                source: source?,
                body: body?,
                weak,
            })
        }
        (None, Some(findings)) if !findings.value.is_empty() => Some(Input::Findings(
            findings.value.into_iter().map(Table::into_data).collect(),
        )),
        (None, None) if has_inputs => Some(Input::Nothing),
        _ => {
            let help = "write the body of a source under `[alert]`, a finding under `[[finding]]`, or for a playbook that people start its `[inputs]`";
            page.mistake(
                "S009",
                place,
                "a case begins with an `alert`, or a `finding`, or with `inputs` alone",
                help,
            );
            None
        }
    }
}

fn list<'t, 'i>(page: &mut Page<'_>, table: &mut Table<'t, 'i>, key: &'static str) -> Vec<Table<'t, 'i>> {
    table.list(page, key)
}

/// `instances = ["okta"]`, or `[instances.NAME]` with `use` and `when`.
fn instances(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Option<Vec<Simulated>> {
    if !table.has("instances") {
        return None;
    }
    if matches!(
        table.data("instances"),
        Some(Placed {
            value: Value::Object(_),
            ..
        })
    ) {
        let tables = table.table(page, "instances")?.tables(page);
        return Some(
            tables
                .into_iter()
                .map(|(name, table)| instance(page, name, table))
                .collect(),
        );
    }
    let names = table.texts_given(page, "instances")?;
    let simulated = |name: Placed<String>| Simulated {
        connector: name.clone(),
        name,
        when: Vec::new(),
    };
    Some(names.value.into_iter().map(simulated).collect())
}

fn instance(page: &mut Page<'_>, name: Placed<String>, mut table: Table<'_, '_>) -> Simulated {
    let connector = table.text(page, "use").unwrap_or_else(|| name.clone());
    let mut when = Vec::new();
    for mut one in list(page, &mut table, "when") {
        let kinds = one.texts(page, "type");
        let kinds = kinds
            .into_iter()
            .filter_map(|word| entity_type(page, &word))
            .collect();
        let names = one.texts(page, "name");
        let attributes = one
            .table(page, "attributes")
            .map_or(Vec::new(), |table| table.every_text(page));
        one.finish(page);
        when.push(Owns {
            kinds,
            names: names.into_iter().map(|name| name.value).collect(),
            attributes: attributes
                .into_iter()
                .map(|(key, text)| (key.value, text.value))
                .collect(),
        });
    }
    table.finish(page);
    Simulated {
        name,
        connector,
        when,
    }
}

/// `[groups]`, as in `cordon.toml`.
fn groups(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Groups {
    let mut read = Groups::default();
    let Some(groups) = table.map(page, "groups") else {
        return read;
    };
    for (name, members) in groups.value {
        match serde_json::from_value(members) {
            Ok(members) => {
                read.0.insert(name, members);
            }
            Err(_) => page.mistake(
                "S004",
                groups.span.clone(),
                format!("the group `{name}` is not a list of names"),
                format!("write `{name} = [\"ana\", \"ben\"]`"),
            ),
        }
    }
    read
}

fn protected(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Vec<Protected> {
    let mut all = Vec::new();
    for mut one in list(page, table, "protected") {
        let kind = one.text(page, "type").map(|word| entity_type(page, &word));
        let name = one.needed_text(page, "name");
        let why = one.text(page, "why").map_or_else(String::new, |why| why.value);
        one.finish(page);
        let Some(name) = name else { continue };
        match Protected::new(kind.flatten(), &name.value, &why) {
            Ok(protected) => all.push(protected),
            Err(error) => page.mistake("S004", name.span, error.to_string(), "write `name = \"dc-*\"`"),
        }
    }
    all
}

fn entity_type(page: &mut Page<'_>, word: &Placed<String>) -> Option<EntityType> {
    let words = EntityType::ALL.map(EntityType::word);
    one_of(page, "type", Some(word.clone()), &words).and_then(|word| EntityType::from_word(&word.value))
}

fn fact(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<Fact> {
    let place = table.span.clone();
    let name = table.needed_text(page, "name");
    let text =
        |page: &mut Page<'_>, table: &mut Table<'_, '_>, key| table.text(page, key).map(|text| text.value);
    let ids = table.texts(page, "ambiguous");
    let fact = Fact {
        name: name?,
        instance: table.text(page, "instance"),
        facet: text(page, &mut table, "facet"),
        id: text(page, &mut table, "id"),
        state: text(page, &mut table, "state"),
        fields: plain(page, &mut table, "fields"),
        missing: table.is_set(page, "missing"),
        ambiguous: ids.into_iter().map(|id| id.value).collect(),
        unreadable: text(page, &mut table, "unreadable"),
    };
    table.finish(page);
    let says_something = fact.id.is_some()
        || fact.state.is_some()
        || !fact.fields.is_empty()
        || fact.missing
        || !fact.ambiguous.is_empty()
        || fact.unreadable.is_some();
    if !says_something {
        let help = "write `state`, `fields`, `id`, `missing`, `ambiguous` or `unreadable`";
        page.mistake(
            "S003",
            place,
            format!("nothing is said of `{}`", fact.name.value),
            help,
        );
    }
    Some(fact)
}

fn behaviour(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<Behaviour> {
    let place = table.span.clone();
    let name = table
        .needed_text(page, "name")
        .and_then(|name| action_name(page, name));
    let target = table.text(page, "target");
    let instance = table.text(page, "instance");
    let times = table.count(page, "times").map(|times| times.value);
    let how = how(page, &mut table);
    table.finish(page);
    let [(_, how)] = how.as_slice() else {
        let words = ["result", "not_done", "lost", "pending", "contradicted", "killed"];
        let help = format!("write exactly one of {}", listed(&words));
        page.mistake(
            "S003",
            place,
            "it does not say how the action goes, or says two things",
            help,
        );
        return None;
    };
    Some(Behaviour {
        name: name?,
        target,
        instance,
        times,
        how: how.clone(),
    })
}

fn how(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Vec<(&'static str, How)> {
    let mut found = Vec::new();
    if let Some(result) = table.data("result") {
        found.push(("result", How::Answers(result.value)));
    }
    let code = table.text(page, "not_done");
    let message = table.text(page, "message").map(|message| message.value);
    let retry = table.text(page, "retry");
    let place = table.place_of("message");
    match code {
        Some(code) => {
            let message = message.unwrap_or_else(|| "the vendor did not do it".to_owned());
            let retry = retry.map_or(Retry::Never, |retry| self::retry(page, &retry));
            found.push((
                "not_done",
                How::NotDone {
                    code: code.value,
                    message,
                    retry,
                },
            ));
        }
        None if message.is_some() || retry.is_some() => {
            let help = "write `not_done = \"CODE\"` too";
            page.mistake("S003", place, "`message` and `retry` belong to `not_done`", help);
        }
        None => {}
    }
    if let Some(lost) = happened(page, table, "lost", &["done", "not_done"]) {
        found.push(("lost", How::Lost { happened: lost }));
    }
    match table.data("pending") {
        Some(Placed {
            value: Value::Bool(true),
            ..
        }) => found.push(("pending", How::Pending { ms: None })),
        Some(_) => {
            let ms = table.ms(page, "pending");
            found.push(("pending", How::Pending { ms }));
        }
        None => {}
    }
    if table.is_set(page, "contradicted") {
        found.push(("contradicted", How::Contradicted));
    }
    if let Some(happened) = happened(page, table, "killed", &["after", "before"]) {
        found.push(("killed", How::Killed { happened }));
    }
    found
}

/// The first word says that it happened, the second that it did not.
fn happened(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    key: &'static str,
    words: &[&str; 2],
) -> Option<bool> {
    let text = table.text(page, key);
    one_of(page, key, text, words).map(|word| word.value == words[0])
}

fn retry(page: &mut Page<'_>, text: &Placed<String>) -> Retry {
    match (text.value.as_str(), duration_ms(&text.value)) {
        ("never", _) => Retry::Never,
        ("backoff", _) => Retry::Backoff,
        (_, Some(ms)) => Retry::AfterMs(ms),
        _ => {
            let message = format!("`{}` is no value of `retry`", text.value);
            let help = "write `never`, `backoff`, or how long the vendor asks to wait, such as `30s`";
            page.mistake("S004", text.span.clone(), message, help);
            Retry::Never
        }
    }
}

fn later(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<Later> {
    let span = table.span.clone();
    if !table.has("after") {
        table.missing(page, "after");
    }
    let after = table.duration(page, "after");
    let mut deeds = Vec::new();
    let target = table.text(page, "target");
    let instance = table.text(page, "instance");
    let facet = table.text(page, "facet").map(|facet| facet.value);
    let state = table.text(page, "state");
    match (target, state) {
        (Some(target), Some(state)) => deeds.push(Deed::Change {
            target,
            instance,
            facet,
            state: state.value,
        }),
        (None, None) => {}
        _ => page.mistake(
            "S003",
            span.clone(),
            "somebody changes a `target` to a `state`",
            "write both",
        ),
    }
    deeds.extend(table.text(page, "undo").map(|by| Deed::Undo { by: by.value }));
    deeds.extend(table.text(page, "halt").map(|by| Deed::Halt { by: by.value }));
    deeds.extend(table.text(page, "resume").map(|_| Deed::Resume));
    let ask = table.text(page, "ask").map(|ask| ask.value);
    let refused = table.text(page, "refused").map(|refused| refused.value);
    for (key, approve) in [("approve", true), ("deny", false)] {
        deeds.extend(table.text(page, key).map(|by| Deed::Vote {
            by: by.value,
            approve,
            ask: ask.clone(),
            refused: refused.clone(),
        }));
    }
    for (key, undo) in [("cancel_and_undo", true), ("cancel_and_keep", false)] {
        deeds.extend(table.text(page, key).map(|by| Deed::Cancel {
            by: by.value,
            undo,
            refused: refused.clone(),
        }));
    }
    for (key, happened) in [("happened", true), ("did_not_happen", false)] {
        deeds.extend(table.text(page, key).map(|by| Deed::Resolve {
            by: by.value,
            happened,
            refused: refused.clone(),
        }));
    }
    let is_vote = matches!(deeds.as_slice(), [Deed::Vote { .. }]);
    let is_word = matches!(deeds.as_slice(), [Deed::Cancel { .. } | Deed::Resolve { .. }]);
    if (!is_vote && ask.is_some()) || (!is_vote && !is_word && refused.is_some()) {
        let help = "leave it out, or write `approve` or `deny`";
        page.mistake(
            "S003",
            span.clone(),
            "`ask` and `refused` belong to an answer",
            help,
        );
    }
    table.finish(page);
    if deeds.len() != 1 {
        let help = "write one of `approve`, `deny`, `cancel_and_undo`, `cancel_and_keep`, `happened`, `did_not_happen`, `undo`, `halt`, `resume`, or `target` with `state`";
        page.mistake(
            "S003",
            span,
            "it does not say what happens then, or says two things",
            help,
        );
        return None;
    }
    Some(Later {
        span,
        after_ms: after?.value,
        deed: deeds.pop()?,
    })
}

fn play_expect(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Option<PlayExpect> {
    let mut table = expect(page, table)?;
    let end = table.text(page, "end");
    let mut read = PlayExpect {
        starts: table.count(page, "starts"),
        end: one_of(page, "end", end, &ENDS),
        why: table.text(page, "why"),
        error: table.text(page, "error"),
        returns: table.data("returns"),
        steps: table.texts_given(page, "steps"),
        notes: table.texts_given(page, "notes"),
        not_called: Vec::new(),
        alarms: table.texts_given(page, "alarms"),
        waits_for: table.text(page, "waits_for"),
        effects: None,
        messages: None,
        holds: None,
        states: Vec::new(),
    };
    let not_called = table.texts(page, "not_called");
    read.not_called = not_called
        .into_iter()
        .filter_map(|name| action_name(page, name))
        .collect();
    read.effects = table
        .list_given(page, "effect")
        .map(|list| placed(list, |one| effect(page, one)));
    read.messages = table
        .list_given(page, "message")
        .map(|list| placed(list, |one| Some(message(page, one))));
    read.holds = table
        .list_given(page, "hold")
        .map(|list| placed(list, |one| hold(page, one)));
    let states = list(page, &mut table, "state");
    read.states = states.into_iter().filter_map(|one| state(page, one)).collect();
    let looked_at = [
        read.starts.is_some(),
        read.end.is_some(),
        read.why.is_some(),
        read.error.is_some(),
        read.returns.is_some(),
        read.steps.is_some(),
        read.notes.is_some(),
        !read.not_called.is_empty(),
        read.alarms.is_some(),
        read.waits_for.is_some(),
        read.effects.is_some(),
        read.messages.is_some(),
        read.holds.is_some(),
        !read.states.is_empty(),
    ];
    if !looked_at.contains(&true) {
        expects_nothing(
            page,
            &table,
            "`end`, `[[expect.effect]]`, `steps` or another of its keys",
        );
    }
    table.finish(page);
    Some(read)
}

fn placed<'t, 'i, T>(
    list: Placed<Vec<Table<'t, 'i>>>,
    read: impl FnMut(Table<'t, 'i>) -> Option<T>,
) -> Placed<Vec<T>> {
    Placed {
        span: list.span,
        value: list.value.into_iter().filter_map(read).collect(),
    }
}

fn effect(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<EffectExpect> {
    let action = table
        .needed_text(page, "action")
        .and_then(|name| action_name(page, name));
    let (how, verified) = (table.text(page, "how"), table.text(page, "verified"));
    let effect = EffectExpect {
        action: action?,
        target: table.text(page, "target"),
        instance: table.text(page, "instance"),
        how: one_of(page, "how", how, &HOWS),
        verified: one_of(page, "verified", verified, &VERIFIED),
        error: table.text(page, "error"),
        args: table.map(page, "args"),
        lease_ms: table.duration(page, "lease"),
        attempts: table.count(page, "attempts"),
        undoes: table.flag(page, "undoes"),
    };
    table.finish(page);
    Some(effect)
}

fn message(page: &mut Page<'_>, mut table: Table<'_, '_>) -> MessageExpect {
    let message = MessageExpect {
        to: table.text(page, "to"),
        subject: table.text(page, "subject"),
        data: table.map(page, "data"),
    };
    table.finish(page);
    message
}

fn hold(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<HoldExpect> {
    let hold = HoldExpect {
        span: table.span.clone(),
        target: table.needed_text(page, "target")?,
        facet: table.text(page, "facet"),
        until_ms: table.duration(page, "until"),
    };
    table.finish(page);
    Some(hold)
}

fn state(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<StateExpect> {
    let state = StateExpect {
        target: table.needed_text(page, "target")?,
        instance: table.text(page, "instance"),
        facet: table.text(page, "facet").map(|facet| facet.value),
        state: table.needed_text(page, "state")?,
    };
    table.finish(page);
    Some(state)
}
