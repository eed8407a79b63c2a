//! Read-only data: reads like an object, complains like a person.

use super::*;

#[test]
fn data_reads_like_an_object_and_like_a_list() {
    for (text, expected) in [
        ("finding.title", json!("Odd sign-in")),
        ("finding.nested.tags[1]", json!("b")),
        ("finding.nested.tags[-1]", json!("c")),
        ("finding[\"case\"]", json!("c-7")),
        ("finding.score + 1", json!(1.5)),
        ("finding.severity + 1", json!(5)),
        ("finding.big", json!("18446744073709551615")),
        ("finding.nothing == ()", json!(true)),
        ("finding.get(\"absent\") ?? 7", json!(7)),
        ("finding.get(\"absent\", 8)", json!(8)),
        ("\"title\" in finding", json!(true)),
        ("\"a\" in finding.nested.tags", json!(true)),
        ("\"z\" in finding.nested.tags", json!(false)),
        (
            "finding.nested.tags.map(|t| t + \"!\")",
            json!(["a!", "b!", "c!"]),
        ),
        (
            "finding.entities.filter(|e| finding.severity > 3 && e.type == \"ip\").len()",
            json!(1),
        ),
        (
            "finding.entities.find(|e| e.type == \"ip\").name",
            json!("192.0.2.1"),
        ),
        ("let n = 0; for e in finding.entities { n += 1; } n", json!(5)),
        (
            "let s = \"\"; for (t, i) in finding.nested.tags { s += `${i}${t}`; } s",
            json!("0a1b2c"),
        ),
        ("finding.nested.tags == [\"a\", \"b\", \"c\"]", json!(true)),
        ("#{ n: 1 } == finding.nested.deep", json!(true)),
        ("finding.nested.deep != #{ n: 2 }", json!(true)),
        ("finding.nested == finding.nested", json!(true)),
        ("`${finding.nested.deep}`", json!("{\"n\":1}")),
        ("finding.nested.deep.to_json()", json!("{\"n\":1}")),
        (
            "let l = finding.nested.tags.to_array(); l.push(1); l.len()",
            json!(4),
        ),
        ("finding.nested.keys()", json!(["deep", "tags"])),
        ("finding.nested.values().len()", json!(2)),
        ("fn f() { finding.title } f()", json!("Odd sign-in")),
        ("let f = |x| finding.severity + x; f.call(1)", json!(5)),
        (
            "fn f(n) { [n].map(|x| finding.severity + x + n) } f(1)",
            json!([6]),
        ),
        (
            "fn f(n) { attempt([|| finding.severity + n])[0].value } f(1)",
            json!(5),
        ),
        ("type_of(finding)", json!("data")),
        (
            "finding.nested",
            json!({ "tags": ["a", "b", "c"], "deep": { "n": 1 } }),
        ),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn a_finding_knows_its_entities() {
    assert_eq!(value("finding.affected(\"user\").name"), json!("ana"));
    assert_eq!(value("finding.all(\"host\").map(|h| h.uid)"), json!(["h1", "h2"]));
    assert_eq!(value("finding.actors(\"user\")[0].name"), json!("bob"));
    assert_eq!(value("finding.observed(\"ip\").len()"), json!(1));
    assert_eq!(failure("finding.affected(\"key\")").code, "no-entity");
    let error = failure("\n  finding.affected(\"host\")");
    assert_eq!(error.code, "ambiguous");
    assert_eq!(
        error.message,
        "the finding affects 2 of `host`, use `finding.all(\"host\")` with `each`"
    );
    assert_eq!(error.at.map(|at| at.line), Some(2));
}

#[test]
fn a_property_that_is_not_there_is_an_error_with_its_name_and_place() {
    for text in [
        "\n\nfinding.sevrity",
        "fn f() {\n\nfinding.sevrity > 3 }\nf()",
        "let f = ||\n\nfinding.sevrity; f.call()",
        "try { throw finding.sevrity } catch (e) {\n\nthrow finding.sevrity; }",
        "\n\nlet m = #{ a: 1 }; m.sevrity",
    ] {
        let error = failure(text);
        assert!(
            error.message.contains("unknown property `sevrity`"),
            "{text}: {}",
            error.message
        );
        assert_eq!(error.at.map(|at| at.line), Some(3), "{text}");
    }
}

#[test]
fn data_cannot_be_changed() {
    for text in [
        "finding.title = 1;",
        "finding.nested.tags[0] = 1;",
        "finding = 1;",
        "finding.x = 1;",
    ] {
        match advance(&job(text)) {
            Advance::Failed { .. } => {}
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn answers_are_lists_that_can_be_changed_and_objects_that_cannot() {
    let start = job(
        "let keys = cloud::list_keys(1); keys.push(4); keys.sort(|a, b| 0); \
                     [keys.len(), keys[0].id, keys[1], keys[2].len()]",
    );
    let (end, _) = run(start, |_| {
        Ok(json!([{ "id": "k" }, 9_007_199_254_740_993_i64, [1, 2]]))
    });
    assert_eq!(
        end,
        Advance::Returned {
            value: json!([4, "k", 9_007_199_254_740_993_i64, 2]),
            told: vec![]
        }
    );
    let start = job("wait(1) == ()");
    assert_eq!(
        run(start, |_| Ok(Value::Null)).0,
        Advance::Returned {
            value: json!(true),
            told: vec![]
        }
    );
}

#[test]
fn only_data_leaves_a_script() {
    for text in [
        "wait(|x| x)",
        "wait(#{ a: [|x| x] })",
        "wait(0..3)",
        "wait(0.0 / 0.0)",
    ] {
        let error = failure(&format!("\n{text}"));
        assert_eq!(
            (error.code.as_str(), error.at.map(|at| at.line)),
            ("not-data", Some(2)),
            "{text}"
        );
        assert_eq!(error.action.as_deref(), Some("wait"));
    }
    assert_eq!(failure("let f = |x| x; note(`${f}`)").code, "not-data");
    assert_eq!(failure("let f = |x| x; f.name").code, "not-data");
    assert_eq!(
        value("|x| x"),
        Value::Null,
        "a run that did its work does not fail by its last line"
    );
    let entry = Entry::Function {
        name: "f".to_owned(),
        args: vec![],
    };
    let Advance::Failed { error, .. } = advance(&Job {
        entry,
        ..job("fn f() { |x| x }")
    }) else {
        panic!()
    };
    assert_eq!(error.code, "not-data");
}

#[test]
fn text_can_be_replaced_and_padded() {
    assert_eq!(
        value("let s = \"a-b-c\"; s.replace(\"-\", \"+\"); s"),
        json!("a+b+c")
    );
    assert_eq!(value("let s = \"a-b\"; s.replace('-', '+'); s"), json!("a+b"));
    assert_eq!(value("let s = \"a\"; s.pad(4, \"xy\"); s"), json!("axyx"));
    assert_eq!(value("let s = \"abc\"; s.pad(2, '-'); s"), json!("abc"));
}
