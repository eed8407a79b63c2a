//! What `check` says before anything runs.

use super::*;

fn errors(text: &str) -> Vec<(String, usize, String, String)> {
    let program = Program::new("playbook.rhai", text);
    match check(&program, &vocabulary(), &["finding"]) {
        Ok(_) => Vec::new(),
        Err(found) => found
            .into_iter()
            .map(|one| (one.code.to_owned(), one.line, one.message, one.help))
            .collect(),
    }
}

fn facts(text: &str) -> Facts {
    match check(&Program::new("playbook.rhai", text), &vocabulary(), &["finding"]) {
        Ok(facts) => facts,
        Err(found) => panic!("{}", found[0]),
    }
}

#[test]
fn each_mistake_has_its_code_its_line_and_its_remedy() {
    for (text, code, message, help) in [
        ("let x = ;", "P001", "", ""),
        ("let x = (1;", "P001", "", ""),
        ("isolat(1)", "P002", "unknown function `isolat`", ""),
        (
            "endpoint::isolat(1)",
            "P002",
            "unknown function `endpoint::isolat`",
            "did you mean `endpoint::isolate`?",
        ),
        (
            "endpont::isolate(1)",
            "P002",
            "unknown namespace `endpont`",
            "did you mean `endpoint::`?",
        ),
        (
            "nope::isolate(1)",
            "P002",
            "unknown namespace `nope`",
            "no connector",
        ),
        (
            "note(1).lenn()",
            "P002",
            "unknown function `lenn`",
            "did you mean `len`?",
        ),
        (
            "isolate(1)",
            "P002",
            "unknown function `isolate`",
            "did you mean `endpoint::isolate`?",
        ),
        (
            "break_it(1); fn break_its(x) { x }",
            "P002",
            "`break_it`",
            "did you mean `break_its`?",
        ),
        (
            "endpoint::isolate()",
            "P003",
            "`endpoint::isolate` does not take 0 arguments",
            "it takes 1 to 2",
        ),
        (
            "note(1, 2)",
            "P003",
            "`note` does not take 2 arguments",
            "it takes 1",
        ),
        (
            "fn f(a) { a } f()",
            "P003",
            "`f` does not take 0 arguments",
            "it takes 1",
        ),
        (
            "\"a\".len(1)",
            "P003",
            "`len` does not take 1 argument",
            "it takes 0",
        ),
        (
            "each([1])",
            "P003",
            "`each` does not take 1 argument",
            "it takes 2",
        ),
        (
            "let severity = 1; sevrity + 1",
            "P004",
            "unknown variable `sevrity`",
            "did you mean `severity`?",
        ),
        (
            "fn f() { findin.x } f()",
            "P004",
            "unknown variable `findin`",
            "did you mean `finding`?",
        ),
        ("finding.case", "P005", "`case` is a reserved word", "[\"case\"]"),
        ("let match = 1;", "P005", "`match` is a reserved word", ""),
        ("let finding = 1;", "P005", "`finding` is an input", ""),
        ("for finding in [1] { }", "P005", "`finding` is an input", ""),
        ("fn f(finding) { 1 }", "P005", "`finding` is an input", ""),
        ("[1].map(|finding| 1)", "P005", "`finding` is an input", ""),
        (
            "let n = 1; [1].map(|x, finding| n)",
            "P005",
            "`finding` is an input",
            "",
        ),
        ("fn note(x) { x }", "P005", "`note` is a word of Cordon", ""),
        ("fn all(x) { x }", "P005", "`all` is a word of Cordon", ""),
        ("import \"x\" as y;", "P006", "`import` is not allowed", ""),
        ("eval(\"1\")", "P006", "`eval` is not allowed", ""),
        ("let f = |a| a; curry(f, 1)", "P006", "`curry` is not allowed", ""),
        ("sleep(3)", "P006", "`sleep` is not allowed", "use `wait"),
        ("timestamp()", "P006", "`timestamp` is not allowed", "no clock"),
        (
            "loop { break okta_suspend(1); }",
            "P002",
            "unknown function `okta_suspend`",
            "",
        ),
        (
            "`${nothing_here(1)}`",
            "P002",
            "unknown function `nothing_here`",
            "",
        ),
        (
            "let f = |x| nothing_here(x);",
            "P002",
            "unknown function `nothing_here`",
            "",
        ),
        (
            "try { nothing_here(1) } catch { }",
            "P002",
            "unknown function `nothing_here`",
            "",
        ),
        (
            "switch 1 { 1 => nothing_here(1), _ => 2 }",
            "P002",
            "unknown function `nothing_here`",
            "",
        ),
    ] {
        let found = errors(&format!("\n{text}"));
        assert!(!found.is_empty(), "{text}: nothing found");
        let (is_code, line, is_message, is_help) = &found[0];
        assert_eq!((is_code.as_str(), *line), (code, 2), "{text}: {is_message}");
        assert!(is_message.contains(message), "{text}: {is_message}");
        assert!(is_help.contains(help), "{text}: {is_help}");
    }
    let large = format!("let s = 0;\n{}", "s += 1;\n".repeat(9000));
    assert_eq!(errors(&large)[0].0, "P009");
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(errors(&deep)[0].0, "P009");
}

#[test]
fn several_mistakes_are_found_together() {
    let found = errors("note();\nendpoint::isolat(1);\nsleep(1);");
    assert_eq!(found.iter().map(|one| one.1).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_facts_name_every_call_with_its_literal_arguments() {
    let facts = facts(
        "let host = finding.all(\"host\")[0];\n\
         endpoint::isolate(host, #{ lease: \"4h\", x: host, list: [1, -2] });\n\
         fn f(x) { if x { note(\"a\") } else { loop { break wait(1); } } }\n\
         attempt([|| identity::suspend(1), || f(true)]);",
    );
    let calls: Vec<(&str, usize, bool)> = facts
        .calls
        .iter()
        .map(|call| (call.name.as_str(), call.at.line, call.in_loop))
        .collect();
    assert_eq!(
        calls,
        [
            ("endpoint::isolate", 2, false),
            ("note", 3, false),
            ("wait", 3, true),
            ("identity::suspend", 4, false)
        ]
    );
    let Literal::Map(options) = &facts.calls[0].args[1] else {
        panic!()
    };
    assert_eq!(options["lease"].as_str(), Some("4h"));
    assert_eq!(options["x"], Literal::Unknown);
    assert_eq!(facts.calls[0].args[0], Literal::Unknown);
    assert_eq!(facts.functions, [("f".to_owned(), 1)]);
    assert_eq!(facts.warnings, []);
}

#[test]
fn actions_in_a_plain_loop_are_pointed_out() {
    let codes = |text: &str| {
        facts(text)
            .warnings
            .iter()
            .map(|one| one.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        codes("for h in finding.all(\"host\") { endpoint::isolate(h); }"),
        ["P007"]
    );
    assert_eq!(
        codes("let n = 0; while n < 3 { n += 1; identity::suspend(n); }"),
        ["P007"]
    );
    assert_eq!(
        codes("for key in cloud::list_keys(1) { note(key); wait(1); }"),
        [""; 0]
    );
    assert_eq!(
        codes("each(finding.all(\"host\"), |h| endpoint::isolate(h));"),
        [""; 0]
    );
}

#[test]
fn a_closure_that_uses_the_list_it_walks_is_pointed_out() {
    let codes = |text: &str| {
        facts(text)
            .warnings
            .iter()
            .map(|one| one.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes("let l = [1]; l.filter(|x| l.len() > x)"), ["P008"]);
    assert_eq!(
        codes("let l = [1]; l.map(|x| x).filter(|x| l.len() > x)"),
        ["P008"]
    );
    assert_eq!(codes("let l = [1]; let n = 1; l.filter(|x| n > x)"), [""; 0]);
    assert_eq!(
        codes("finding.entities.filter(|x| finding.severity > 3)"),
        [""; 0]
    );
}

#[test]
fn a_playbook_as_the_guide_shows_it_passes() {
    let text = r#"
        let account = finding.affected("user");
        note(`${finding.title}: ${account.name}`);
        let first = attempt([
            || identity::suspend(account),
            || each(finding.all("host"), |host| endpoint::isolate(host, #{ lease: "4h" })),
        ]);
        let keys = cloud::list_keys(account);
        each(keys, |key| identity::suspend(key));
        notify::oncall(#{ subject: `Contained ${account.name}`, severity: finding.severity, results: first });
        let answer = approve(#{
            ask: `Delete ${keys.len()} keys of ${account.name}?`,
            covers: keys.map(|key| #{ action: "cloud::delete_key", target: key }),
        });
        if answer.granted { each(keys, |key| identity::suspend(key)); }
    "#;
    assert_eq!(facts(text).warnings, []);
    let (end, _) = run(job(text), |asked| match asked.name.as_str() {
        "cloud::list_keys" => Ok(json!([{ "id": "k1" }])),
        "approve" => Ok(json!({ "granted": true })),
        _ => Ok(json!(true)),
    });
    let Advance::Returned { told, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!(told.len(), 2);
}

#[test]
fn every_code_has_its_page() {
    for code in [
        "P001", "P002", "P003", "P004", "P005", "P006", "P007", "P008", "P009",
    ] {
        let path = format!("{}/docs/errors/{code}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page.starts_with(&format!("# {code}: ")), "{path}");
    }
}
