//! Journals of real runs, as an earlier program wrote them: they fold, and their scripts, run again with the answers
//! they have, do what is recorded. A change of the engine that would do something else fails here, before it parks
//! the runs of everybody who upgrades: see `ENGINE_ABI`. Every mutant of a recorded step has to be noticed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cordon::clock::Time;
use cordon::digest::{Digest, canonical};
use cordon::journal::{Entry, Event, RunState};
use cordon::playbook::Loaded;
use cordon::run::{compare, whole};
use cordon::script::Evaluators;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/journal")
}

fn read(file: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

struct Golden {
    name: String,
    loaded: Loaded,
    entries: Vec<Entry>,
}

fn goldens() -> Vec<Golden> {
    let files = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    let golden = |file: &PathBuf| {
        let golden = read(file);
        let named = |what: &str, name: &Value| {
            read(
                &folder()
                    .join(what)
                    .join(format!("{}.json", name.as_str().unwrap())),
            )
        };
        let mut bundle = named("bundles", &golden["bundle"]);
        bundle["connectors"] = named("connectors", &bundle["connectors"]);
        Golden {
            name: file.file_name().unwrap().to_string_lossy().into_owned(),
            loaded: Loaded::open(&serde_json::to_vec(&bundle).unwrap()).unwrap(),
            entries: serde_json::from_value(golden["entries"].clone()).unwrap(),
        }
    };
    files.iter().map(golden).collect()
}

fn replay(evaluators: &Evaluators, state: &RunState, loaded: &Loaded) -> Result<(), String> {
    let (reply, answer) = std::sync::mpsc::sync_channel(1);
    evaluators.evaluate(
        whole(state, loaded),
        Box::new(move |advance| drop(reply.send(advance))),
    );
    compare(state, &answer.recv().unwrap())
}

#[test]
fn golden_journals_fold_and_replay() {
    let evaluators = Evaluators::start(2).unwrap();
    let all = goldens();
    assert!(all.len() >= 20, "{} journals", all.len());
    for golden in all {
        let state = RunState::fold(&golden.entries).unwrap();
        assert!(state.settled.is_some(), "{}", golden.name);
        if let Err(why) = replay(&evaluators, &state, &golden.loaded) {
            panic!(
                "{}: {why}\nthe engine does something else than the program that wrote this journal: raise `ENGINE_ABI`, \
                 and say in the changelog that runs under way may be parked",
                golden.name
            );
        }
    }
}

fn events(golden: &Golden) -> Vec<(Time, Event)> {
    golden
        .entries
        .iter()
        .map(|entry| entry.event().unwrap())
        .collect()
}

/// Folds events whose chain nobody sealed. None where they make no sense any more, which is noticed too.
fn folded(events: &[(Time, Event)]) -> Option<RunState> {
    let (at, Event::RunStarted(header)) = &events[0] else {
        return None;
    };
    let mut state = RunState::begin((**header).clone(), *at, Digest::ZERO);
    for (at, event) in &events[1..] {
        state.apply(*at, event, Digest::ZERO).ok()?;
    }
    Some(state)
}

fn digest(name: &str, args: &[Value]) -> Digest {
    let parts: Vec<String> = std::iter::once(name.to_owned())
        .chain(args.iter().map(canonical))
        .collect();
    Digest::of_parts(&parts)
}

/// What a step of another script would have recorded in the place of this event.
fn altered(event: &Event, with: impl Fn(&mut String, &mut Vec<Value>)) -> Event {
    let mut event = event.clone();
    if let Event::StepAsked {
        name,
        args,
        digest: of,
        ..
    }
    | Event::StepTold {
        name,
        args,
        digest: of,
        ..
    } = &mut event
    {
        with(name, args);
        *of = digest(name, args);
    }
    event
}

fn is_step(event: &Event) -> bool {
    matches!(event, Event::StepAsked { .. } | Event::StepTold { .. })
}

fn step_of(event: &Event) -> Option<cordon::script::StepId> {
    match event {
        Event::StepAsked { step, .. }
        | Event::StepTold { step, .. }
        | Event::StepAnswered { step, .. }
        | Event::ChildStarted { step, .. }
        | Event::ApprovalRequested { step, .. }
        | Event::TimerSet { step, .. } => Some(step.clone()),
        Event::EffectBound(bound) => Some(bound.step.clone()),
        _ => None,
    }
}

/// Every mutant of a journal, each with what was done to it.
fn mutants(all: &[(Time, Event)]) -> Vec<(String, Vec<(Time, Event)>)> {
    let mut mutants = Vec::new();
    let steps: Vec<usize> = (0..all.len()).filter(|n| is_step(&all[*n].1)).collect();
    for (nth, &n) in steps.iter().enumerate() {
        let mut change = |what: &str, event: Event| {
            let mut other = all.to_vec();
            other[n].1 = event;
            mutants.push((format!("{what} of {:?}", step_of(&all[n].1)), other));
        };
        change(
            "rename",
            altered(&all[n].1, |name, _| name.push_str("_otherwise")),
        );
        change(
            "argument",
            altered(&all[n].1, |_, args| match args.first_mut() {
                Some(first) => *first = json!({ "other": first.clone() }),
                None => args.push(json!(1)),
            }),
        );
        change(
            "one argument more",
            altered(&all[n].1, |_, args| args.push(json!(null))),
        );
        // The step, and everything that came of it.
        let gone = step_of(&all[n].1);
        let effects: Vec<_> = all
            .iter()
            .filter_map(|(_, event)| match event {
                Event::EffectBound(bound) if Some(&bound.step) == gone.as_ref() => Some(json!(bound.effect)),
                _ => None,
            })
            .collect();
        let is_of = |event: &Event| {
            let text = serde_json::to_value(event).unwrap();
            let inner = text
                .as_object()
                .and_then(|map| map.values().next())
                .cloned()
                .unwrap_or_default();
            step_of(event) == gone || effects.contains(&inner["effect"])
        };
        let rest = all.iter().filter(|(_, event)| !is_of(event)).cloned().collect();
        mutants.push((format!("drop of {gone:?}"), rest));
        if let Some(&m) = steps.get(nth + 1) {
            let (one, other) = (all[n].1.clone(), all[m].1.clone());
            let same_kind = std::mem::discriminant(&one) == std::mem::discriminant(&other);
            if let (true, Some((a, b))) = (same_kind, words(&one).zip(words(&other)))
                && a != b
            {
                let mut swapped = all.to_vec();
                swapped[n].1 = altered(&one, |name, args| (*name, *args) = b.clone());
                swapped[m].1 = altered(&other, |name, args| (*name, *args) = a.clone());
                mutants.push((format!("swap of {gone:?}"), swapped));
            }
        }
    }
    mutants
}

fn words(event: &Event) -> Option<(String, Vec<Value>)> {
    match event {
        Event::StepAsked { name, args, .. } | Event::StepTold { name, args, .. } => {
            Some((name.clone(), args.clone()))
        }
        _ => None,
    }
}

#[test]
fn every_mutant_of_a_recorded_step_is_noticed() {
    let evaluators = Arc::new(Evaluators::start(2).unwrap());
    let (mut made, mut missed) = (0, Vec::new());
    for golden in goldens() {
        for (what, events) in mutants(&events(&golden)) {
            made += 1;
            let noticed =
                folded(&events).is_none_or(|state| replay(&evaluators, &state, &golden.loaded).is_err());
            if !noticed {
                missed.push(format!("{}: {what}", golden.name));
            }
        }
    }
    println!("{made} mutants, {} noticed", made - missed.len());
    assert!(made >= 200, "{made} mutants");
    assert!(missed.is_empty(), "not noticed:\n{}", missed.join("\n"));
}

#[test]
fn a_later_program_may_add_fields_and_an_unknown_event_is_said_to_be_one() {
    let golden = goldens().remove(0);
    let entry = &golden.entries[0];
    let mut payload: Value = serde_json::from_str(&entry.payload).unwrap();
    payload["event"]["run_started"]["of_a_later_version"] = json!({ "x": 1 });
    for old in ["weak_source", "author"] {
        payload["event"]["run_started"]
            .as_object_mut()
            .unwrap()
            .remove(old);
    }
    let newer = Entry {
        payload: payload.to_string(),
        ..entry.clone()
    };
    let (_, event) = newer.event().unwrap();
    assert!(matches!(event, Event::RunStarted(header) if header.author == "cordon" && !header.weak_source));
    let unknown = Entry {
        kind: "run_teleported".into(),
        payload: json!({ "at": payload["at"], "event": { "run_teleported": {} } }).to_string(),
        ..entry.clone()
    };
    let why = unknown.event().unwrap_err().to_string();
    assert!(
        why.contains("run_teleported") && why.contains("newer version"),
        "{why}"
    );
}
