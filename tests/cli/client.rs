//! Commands that talk to a server, against a listener that answers what a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::{cordon, data, transcript};

/// Answers one request for each pair of status and body; gives the requests back.
fn server(answers: Vec<(u16, &'static str)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                assert!(reader.read_line(&mut request).unwrap() > 0);
            }
            let length = request
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0_usize);
            let mut content = vec![0; length];
            reader.read_exact(&mut content).unwrap();
            seen.push(format!("{request}{}", String::from_utf8(content).unwrap()));
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
        seen
    });
    (url, serving)
}

const RUN: &str = "run_aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn row(status: &str, end: &str) -> String {
    format!(
        r#"{{"run":{{"id":"{RUN}","playbook":"p","title":"P","subject":"host web-07","cause":"by hand","severity_id":4,
        "status":"{status}","end":{end},"started_at":0,"updated_at":0,"waits_for":"","wake_at":null,"epoch":1,
        "worker":null,"len":1,"last":"{}"}},"events":[],"digest_ok":true}}"#,
        "0".repeat(64)
    )
}

#[test]
fn a_server_that_is_not_there_is_said_plainly() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let output = cordon(dir.path(), &["runs", "--url", &url]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(
        told,
        format!("error: `{url}` cannot be reached\n  help: is `cordon serve` running at {url}?\n")
    );
}

#[test]
fn a_refusal_is_repeated_with_its_help_and_exit_3() {
    let dir = tempfile::tempdir().unwrap();
    let refusal =
        r#"{"error":{"code":"not-found","message":"there is no run of that id","help":"see `cordon runs`"}}"#;
    let (url, serving) = server(vec![(404, refusal), (401, "{}")]);
    let told = transcript(dir.path(), &["show", RUN, "--url", &url]);
    assert!(
        told.contains("error: there is no run of that id (not-found)\n  help: see `cordon runs`"),
        "{told}"
    );
    assert!(told.ends_with("exit 3"), "{told}");
    let told = transcript(dir.path(), &["contained", "--url", &url]);
    assert!(
        told.contains("cordon token create NAME") && told.ends_with("exit 3"),
        "{told}"
    );
    serving.join().unwrap();
}

#[test]
fn act_sends_what_was_said_with_the_token() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "t-1\n").unwrap();
    let (url, serving) = server(vec![(202, r#"{"run":"run_aaaaaaaaaaaaaaaaaaaaaaaaaa"}"#)]);
    let output = cordon(
        dir.path(),
        &[
            "act",
            "endpoint::isolate",
            "--target",
            "host:web-07",
            "--lease",
            "4h",
            "--option",
            "deep=true",
            "--reason",
            "INC-1",
            "--url",
            &url,
            "--token-file",
            "token",
        ],
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{RUN}\n"));
    let seen = serving.join().unwrap().remove(0);
    assert!(seen.starts_with("POST /api/act HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("authorization: Bearer t-1\r\n"), "{seen}");
    let (_, body) = seen.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "action": "endpoint::isolate",
            "target": { "type": "host", "name": "web-07" },
            "options": { "deep": true, "lease": "4h" },
            "reason": "INC-1",
        })
    );
}

#[test]
fn wait_ends_well_only_when_the_run_succeeded() {
    let dir = tempfile::tempdir().unwrap();
    let started = r#"{"run":"run_aaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    for (end, code) in [(r#""succeeded""#, 0), (r#""kept""#, 1), (r#""in_doubt""#, 1)] {
        let open: &'static str = row("open", "null").leak();
        let over: &'static str = row("settled", end).leak();
        let (url, serving) = server(vec![(202, started), (200, open), (200, over)]);
        let output = cordon(
            dir.path(),
            &["undo", RUN, "--reason", "x", "--wait", "--url", &url],
        );
        assert_eq!(
            output.status.code(),
            Some(code),
            "{end} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(serving.join().unwrap().len(), 3);
    }
    let parked: &'static str = row("parked", "null").leak();
    let (url, serving) = server(vec![(202, started), (200, parked)]);
    let output = cordon(
        dir.path(),
        &["undo", RUN, "--reason", "x", "--wait", "--url", &url],
    );
    assert_eq!(output.status.code(), Some(1));
    serving.join().unwrap();
}

#[test]
fn send_signs_and_prints_the_alert() {
    let dir = tempfile::tempdir().unwrap();
    assert!(cordon(dir.path(), &["init"]).status.success());
    let (url, serving) = server(vec![(202, r#"{"alert":"al_1"}"#), (202, r#"{"alert":"al_2"}"#)]);
    let file = data().join("alerts/cordon/finding.json");
    let told = cordon(
        dir.path(),
        &[
            "send",
            "example",
            file.to_str().unwrap(),
            "--url",
            &url,
            "--times",
            "2",
        ],
    );
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "al_1\nal_2\n");
    let seen = serving.join().unwrap();
    let header = |request: &str, name: &str| {
        let line = request.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    assert!(seen[0].starts_with("POST /hooks/example HTTP/1.1\r\n"));
    assert!(header(&seen[0], "webhook-signature").starts_with("v1,"));
    assert_ne!(header(&seen[0], "webhook-id"), header(&seen[1], "webhook-id"));
}

#[test]
fn contained_shows_what_is_held_and_until_when() {
    let dir = tempfile::tempdir().unwrap();
    let held = r#"{"contained":[{"key":"crowdstrike/host/aid-1","label":"host web-07 (aid-1)",
        "target":{"instance":"crowdstrike","kind":"host","id":"aid-1","name":"web-07","aliases":[]},
        "facet":"network","prior":"normal","restores":true,"until":14400000,"verified":"yes","overdue":false,
        "holders":[{"effect":"effect_aaaaaaaaaaaaaaaaaaaaaaaaaa","run":"run_aaaaaaaaaaaaaaaaaaaaaaaaaa","since":0,
        "until":14400000,"left_ms":1,"overdue":false,"tries":0,"ending":false,"verified":"yes"}]}]}"#;
    let (url, serving) = server(vec![(200, held), (200, r#"{"contained":[]}"#)]);
    let told = cordon(dir.path(), &["contained", "--url", &url]);
    let text = String::from_utf8(told.stdout).unwrap();
    let row = text.lines().nth(1).unwrap();
    assert!(
        row.starts_with("host web-07 (aid-1)  network  crowdstrike  1970-01-01T00:00:00.000Z"),
        "{text}"
    );
    assert!(
        row.contains("1970-01-01T04:00:00.000Z  yes") && row.ends_with(RUN),
        "{text}"
    );
    let told = transcript(dir.path(), &["contained", "--url", &url]);
    assert!(told.contains("nothing is contained"), "{told}");
    serving.join().unwrap();
}

#[test]
fn a_journal_that_does_not_verify_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let good: &'static str = row("settled", r#""succeeded""#).leak();
    let bad: &'static str = good.replace(r#""digest_ok":true"#, r#""digest_ok":false"#).leak();
    let (url, serving) = server(vec![(200, good), (200, bad)]);
    assert_eq!(
        cordon(dir.path(), &["show", RUN, "--url", &url]).status.code(),
        Some(0)
    );
    let told = transcript(dir.path(), &["show", RUN, "--url", &url]);
    assert!(
        told.contains("does not verify") && told.ends_with("exit 1"),
        "{told}"
    );
    serving.join().unwrap();
}

#[test]
fn halt_says_who_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let halted = r#"{"halted":{"by":"anna","at":0,"reason":"wrong subnet"}}"#;
    let (url, serving) = server(vec![(200, halted), (200, r#"{"halted":null}"#)]);
    let told = transcript(dir.path(), &["halt", "--reason", "wrong subnet", "--url", &url]);
    assert!(told.contains("halted by anna: wrong subnet"), "{told}");
    assert!(transcript(dir.path(), &["halt", "--show", "--url", &url]).contains("not halted"));
    assert!(serving.join().unwrap()[0].ends_with(r#"{"reason":"wrong subnet"}"#));
}
