//! Transcripts of the program: what is typed, what comes out, with which exit code. Offline commands only; the
//! program itself is run, as a person would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod approvals;
mod client;
mod demo;
mod permissions;
mod testing;
mod tour;
mod words;

/// Runs `cordon` in `dir` with an environment of its own.
fn cordon(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cordon"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

/// The transcript of one command.
fn transcript(dir: &Path, args: &[&str]) -> String {
    let output = cordon(dir, args);
    let code = output.status.code().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let mut text = format!("$ cordon {}\n{stdout}", args.join(" "));
    if !stderr.is_empty() {
        text.push_str(&format!("--- stderr\n{stderr}"));
    }
    text.push_str(&format!("--- exit {code}"));
    text
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn init_writes_a_folder_that_checks_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let first = transcript(dir.path(), &["init"]);
    let secret = std::fs::read_to_string(dir.path().join("secrets/example-webhook")).unwrap();
    std::fs::write(dir.path().join(".gitignore"), "mine\n").unwrap();
    let again = transcript(dir.path(), &["init"]);
    let check = cordon(dir.path(), &["check"]);
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join(".gitignore")).unwrap(),
        "mine\n"
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("secrets/example-webhook")).unwrap(),
        secret
    );
    assert!(secret.starts_with("whsec_"));
    insta::assert_snapshot!(format!("{first}\n{again}"));
}

#[cfg(unix)]
#[test]
fn the_secret_of_init_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    assert!(cordon(dir.path(), &["init", "new"]).status.success());
    let mode = std::fs::metadata(dir.path().join("new/secrets/example-webhook"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn check_names_everything_that_is_wrong_at_once() {
    insta::assert_snapshot!(transcript(&data().join("broken/folder"), &["check"]));
}

#[test]
fn check_as_json_has_codes_and_places() {
    let output = cordon(&data().join("broken/folder"), &["check", "--json"]);
    assert_eq!(output.status.code(), Some(5));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = answer["diagnostics"].as_array().unwrap();
    for code in ["C003", "C015", "K005", "K006"] {
        assert!(
            found
                .iter()
                .any(|one| one["code"] == code && one["line"].as_u64() > Some(0)),
            "{code}: {answer}"
        );
    }
}

#[test]
fn check_of_good_content_is_content() {
    insta::assert_snapshot!(transcript(&data().join("folder"), &["check"]));
}

#[test]
fn normalise_prints_findings() {
    let alert = data().join("alerts/splunk/notable.json");
    let output = cordon(
        &data().join("folder"),
        &["normalise", "siem", alert.to_str().unwrap()],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[0]["source"], "siem");
    assert!(!found[0]["entities"].as_array().unwrap().is_empty());
}

#[test]
fn normalise_of_a_control_message_prints_an_empty_list() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ping.json"), r#"{"type":"ping"}"#).unwrap();
    std::fs::write(dir.path().join("torn.json"), r#"{"title":"#).unwrap();
    let all = [
        transcript(dir.path(), &["normalise", "generic", "ping.json"]),
        transcript(dir.path(), &["normalise", "generic", "torn.json"]),
        transcript(dir.path(), &["normalise", "generik", "ping.json"]),
        transcript(dir.path(), &["normalise", "generic", "gone.json"]),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn a_look_up_is_answered_from_a_file_or_said_to_be_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = "/repos/example-org/backup-jobs/secret-scanning/alerts/42";
    let answers = serde_json::json!({ path: { "secret": "AKIAIOSFODNN7EXAMPLE" } });
    std::fs::write(dir.path().join("answers.json"), answers.to_string()).unwrap();
    std::fs::write(dir.path().join("torn.json"), "[").unwrap();
    let alert = data().join("alerts/github/secret_created.json");
    let alert = alert.to_str().unwrap();
    let header = ["--header", "X-GitHub-Event: secret_scanning_alert"];
    let normalise = |more: &[&str]| {
        let args = [&["normalise", "github", alert], &header[..], more].concat();
        let output = cordon(dir.path(), &args);
        (
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (found, told) = normalise(&["--answers", "answers.json"]);
    let entities = found[0]["entities"].as_array().unwrap();
    assert!(
        entities
            .iter()
            .any(|entity| entity["name"] == "AKIAIOSFODNN7EXAMPLE"),
        "{found}"
    );
    assert_eq!(told, "");
    let (found, told) = normalise(&[]);
    assert_eq!(found[0]["activity"], "create");
    assert!(
        told.contains("a look-up was skipped") && told.contains(path),
        "{told}"
    );
    assert!(told.contains("--answers FILE"), "{told}");
    let (_, told) = normalise(&["--answers", "torn.json"]);
    assert!(told.contains("holds no answers"), "{told}");
    let bare = cordon(
        dir.path(),
        &["normalise", "github", alert, "--header", "nonsense"],
    );
    let told = String::from_utf8(bare.stderr).unwrap();
    assert!(told.contains("`nonsense` is not a header"), "{told}");
}

#[test]
fn match_says_which_triggers_and_why_not() {
    let dir = data().join("folder");
    insta::assert_snapshot!(transcript(&dir, &["match", "../alerts/cordon/finding.json"]));
    let output = cordon(&dir, &["match", "../alerts/cordon/finding.json", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let triggers = answer[0]["triggers"].as_array().unwrap();
    let of = |playbook: &str| triggers.iter().find(|one| one["playbook"] == playbook).unwrap();
    assert_eq!(of("stolen-key")["matched"], true);
    assert_eq!(of("malware-on-host")["matched"], false);
}

#[test]
fn explain_knows_its_codes() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        transcript(dir.path(), &["explain", "k007"]),
        transcript(dir.path(), &["explain", "K077"]),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
    let list = cordon(dir.path(), &["explain"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.contains("T003  the same key twice\n") && list.contains("K001  "),
        "{list}"
    );
}

#[test]
fn connectors_lists_actions_with_their_permissions() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(transcript(dir.path(), &["connectors"]));
    let output = cordon(dir.path(), &["connectors", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for name in ["crowdstrike", "generic", "splunk"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn help_reads_well() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        transcript(dir.path(), &["--help"]),
        transcript(dir.path(), &["act", "--help"]),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn mistakes_on_the_command_line_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let all = [
        transcript(
            dir.path(),
            &[
                "act",
                "endpoint::isolate",
                "--target",
                "hots:web-07",
                "--reason",
                "x",
            ],
        ),
        transcript(
            dir.path(),
            &[
                "act",
                "endpoint::isolate",
                "--target",
                "host:web-07",
                "--lease",
                "4",
                "--reason",
                "x",
            ],
        ),
        transcript(dir.path(), &["serve", "--store", "redis://10.0.0.5"]),
        transcript(dir.path(), &["run", "p", "--finding", "f.json", "--input", "a=b"]),
        transcript(dir.path(), &["show", "run/../x"]),
        transcript(dir.path(), &["runs", "--url", "ftp://x"]),
        transcript(dir.path(), &["range", "--listen", "0.0.0.0:0"]),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn check_of_each_broken_thing_exits_5_and_points() {
    let root = data().join("broken");
    let mut checked = 0;
    for kind in ["playbooks", "triggers", "connectors", "config"] {
        // One folder as people have it, with everything of one kind in it that is wrong.
        let dir = tempfile::tempdir().unwrap();
        let file = |to: &str, from: &Path| {
            let to = dir.path().join(to);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        };
        let listed = |path: &Path| {
            let mut all: Vec<PathBuf> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            all.sort();
            all
        };
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let content = "[content]\nplaybooks = \"playbooks\"\nconnectors = \"connectors\"\n";
        std::fs::write(dir.path().join("cordon.toml"), content).unwrap();
        for folder in ["playbooks", "connectors"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let mut configs = vec![None];
        if kind == "config" {
            configs = listed(&root.join(kind)).into_iter().map(Some).collect();
        }
        for entry in listed(&root.join(kind)) {
            match kind {
                "triggers" => {
                    let good = data().join("folder/playbooks/identity/stolen_key");
                    let own = format!("playbooks/{}", name(&entry).trim_end_matches(".yml"));
                    let manifest = std::fs::read_to_string(good.join("playbook.toml")).unwrap();
                    file(&format!("{own}/trigger.yml"), &entry);
                    file(&format!("{own}/playbook.rhai"), &good.join("playbook.rhai"));
                    let id = own.replace('_', "-").replace("playbooks/", "");
                    let manifest: String = manifest
                        .lines()
                        .map(|line| match line.starts_with("id = ") {
                            true => format!("id = \"{id}\"\n"),
                            false => format!("{line}\n"),
                        })
                        .collect();
                    std::fs::write(dir.path().join(own).join("playbook.toml"), manifest).unwrap();
                }
                "config" => {}
                _ => {
                    for piece in listed(&entry).into_iter().filter(|piece| piece.is_file()) {
                        file(&format!("{kind}/{}/{}", name(&entry), name(&piece)), &piece);
                    }
                }
            }
        }
        for config in configs {
            if let Some(config) = &config {
                file("cordon.toml", config);
            }
            let output = cordon(dir.path(), &["check", "--json"]);
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            // A secret that is missing on this machine is only a warning.
            let only_warns = config.is_some_and(|config| name(&config) == "missing_secrets.toml");
            let code = output.status.code();
            assert!(
                code == Some(5) || only_warns && code == Some(0),
                "{kind}: {code:?} {told}"
            );
            let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let found = answer["diagnostics"].as_array().unwrap();
            assert!(!found.is_empty());
            for one in found {
                for member in ["code", "message", "file", "help"] {
                    assert!(
                        one[member].as_str().is_some_and(|text| !text.is_empty()),
                        "{member}: {one}"
                    );
                }
                assert!(one["line"].is_u64() && one["column"].is_u64(), "{one}");
                let explained = cordon_page(one["code"].as_str().unwrap());
                assert!(explained.is_file(), "{one}");
            }
            checked += found.len();
        }
    }
    eprintln!("{checked} diagnostics");
    assert!(checked >= 150, "{checked}");
}

fn cordon_page(code: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/errors/{code}.md"))
}
