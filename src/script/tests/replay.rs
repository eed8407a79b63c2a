//! The same answers give the same asks and the same end, whatever their order; the record is compared.

use proptest::prelude::*;

use super::*;

const PLAYBOOK: &str = r#"
    note(`start ${finding.title}`);
    let who = finding.affected("user");
    let first = attempt([
        || identity::suspend(who),
        || { let keys = cloud::list_keys(who); each(keys, |key| identity::suspend(key)) },
        || each(finding.all("host"), |host| endpoint::isolate(host, #{ lease: "4h" })),
    ]);
    note(`did ${first.len()}`);
    let answer = approve(#{ ask: "go on?" });
    if answer.granted { wait("1m"); }
    #{ first: first, granted: answer.granted }
"#;

fn answer(asked: &Asked) -> Result<Value, Thrown> {
    match asked.name.as_str() {
        "cloud::list_keys" => Ok(json!([{ "id": "k1" }, { "id": "k2" }, { "id": "k3" }])),
        "approve" => Ok(json!({ "granted": true })),
        "endpoint::isolate" if asked.args[0]["name"] == "ws-2" => Err(Thrown::new("offline", "not there")),
        _ => Ok(json!({ "done": asked.args[0] })),
    }
}

#[test]
fn a_script_goes_on_where_its_answers_end() {
    let start = job("let a = wait(1); let b = wait(a + 1); [a, b]");
    let first = waiting(advance(&start));
    assert_eq!(
        (first[0].step.to_string().as_str(), &first[0].args[0]),
        ("0", &json!(1))
    );
    let next = answered(&start, vec![(&first[0], Ok(json!(7)))]);
    let second = waiting(advance(&next));
    assert_eq!(
        (second[0].step.to_string().as_str(), &second[0].args[0]),
        ("1", &json!(8))
    );
    let last = answered(&next, vec![(&second[0], Ok(json!("x")))]);
    assert_eq!(
        advance(&last),
        Advance::Returned {
            value: json!([7, "x"]),
            told: vec![]
        }
    );
}

#[test]
fn one_evaluation_returns_every_ask_that_is_reachable() {
    assert_eq!(
        waits_for(&job(PLAYBOOK)),
        [
            "1.0.0 identity::suspend",
            "1.1.0 cloud::list_keys",
            "1.2.0.0.0 endpoint::isolate",
            "1.2.0.1.0 endpoint::isolate"
        ]
    );
}

/// Runs the playbook, answering one ask at a time, chosen by `order`; gives every ask seen and the end.
fn in_order(evaluators: &Evaluators, order: &[usize]) -> (BTreeMap<StepId, Asked>, Advance) {
    let mut now = job(PLAYBOOK);
    let mut seen = BTreeMap::new();
    let mut order = order.iter().copied().cycle();
    loop {
        let waiting = match on(evaluators, &now) {
            Advance::Asks { waiting, .. } => waiting,
            other => return (seen, other),
        };
        for asked in &waiting {
            seen.insert(asked.step.clone(), asked.clone());
        }
        let chosen = &waiting[order.next().unwrap_or(0) % waiting.len()];
        now = answered(&now, vec![(chosen, answer(chosen))]);
    }
}

pub(super) fn on(evaluators: &Evaluators, job: &Job) -> Advance {
    let (send, receive) = std::sync::mpsc::channel();
    evaluators.evaluate(job.clone(), Box::new(move |advance| drop(send.send(advance))));
    receive.recv().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_order_in_which_answers_arrive_does_not_matter(order in prop::collection::vec(0_usize..7, 1..20)) {
        let evaluators = Evaluators::start(1).unwrap();
        let (asked, end) = in_order(&evaluators, &order);
        let (usual_asked, usual_end) = in_order(&evaluators, &[0]);
        prop_assert_eq!(asked, usual_asked);
        prop_assert_eq!(end, usual_end);
    }
}

#[test]
fn a_record_of_another_ask_is_a_divergence_with_both_sides() {
    let old = job("endpoint::isolate(\"ws-1\")");
    let asked = waiting(advance(&old));
    let answers = answered(&old, vec![(&asked[0], Ok(json!(true)))]).answers;
    for (text, found) in [
        ("endpoint::isolate(\"ws-2\")", r#"endpoint::isolate("ws-2")"#),
        ("note(1)", "note(1)"),
        ("all([|| 1])", "`all` with branches"),
        ("1", "the script does not come to this step"),
        ("throw 1;", "the script does not come to this step"),
    ] {
        let Advance::Diverged {
            step,
            recorded,
            found: now,
        } = advance(&Job {
            answers: answers.clone(),
            ..job(text)
        })
        else {
            panic!("{text} did not diverge")
        };
        assert_eq!(
            (step.to_string().as_str(), recorded.as_str()),
            ("0", r#"endpoint::isolate("ws-1")"#)
        );
        assert_eq!(now, found);
    }
}

#[test]
fn what_was_told_and_recorded_is_compared_and_not_told_again() {
    let start = job("note(\"a\"); wait(1); note(\"b\"); print(3)");
    let Advance::Asks { waiting, told } = advance(&start) else {
        panic!()
    };
    assert_eq!(told.iter().map(Asked::text).collect::<Vec<_>>(), [r#"note("a")"#]);
    let recorded: Told = told.iter().map(|told| (told.step.clone(), told.digest)).collect();
    let next = Job {
        told: Arc::new(recorded),
        ..answered(&start, vec![(&waiting[0], Ok(json!(null)))])
    };
    let Advance::Returned { told, .. } = advance(&next) else {
        panic!()
    };
    assert_eq!(
        told.iter().map(Asked::text).collect::<Vec<_>>(),
        [r#"note("b")"#, r#"note("3")"#]
    );
    let other = Job {
        program: Program::new("p", "note(\"c\"); wait(1); note(\"b\")"),
        ..next.clone()
    };
    assert!(matches!(advance(&other), Advance::Diverged { .. }));
    let gone = Job {
        program: Program::new("p", "wait(1);"),
        answers: Arc::default(),
        ..next
    };
    assert!(matches!(advance(&gone), Advance::Diverged { .. }));
}

#[test]
fn a_waiting_ask_goes_past_try_and_past_a_sort_that_swallows_errors() {
    let swallowing = "let l = [3, 1, 2]; l.sort(|a, b| wait(a) - wait(b)); note(\"after\"); wait(9);";
    for text in [
        "try { wait(1); } catch { note(\"caught\"); wait(2); }",
        "try { [1].map(|x| wait(x)); } catch (e) { note(\"caught\"); wait(2); }",
        swallowing,
        "let l = [3, 1, 2]; l.sort(|a, b| wait(a) - wait(b))",
    ] {
        let Advance::Asks { waiting, told } = advance(&job(text)) else {
            panic!("{text}")
        };
        assert_eq!((waiting.len(), told.len()), (1, 0), "{text}");
    }
    let (end, _) = run(job(swallowing), |asked| Ok(asked.args[0].clone()));
    assert!(matches!(end, Advance::Returned { .. }));
}

#[test]
fn a_function_of_a_connector_script_runs_like_a_playbook() {
    let text = "const PATH = \"/v1\"; fn suspend(who, options) { \
                let r = identity::suspend(global::PATH + \"/\" + who.id); \
                options.push(1); #{ status: r.status, n: options.len() } }";
    let args = vec![json!({ "id": "u1" }), json!([5])];
    let start = Job {
        entry: Entry::Function {
            name: "suspend".to_owned(),
            args,
        },
        ..job(text)
    };
    let asked = waiting(advance(&start));
    assert_eq!(asked[0].args, [json!("/v1/u1")]);
    let (end, _) = run(start, |_| Ok(json!({ "status": 200 })));
    assert_eq!(
        end,
        Advance::Returned {
            value: json!({ "status": 200, "n": 2 }),
            told: vec![]
        }
    );
}

#[test]
fn an_evaluation_can_be_cut_off_and_tried_again() {
    let mut endless = job("loop { }");
    endless.deadline = std::time::Duration::ZERO;
    assert_eq!(
        advance(&endless),
        Advance::Interrupted {
            why: Interrupted::Deadline
        }
    );
    let stopped = job("loop { }");
    stopped.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        advance(&stopped),
        Advance::Interrupted {
            why: Interrupted::Stopped
        }
    );
}

#[test]
fn stopped_evaluators_answer_that_they_are_stopped() {
    let evaluators = Evaluators::start(2).unwrap();
    assert!(matches!(on(&evaluators, &job("1")), Advance::Returned { .. }));
    let (send, receive) = std::sync::mpsc::channel();
    for _ in 0..20 {
        let send = send.clone();
        evaluators.evaluate(job("1"), Box::new(move |advance| drop(send.send(advance))));
    }
    evaluators.stop();
    drop(send);
    assert_eq!(receive.iter().count(), 20);
}

#[test]
fn a_full_queue_says_busy_at_once() {
    let evaluators = Evaluators::start(1).unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let hold = move |_| {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
    };
    evaluators.evaluate(job("1"), Box::new(hold));
    has_begun.recv().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let waiting = job("2");
    for _ in 0..=crate::limits::SCRIPT_QUEUE_MAX {
        let send = send.clone();
        evaluators.evaluate(waiting.clone(), Box::new(move |advance| drop(send.send(advance))));
    }
    assert_eq!(
        receive.try_recv(),
        Ok(Advance::Interrupted {
            why: Interrupted::Busy
        })
    );
    assert_eq!(evaluators.waiting(), crate::limits::SCRIPT_QUEUE_MAX);
    go_on.send(()).unwrap();
    let next = receive.recv().unwrap();
    assert_eq!(
        next,
        Advance::Returned {
            value: json!(2),
            told: vec![]
        }
    );
}

#[test]
fn a_reply_that_panics_does_not_take_the_thread_with_it() {
    let evaluators = Evaluators::start(1).unwrap();
    evaluators.evaluate(job("1"), Box::new(|_| panic!("a defect of the caller")));
    assert!(matches!(on(&evaluators, &job("1")), Advance::Returned { .. }));
}

#[test]
fn asks_and_answers_can_be_kept_and_read_back() {
    let start = job("wait(#{ a: [1, 2.5, ()] })");
    let asked = waiting(advance(&start));
    let answers = answered(&start, vec![(&asked[0], Err(Thrown::new("x", "y")))]).answers;
    let text = serde_json::to_string(&*answers).unwrap();
    assert_eq!(serde_json::from_str::<Answers>(&text).unwrap(), *answers);
    let text = serde_json::to_string(&asked).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Asked>>(&text).unwrap(), asked);
}
