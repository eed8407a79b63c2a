//! Playbooks and sources that mean harm or were written in a hurry: each ends, and the server does its work
//! afterwards as before.

use std::path::Path;
use std::time::Instant;

use cordon::range::Status;
use serde_json::json;

use crate::estate::{CONTAIN, Setup, finding, range};
use crate::house::House;

/// Name and text of each script of `tests/data/hostile`.
fn scripts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hostile");
    let mut scripts: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    scripts.sort();
    scripts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_playbook_ends_and_ordinary_runs_go_on() {
    const ORDINARY: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let scripts = scripts();
    assert!(scripts.len() >= 40);
    let mut setup = Setup::new(CONTAIN).playbook("ordinary", "note(\"fine\"); 1 + 1");
    for (name, text) in &scripts {
        setup = setup.playbook(name, text);
    }
    let house = House::open(dir.path(), range(&["web-07"]).await, setup).await;
    let way = &house.way;
    let begun = Instant::now();
    let mut runs = Vec::new();
    for (name, _) in &scripts {
        let started = way
            .post("/api/runs", json!({ "playbook": name, "reason": "a test" }))
            .await;
        assert_eq!(started.status, 200, "{}", started.text);
        runs.push((name, started.body["run"].as_str().unwrap().to_owned()));
    }
    for (name, run) in &runs {
        let row = way.over(run).await;
        eprintln!(
            "{:>6} ms {name}: {} {}",
            begun.elapsed().as_millis(),
            row["status"],
            row["end"]
        );
        let state = house
            .estate
            .node
            .handle
            .state(run.parse().unwrap())
            .await
            .unwrap();
        let why = match (&state.settled, &state.parked) {
            (Some((_, _, why)), _) => why.clone(),
            (None, Some(why)) => why.clone(),
            (None, None) => panic!("{name} is neither settled nor parked"),
        };
        assert!(!why.trim().is_empty(), "{name} says how it ended");
    }
    assert_eq!(way.get("/healthz").await.status, 200);
    assert_eq!(way.get("/readyz").await.status, 200);
    // Every evaluation thread is there still: an alert is contained, and many runs at once go through.
    way.signed("msg_1", finding("f-1", &["web-07"]).to_string().as_bytes())
        .await
        .alert();
    for _ in 0..ORDINARY {
        let started = way
            .post("/api/runs", json!({ "playbook": "ordinary", "reason": "a test" }))
            .await;
        assert_eq!(started.status, 200, "{}", started.text);
    }
    let all = way.all_over(scripts.len() + 1 + ORDINARY).await;
    let well = |playbook: &str| {
        all.iter()
            .filter(|run| run["playbook"] == playbook && run["end"] == "succeeded")
            .count()
    };
    assert_eq!((well("ordinary"), well("malware-on-host")), (ORDINARY, 1));
    assert_eq!(
        house.estate.range.host("web-07").unwrap().status,
        Status::Contained
    );
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_never_ends_makes_its_alerts_unreadable_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    // Few operations that take long, so that the clock ends it and not the count.
    let slow = "let text = \"a\"; text.pad(60000, \"é\"); loop { text.to_upper(); }";
    let function = |body: &str| format!("fn normalise(raw, headers) {{ {body} }}");
    let sources = [
        ("endless", function("loop { }")),
        ("doubling", function("let s = \"xx\"; loop { s += s; }")),
        ("recursive", function("normalise(raw, headers)")),
        ("slow", function(slow)),
        ("asking", function("note(\"hello\"); []")),
        ("odd", function("42")),
        ("throwing", function("throw raw")),
        ("unwritten", "fn other() { 1 }".to_owned()),
        ("torn", "fn normalise(raw, headers) { [".to_owned()),
    ];
    let mut setup = Setup::new(CONTAIN);
    for (name, script) in &sources {
        setup = setup.source(name, script);
    }
    let house = House::open(dir.path(), range(&["web-07"]).await, setup).await;
    let way = &house.way;
    let mut kept = Vec::new();
    for (name, _) in &sources {
        for n in 0..2 {
            kept.push((
                name,
                way.fixed(name, format!("{{\"n\":{n}}}").as_bytes()).await.alert(),
            ));
        }
    }
    let good = way
        .signed("msg_1", finding("f-1", &["web-07"]).to_string().as_bytes())
        .await
        .alert();
    assert_eq!(way.disposition(&good).await, "split");
    assert_eq!(way.all_over(1).await[0]["end"], "succeeded");
    for (name, alert) in &kept {
        assert_eq!(way.disposition(alert).await, "unreadable", "{name}");
        let whole = way.get(&format!("/api/alerts/{alert}")).await.body;
        let why = whole["events"][1]["event"]["alert_unreadable"]["why"]
            .as_str()
            .unwrap();
        assert!(why.contains(**name), "{name}: it says whose script it was: {why}");
        assert!(
            **name != "slow" || why.contains("ms on it"),
            "ended by the clock: {why}"
        );
    }
    way.balanced(kept.len() + 1).await;
    house.stop().await;
}
