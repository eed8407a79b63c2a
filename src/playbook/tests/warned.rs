//! Playbooks that load, with what their author should look at.

use super::connectors;
use crate::connector::{Instance, Instances};
use crate::diagnostic::Severity;
use crate::playbook::{Catalog, check, unbound};

fn found(script: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), script);
    let found = check(&[dir.path().to_owned()], &connectors());
    assert!(
        found.iter().all(|one| one.severity == Severity::Warning),
        "{found:?}"
    );
    found
        .iter()
        .map(|one| format!("{}:{} {}", one.code, one.line, one.message))
        .collect()
}

fn write(dir: &std::path::Path, script: &str) {
    let manifest = "id = \"own\"\ntitle = \"Ours\"\nkind = \"response\"\nowner = \"us\"\n";
    std::fs::write(dir.join("playbook.toml"), manifest).unwrap();
    std::fs::write(dir.join("playbook.rhai"), script).unwrap();
}

#[test]
fn changes_one_after_the_other_are_found_wherever_they_hide() {
    let after = "is done one after the other and stops at the first error";
    assert_eq!(
        found("finding.all(\"host\").for_each(|h| endpoint::isolate(h));"),
        [format!("P007:1 `endpoint::isolate` in `for_each` {after}")]
    );
    assert_eq!(
        found(
            "let hs = finding.all(\"host\");\nlet r = hs.map(|h| {\n  endpoint::isolate(h)\n});\nnote(`${r}`);"
        ),
        [format!("P007:3 `endpoint::isolate` in `map` {after}")]
    );
    assert_eq!(
        found("fn stop(h) { endpoint::isolate(h) }\nfor h in finding.all(\"host\") {\n  stop(h);\n}"),
        [format!(
            "P007:3 `stop` does `endpoint::isolate`, and in a loop that {after}"
        )]
    );
    assert_eq!(
        found("for h in finding.all(\"host\") { endpoint::isolate(h); }"),
        [format!("P007:1 `endpoint::isolate` in a loop {after}")]
    );
}

#[test]
fn what_is_done_at_once_or_only_read_is_left_alone() {
    for script in [
        "each(finding.all(\"host\"), |h| [1].map(|x| x));",
        "each(finding.all(\"host\"), |h| endpoint::isolate(h));",
        "fn stop(h) { endpoint::isolate(h) }\neach(finding.all(\"host\"), |h| stop(h));",
        "fn stop(h) { for x in [1] { note(`${x}`); } endpoint::isolate(h) }\nstop(finding.affected(\"host\"));",
        "let hs = finding.all(\"host\").map(|h| h.name); note(`${hs}`);",
    ] {
        assert_eq!(found(script), [""; 0], "{script}");
    }
}

#[test]
fn a_change_in_a_branch_that_nobody_will_see_is_found() {
    let script = "let n = 0;\neach(finding.all(\"host\"), |h| {\n  n += 1;\n  endpoint::isolate(h)\n});\nnote(`${n}`);";
    assert_eq!(
        found(script),
        ["P036:3 a branch of `each` changes its own copy of `n`"]
    );
}

#[test]
fn calls_that_no_instance_would_do_are_found_and_so_are_those_several_would() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "let host = finding.affected(\"host\");\nendpoint::isolate(host);\nidentity::suspend(finding.affected(\"user\"));\n",
    );
    let connectors = connectors();
    let catalog = Catalog::load(&[dir.path().to_owned()], &connectors).unwrap();
    let own = catalog.get("own").unwrap();
    let named = |name: &str| Instance {
        name: name.to_owned(),
        connector: "crowdstrike".to_owned(),
        ..Instance::default()
    };
    let told = |instances: &Instances| -> Vec<String> {
        let found = unbound(own, &connectors, instances);
        assert!(
            found
                .iter()
                .all(|one| one.code == "P031" && one.severity == Severity::Warning)
        );
        found
            .iter()
            .map(|one| format!("{} {}", one.line, one.message))
            .collect()
    };
    let mut instances = Instances::default();
    let nobody = |line: u32, call: &str| format!("{line} no connector instance here does `{call}`");
    assert_eq!(
        told(&instances),
        [nobody(2, "endpoint::isolate"), nobody(3, "identity::suspend")]
    );
    instances.all = vec![named("eu"), named("us")];
    let both = "2 `eu`, `us` could each do `endpoint::isolate`, and nothing decides";
    assert_eq!(
        told(&instances),
        [both.to_owned(), nobody(3, "identity::suspend")]
    );
    instances.bind.insert("endpoint".to_owned(), "eu".to_owned());
    assert_eq!(told(&instances), [nobody(3, "identity::suspend")]);
}
