//! Every error has a code, a sentence and a place.

use super::*;

#[test]
fn what_a_script_throws_becomes_its_failure() {
    let error = failure("\n\n  throw #{ code: \"x\", message: \"why\", data: [1], action: \"a::b\" };");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("x", "why"));
    assert_eq!((error.data, error.action.as_deref()), (json!([1]), Some("a::b")));
    assert_eq!(error.at, Some(Position { line: 3, column: 3 }));
    let error = failure("throw #{ code: \"x\", message: \"why\", data: |x| x };");
    assert_eq!((error.code.as_str(), error.data), ("x", Value::Null));
    let error = failure("throw \"text\"");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("thrown", "text"));
    assert_eq!(failure("throw error(\"c\", \"m\");").code, "c");
}

#[test]
fn every_kind_of_error_has_a_place() {
    for (text, code, part) in [
        ("\n1 + \"a\" * 2", "script", "unknown function"),
        ("\n[1][3]", "script", "no element 3 in a list of 1"),
        ("\n9223372036854775807 + 1", "script", "overflow"),
        ("\n1 / 0", "script", "zero"),
        ("\nlet x = 1; x.foo", "script", "foo"),
        ("\nlet x = 1; if x { }", "script", "`bool` is needed here"),
        ("\nwait(|| 1)", "not-data", "a function is not data"),
        ("\nendpoint::isolate(|| 1)", "not-data", "a function is not data"),
        ("\nfinding.entities[99]", "script", "no element 99 in a list of 5"),
        (
            "\nfinding.map(|x| x)",
            "script",
            "`map` needs a list, found an object",
        ),
        (
            "\nfor x in finding { x; }",
            "script",
            "an object cannot be walked",
        ),
        ("\nlet n = 1; for x in n { x; }", "script", "for"),
        ("\n[1].map(|x| throw \"t\")", "thrown", "t"),
        ("\nfinding.entities.map(|x| throw \"t\")", "thrown", "t"),
        (
            "\nlet s = \"a\"; s.pad(1000000, \"b\")",
            "limit",
            "longer than 262144 bytes",
        ),
        (
            "\nlet s = \"a\"; s.pad(9, \"\")",
            "script",
            "`pad` needs something",
        ),
        ("\nfn f(n) { f(n + 1) } f(0)", "limit", "nested"),
        (
            "\nlet s = \"aaaaaaaa\"; loop { s += s; }",
            "limit",
            "grows past its limit",
        ),
        ("\nloop { }", "limit", "1000000 operations"),
    ] {
        let error = failure(text);
        assert_eq!(error.code, code, "{text}: {}", error.message);
        assert!(
            error.message.to_lowercase().contains(part),
            "{text}: {}",
            error.message
        );
        assert!(
            !error.message.contains("anon$") && !error.message.contains("cordon::"),
            "{}",
            error.message
        );
        assert_eq!(error.at.map(|at| at.line), Some(2), "{text}: {}", error.message);
    }
}

#[test]
fn a_closure_that_uses_what_it_is_given_to_is_explained() {
    // Rhai gives this error no place; `check` warns of it with one (P008).
    let error = failure("let a = [1, 2]; a.filter(|x| { a.push(x); true })");
    assert_eq!(error.code, "script");
    assert_eq!(
        error.message,
        "`filter` and the closure given to it use the same variable, copy what the closure needs first"
    );
}

#[test]
fn a_failed_answer_is_caught_as_a_map_and_otherwise_fails_at_its_call() {
    let fail = |_: &Asked| {
        Err(Thrown {
            code: "offline".to_owned(),
            message: "not there".to_owned(),
            action: Some("endpoint::isolate".to_owned()),
            data: json!({ "since": 3 }),
        })
    };
    let text = "try { endpoint::isolate(1); } catch (e) { [e.code, e.message, e.action, e.data.since] }";
    let text = format!("fn f() {{ {} }} f()", text.replace("[e.code", "return [e.code"));
    let (end, _) = run(job(&text), fail);
    let expected = json!(["offline", "not there", "endpoint::isolate", 3]);
    assert_eq!(
        end,
        Advance::Returned {
            value: expected,
            told: vec![]
        }
    );

    let (end, _) = run(job("fn f() {\n  endpoint::isolate(1)\n}\n\nf()"), fail);
    let Advance::Failed { error, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!(
        (error.code.as_str(), error.data),
        ("offline", json!({ "since": 3 }))
    );
    assert_eq!(error.at.map(|at| at.line), Some(2));
    assert_eq!(error.chain, ["in call to `f` (line 5)"]);
}

#[test]
fn whatever_was_caught_can_be_read_as_one_shape() {
    let text = "let r = []; \
        try { throw \"t\"; } catch (e) { r.push(error(e).code); } \
        try { [1][9]; } catch (e) { r.push(error(e).code); } \
        try { throw #{ code: \"c\" }; } catch (e) { r.push(error(e).code + error(e).message); } r";
    assert_eq!(value(text), json!(["thrown", "script", "c"]));
}

#[test]
fn a_program_that_does_not_pass_the_check_does_not_run() {
    let error = failure("note(1);\nokta::suspend_user(1);");
    assert_eq!(error.code, "check");
    assert_eq!(error.at.map(|at| at.line), Some(2));
}
