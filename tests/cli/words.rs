//! Words of people at the terminal, through the API: cancel, resolve and retry, what is refused and why.

use std::time::{Duration, Instant};

use crate::tour::Newcomer;

const CONFIG: &str = r#"
[store]
url = "memory:"
[content]
playbooks = "playbooks"
"#;

const MANIFEST: &str = r#"
id = "sleep"
title = "Sleep"
kind = "response"
owner = "soc"
"#;

const SCRIPT: &str = "wait(\"8h\");\n";

const NO_RUN: &str = "run_aaaaaaaaaaaaaaaaaaaaaaaaaa";
const NO_EFFECT: &str = "effect_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A run that sleeps.
fn asleep(person: &Newcomer) -> String {
    let run = person.run("cordon run sleep").trim().to_owned();
    let begun = Instant::now();
    loop {
        let shown = person.json(&format!("cordon show {run}"));
        if shown["run"]["waits_for"]
            .as_str()
            .unwrap()
            .contains("the wait at")
        {
            return run;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn people_cancel_resolve_and_retry_and_are_told_what_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("playbooks/sleep");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(dir.path().join("cordon.toml"), CONFIG).unwrap();
    std::fs::write(folder.join("playbook.toml"), MANIFEST).unwrap();
    std::fs::write(folder.join("playbook.rhai"), SCRIPT).unwrap();
    let mut person = Newcomer::new(dir.path());
    person.serve("cordon serve --config cordon.toml");
    let refused = |person: &Newcomer, line: &str, code: i32, says: &str| {
        let output = person.output(line);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {told}");
        assert!(told.contains(says), "{line}: {told}");
        assert!(output.stdout.is_empty(), "{line}");
    };

    // What makes no sense never leaves the terminal; what is not there is said by the server.
    for (line, says) in [
        ("cordon cancel RUN --keep", "--reason"),
        ("cordon cancel RUN --reason x", "--undo"),
        (
            "cordon cancel RUN --keep --undo --reason x",
            "cannot be used with",
        ),
        ("cordon resolve EFFECT --reason x", "--happened"),
        (
            "cordon resolve EFFECT --happened --did-not --reason x",
            "cannot be used with",
        ),
        ("cordon resolve EFFECT --happened", "--reason"),
        ("cordon retry RUN", "--reason"),
    ] {
        let line = line.replace("RUN", NO_RUN).replace("EFFECT", NO_EFFECT);
        refused(&person, &line, 2, says);
    }
    for (line, says) in [
        ("cordon cancel RUN --keep --reason x", "there is no run"),
        ("cordon retry RUN --reason x", "there is no run"),
        ("cordon resolve EFFECT --happened --reason x", "no run that waits"),
        (
            "cordon resolve EFFECT --did-not --reason x --run RUN",
            "there is no run",
        ),
    ] {
        let line = line.replace("RUN", NO_RUN).replace("EFFECT", NO_EFFECT);
        refused(&person, &line, 3, says);
    }

    let run = asleep(&person);
    refused(
        &person,
        &format!("cordon retry {run} --reason x"),
        3,
        "is not parked",
    );
    let doubt = format!("cordon resolve {NO_EFFECT} --happened --reason x --run {run}");
    refused(&person, &doubt, 3, "has no effect_");
    let token = person
        .environment
        .insert("CORDON_TOKEN".to_owned(), "nobody".to_owned());
    for line in [
        format!("cordon cancel {run} --keep --reason x"),
        format!("cordon retry {run} --reason x"),
        format!("cordon resolve {NO_EFFECT} --happened --reason x --run {run}"),
    ] {
        refused(&person, &line, 3, "token");
    }
    person
        .environment
        .insert("CORDON_TOKEN".to_owned(), token.unwrap());
    let shown = person.json(&format!("cordon show {run}"));
    assert_eq!(shown["run"]["status"], "open", "none of that counted");

    let said = person.json(&format!("cordon cancel {run} --keep --reason over"));
    assert_eq!(said["run"], run.as_str(), "{said}");
    assert_eq!(said["counted"], true, "{said}");
    // Somebody else comes after that word, whether the run is over by then or not.
    let made = person.json("cordon token create ben");
    let ben = made["token"].as_str().unwrap().to_owned();
    person.environment.insert("CORDON_TOKEN".to_owned(), ben);
    let late = format!("cordon cancel {run} --undo --reason late");
    refused(&person, &late, 3, &format!("`cordon undo {run}`"));
    person.stop();
}
