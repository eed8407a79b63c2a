//! `cordon permissions` and `cordon check` over an estate's own configuration.

use serde_json::{Value, json};

use super::cordon;

const CONFIG: &str = r#"
[content]
playbooks = "playbooks"

[connectors.cloud]
use = "aws"
credentials = { access_key_id = "env:AWS_KEY", secret_access_key = "env:AWS_SECRET" }
settings = { resources = ["arn:aws:iam::111122223333:user/svc/*"] }
"#;

fn estate(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cordon.toml"), CONFIG).unwrap();
    let folder = dir.path().join("playbooks/own/keys");
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = "id = \"keys\"\ntitle = \"Keys\"\nkind = \"response\"\nowner = \"us\"\n";
    std::fs::write(folder.join("playbook.toml"), manifest).unwrap();
    std::fs::write(folder.join("playbook.rhai"), script).unwrap();
    dir
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_policy_for_aws_is_what_one_playbook_needs_with_its_undo_on_the_resources_that_were_named() {
    let dir = estate("cloud::deactivate_key(finding.affected(\"access_key\"));\n");
    let output = cordon(dir.path(), &["permissions", "--playbook", "keys", "--aws"]);
    assert!(output.status.success(), "{}", text(output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["Version"], "2012-10-17");
    let statement = &document["Statement"][0];
    assert_eq!(statement["Effect"], "Allow");
    assert_eq!(
        statement["Resource"],
        json!(["arn:aws:iam::111122223333:user/svc/*"])
    );
    let actions = statement["Action"].as_array().unwrap();
    assert!(actions.contains(&json!("iam:UpdateAccessKey")), "{actions:?}");
    assert!(!actions.contains(&json!("iam:DeleteAccessKey")), "{actions:?}");

    let output = cordon(dir.path(), &["permissions", "--playbook", "keys", "--json"]);
    let needs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let actions = needs["instances"]["cloud"]["actions"].as_object().unwrap();
    assert_eq!(
        actions.keys().collect::<Vec<_>>(),
        ["aws::deactivate_key", "aws::reactivate_key"]
    );
    assert_eq!(
        actions["aws::reactivate_key"]["undoes"],
        json!(["aws::deactivate_key"])
    );
}

#[test]
fn a_playbook_there_is_not_is_told_with_the_nearest() {
    let dir = estate("note(finding.title);\n");
    let output = cordon(dir.path(), &["permissions", "--playbook", "kees"]);
    assert_eq!(output.status.code(), Some(3));
    let told = text(output.stderr);
    assert!(
        told.contains("there is no playbook `kees`") && told.contains("did you mean `keys`?"),
        "{told}"
    );
}

#[test]
fn check_says_which_calls_nothing_here_would_do() {
    let dir = estate(
        "cloud::deactivate_key(finding.affected(\"access_key\"));\nendpoint::isolate(finding.affected(\"host\"));\n",
    );
    let output = cordon(dir.path(), &["check", "--json"]);
    assert!(output.status.success(), "{}", text(output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: Vec<String> = found["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["code"] == "P031")
        .map(|one| {
            format!(
                "{}:{} {}",
                one["line"],
                one["column"],
                one["message"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(told, ["2:1 no connector instance here does `endpoint::isolate`"]);
}
