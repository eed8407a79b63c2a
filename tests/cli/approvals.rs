//! A person asked at the terminal: looking, answering, and what is refused, against a server of its own.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tour::Newcomer;

const CONFIG: &str = r#"
[store]
url = "memory:"
[content]
playbooks = "playbooks"
author = "zoe"
[groups]
leads = ["ana", "ben", "zoe"]
"#;

const MANIFEST: &str = r#"
id = "ask"
title = "Ask before going on"
kind = "response"
owner = "soc"
"#;

const SCRIPT: &str = r#"
let answer = approve(#{ ask: "Go on?", by: "leads", within: "1h" });
if !answer.granted { throw error("denied", answer.why); }
"#;

/// What is open, once it is one.
fn open(person: &Newcomer) -> Value {
    let begun = Instant::now();
    loop {
        let listed = person.json("cordon approvals");
        if let [one] = listed["approvals"].as_array().unwrap().as_slice() {
            return one.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{listed}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_person_answers_at_the_terminal_what_is_theirs_to_decide() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("playbooks/ask");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(dir.path().join("cordon.toml"), CONFIG).unwrap();
    std::fs::write(folder.join("playbook.toml"), MANIFEST).unwrap();
    std::fs::write(folder.join("playbook.rhai"), SCRIPT).unwrap();
    let mut person = Newcomer::new(dir.path());
    person.serve("cordon serve --config cordon.toml");
    let admin = person.environment["CORDON_TOKEN"].clone();
    let mut tokens = std::collections::BTreeMap::from([("admin", admin)]);
    for name in ["ana", "ben", "zoe"] {
        let made = person.json(&format!("cordon token create {name}"));
        tokens.insert(name, made["token"].as_str().unwrap().to_owned());
    }
    let be = |person: &mut Newcomer, name: &str| {
        person
            .environment
            .insert("CORDON_TOKEN".to_owned(), tokens[name].clone());
    };
    let refused = |person: &Newcomer, line: &str, says: &str| {
        let output = person.output(line);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{line}: {told}");
        assert!(told.contains(says), "{line}: {told}");
    };

    be(&mut person, "ana");
    let run = person.run("cordon run ask").trim().to_owned();
    let asked = open(&person);
    let id = asked["id"].as_str().unwrap().to_owned();
    let table = person.run("cordon approvals");
    assert!(table.contains("Go on?") && table.contains("(ben)"), "{table}");
    let whole = person.run(&format!("cordon approvals {id}"));
    assert!(whole.contains("a question: it allows no effect"), "{whole}");
    refused(&person, &format!("cordon approve {id}"), "ana asked for this run");
    be(&mut person, "zoe");
    refused(
        &person,
        &format!("cordon approve {id}"),
        "zoe published this playbook",
    );
    be(&mut person, "admin");
    refused(
        &person,
        &format!("cordon deny {id} --reason no"),
        "not among those",
    );
    be(&mut person, "ben");
    let stale = format!("cordon approve {id} --digest {}", "0".repeat(64));
    refused(&person, &stale, "not what was seen");
    let said = person.run(&format!("cordon approve {id} --reason seen"));
    assert!(said.contains("granted: approved by ben"), "{said}");
    refused(
        &person,
        &format!("cordon deny {id} --reason late"),
        "approved by ben",
    );
    refused(
        &person,
        "cordon approve approval_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "there is no approval_",
    );

    let shown = person.run(&format!("cordon show {run}"));
    for says in ["\"Go on?\"", "ben approves: seen", "GRANTED, approved by ben"] {
        assert!(shown.contains(says), "{says} is not in\n{shown}");
    }
    let all = person.json("cordon approvals --all");
    assert_eq!(all["approvals"][0]["open"], false, "{all}");
    person.stop();
}
