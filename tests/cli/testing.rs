//! `cordon test`: what it prints and how it ends.

use std::path::Path;

use super::cordon;

/// A folder with one playbook and this case; what `cordon test` says of it, and the exit code.
fn of(case: &str, args: &[&str]) -> (String, i32) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("playbooks/endpoint/looks");
    std::fs::create_dir_all(folder.join("tests")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write(
        "playbook.toml",
        "id = \"looks\"\ntitle = \"Looks\"\nkind = \"response\"\nowner = \"us\"\n",
    );
    write("playbook.rhai", "note(finding.title);\n");
    if !case.is_empty() {
        write("tests/one.toml", case);
    }
    run(dir.path(), args)
}

fn run(dir: &Path, args: &[&str]) -> (String, i32) {
    let output = cordon(dir, &[&["test"], args].concat());
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code().unwrap())
}

const FINDING: &str = "finding = [{ title = \"Hello\", uid = \"f-1\" }]\n";

#[test]
fn a_case_that_passes_ends_with_0_and_is_counted() {
    let case = format!("{FINDING}[expect]\nnotes = [\"Hello\"]\n");
    let (text, code) = of(&case, &["playbooks"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.starts_with("1 passed, 0 failed (1 of playbooks, 0 calls, 0 deliveries)"),
        "{text}"
    );
    let (text, code) = of(&case, &["playbooks/endpoint/looks/tests/one.toml", "--verbose"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("passed  one  (playbooks/endpoint/looks/tests/one.toml)"),
        "{text}"
    );
}

#[test]
fn a_case_that_fails_ends_with_1_and_points() {
    let case = format!("{FINDING}[expect]\nnotes = [\"Bye\"]\n");
    let (text, code) = of(&case, &["playbooks", "--verbose"]);
    assert_eq!(code, 1, "{text}");
    for part in [
        "0 passed, 1 failed",
        "error[S011]: no note contains `Bye`",
        "playbooks/endpoint/looks/tests/one.toml:3:10",
        "the notes are `Hello`",
        "note",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (text, code) = of(&case, &["playbooks", "--json"]);
    assert_eq!(code, 1, "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["failed"], &value["passed"]), (&1.into(), &0.into()));
    assert_eq!(value["cases"][0]["failures"][0]["line"], 3);
}

#[test]
fn a_mistake_in_a_case_ends_with_5_and_nothing_to_run_with_2() {
    let (text, code) = of(&format!("{FINDING}[expect]\nnoets = []\n"), &["playbooks"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("error[S002]: unknown key `noets`"), "{text}");
    let (text, code) = of("", &["playbooks"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("without a case: playbooks/endpoint/looks"),
        "{text}"
    );
    let (text, code) = of("", &["nowhere"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("there is no `nowhere`"), "{text}");
}
