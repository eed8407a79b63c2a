//! Branches run as far as they can, cannot see each other, and give their results back.

use super::replay::on;
use super::*;

#[test]
fn branches_do_not_see_what_other_branches_change() {
    let text = "let n = #{ list: [1] }; let m = 0; \
                let seen = all([|| { n.list.push(2); m += 1; n.list.len() + m }, || { n.list.push(3); m += 1; n.list.len() + m }]); \
                #{ seen: seen, outside: n.list.len() + m }";
    assert_eq!(value(text), json!({ "seen": [3, 3], "outside": 1 }));
    let through_closure = "let n = [1]; let add = || { n.push(2); n.len() }; let inner = add; \
                           #{ seen: all([|| inner.call(), || inner.call()]), outside: n.len() }";
    assert_eq!(value(through_closure), json!({ "seen": [2, 2], "outside": 1 }));
}

#[test]
fn all_lets_every_branch_finish_and_throws_once() {
    let start = job("try { all([|| wait(1), || { wait(2); wait(3) }]); } catch (e) { note(e); }");
    let (end, evaluations) = run(start, |asked| match asked.args[0].as_i64() {
        Some(1) => Err(Thrown {
            action: Some("wait".to_owned()),
            ..Thrown::new("late", "too late")
        }),
        other => Ok(json!(other)),
    });
    let Advance::Returned { told, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!(evaluations, 3);
    assert_eq!(
        told[0].args[0],
        json!({
            "code": "branches", "message": "1 of 2 branches failed, the first: too late", "action": null,
            "data": [
                { "ok": false, "value": null,
                  "error": { "code": "late", "message": "too late", "action": "wait", "data": null } },
                { "ok": true, "value": 3, "error": null },
            ],
        })
    );
}

#[test]
fn attempt_gives_outcomes_back_that_read_well() {
    let text = "let r = attempt([|| 1 + 1, || throw #{ code: \"no\", message: \"never\" }, || [1, 2], || |x| x]); \
                [r.len(), r[0].ok, r[0].value, r[1].error.code, r[2].value.len(), r[3].error.code, \
                 r.filter(|one| !one.ok).len()]";
    assert_eq!(value(text), json!([4, true, 2, "no", 2, "not-data", 2]));
}

#[test]
fn an_error_thrown_again_keeps_its_code() {
    let text = "let r = attempt([|| throw error(\"gone\", \"it left\", 7)]); throw r[0].error;";
    let error = failure(text);
    assert_eq!(
        (error.code.as_str(), error.message.as_str(), error.data),
        ("gone", "it left", json!(7))
    );
}

#[test]
fn each_has_a_bounded_number_of_branches_waiting() {
    let start = job("let l = []; for i in 0..1000 { l.push(i); } each(l, |i| wait(i)).len()");
    assert_eq!(waiting(advance(&start)).len(), crate::limits::BRANCHES_AT_ONCE);
    let nested = job("let l = []; for i in 0..100 { l.push(i); } each(l, |i| each(l, |j| wait([i, j])))");
    assert_eq!(waiting(advance(&nested)).len(), 64 * 16);
}

#[test]
fn branching_is_bounded_in_depth_and_width() {
    let deep = "attempt([|| attempt([|| attempt([|| attempt([|| 1])])])])[0].value[0].value[0].error.code";
    assert_eq!(value(deep), json!("limit"));
    let wide = "let l = []; for i in 0..65 { l.push(|| 1); } attempt(l)";
    assert_eq!(failure(wide).code, "limit");
    assert_eq!(failure("attempt([1])").code, "script");
    assert_eq!(failure("each(finding, |x| x)").code, "script");
}

#[test]
fn each_over_five_thousand_takes_its_answers_together() {
    let evaluators = Evaluators::start(1).unwrap();
    let mut now = job("let l = []; for i in 0..5000 { l.push(i); } \
                       let r = each(l, |i| { let a = wait(i); if a { endpoint::isolate(i) } else { 0 } }); r.len()");
    let mut evaluations = 0;
    loop {
        evaluations += 1;
        match on(&evaluators, &now) {
            Advance::Asks { waiting, .. } => {
                let mut answers = Answers::clone(&now.answers);
                answers.extend(
                    waiting
                        .iter()
                        .map(|asked| (asked.step.clone(), Answer::to(asked, Ok(json!(true))))),
                );
                now.answers = Arc::new(answers);
            }
            Advance::Returned { value, .. } => {
                assert_eq!(value, json!(5000));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // Two asks an element, 64 at once.
    assert_eq!(evaluations, 2 * 5000_usize.div_ceil(64) + 1);
}

#[test]
fn evaluators_in_step_have_answered_when_they_come_back() {
    let evaluators = Evaluators::in_step().unwrap();
    for n in 0..20 {
        let (tell, told) = std::sync::mpsc::channel();
        let job = job(&format!("let x = 0; for i in 0..1000 {{ x += i; }} {n}"));
        evaluators.evaluate(job, Box::new(move |advance| tell.send(advance).unwrap()));
        match told.try_recv() {
            Ok(Advance::Returned { value, .. }) => assert_eq!(value, json!(n)),
            other => panic!("not answered yet: {other:?}"),
        }
    }
}

#[test]
fn a_branch_that_was_begun_stays_begun() {
    // Early branches that come to need more must not push later ones out, whose answers are recorded.
    let start = job("let l = []; for i in 0..70 { l.push(i); } \
                     each(l, |i| { wait(i); attempt([|| wait(-1), || wait(-2)]) }).len()");
    let first = waiting(advance(&start));
    assert_eq!(first.len(), 64);
    let next = answered(
        &start,
        vec![(&first[0], Ok(json!(1))), (&first[63], Ok(json!(1)))],
    );
    let second = waiting(advance(&next));
    assert_eq!(second.len(), 62 + 4);
    let (end, _) = run(next, |_| Ok(json!(1)));
    assert_eq!(
        end,
        Advance::Returned {
            value: json!(70),
            told: vec![]
        }
    );
}

#[test]
fn a_limit_inside_a_branch_ends_the_whole_script() {
    assert_eq!(
        failure("attempt([|| 1, || { fn_again(0) }]); fn fn_again(n) { fn_again(n + 1) }").code,
        "limit"
    );
}
