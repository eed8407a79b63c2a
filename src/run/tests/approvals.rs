//! People asked, answering, changing their minds, too late, or never: what is granted happens once and as it was
//! seen, and nothing else does.

use std::collections::BTreeSet;

use super::*;
use crate::guardrail::{ApprovalRule, Approvers, Groups, Mode, Which};
use crate::id::ApprovalId;
use crate::journal::{Answered, ApprovalState, Header};
use crate::store::ApprovalQuery;

fn groups(pairs: &[(&str, &[&str])]) -> Groups {
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    Groups(
        pairs
            .iter()
            .map(|(name, members)| ((*name).to_owned(), set(members)))
            .collect(),
    )
}

pub(super) fn approvers(by: &str, quorum: usize) -> Approvers {
    Approvers {
        by: by.into(),
        quorum,
        within_ms: 50_000,
    }
}

/// `leads` are ana (who starts runs by hand), ben, eve and zoe; `alone` is ana.
pub(super) fn people() -> Policy {
    Policy {
        groups: groups(&[
            ("leads", &["ana", "ben", "eve", "zoe"]),
            ("alone", &["ana"]),
            ("owners", &["kim"]),
        ]),
        ..Policy::default()
    }
}

/// Containing a host has to be approved by a lead.
fn held() -> Policy {
    let rule = ApprovalRule {
        which: Which {
            actions: vec!["crowdstrike::contain_host".into()],
            ..Which::default()
        },
        approvers: approvers("leads", 1),
        why: "hosts are ours".into(),
    };
    Policy {
        approvals: vec![rule],
        ..people()
    }
}

pub(super) fn bench(policy: Policy) -> Bench {
    Bench::under(Arc::new(MemoryStore::new()), &[], policy)
}

impl Bench {
    pub(super) async fn run_of(&self, name: &str, script: &str, cause: Cause, author: &str) -> RunId {
        let connectors = Catalog::embedded().unwrap();
        let program = Program::new("test.rhai", script);
        let parts = Parts {
            playbook: "test",
            title: "Test",
            kind: PlaybookKind::Response,
            on_failure: OnFailure::Keep,
            ask: None,
            deadline_ms: 60_000,
            inputs: &BTreeMap::new(),
            script: &program,
        };
        let bundle = Bundle::of(&parts, &connectors).published_by(author);
        self.handle.keep_bundle(&bundle).await.unwrap();
        let run = RunId::derive(&["approvals", name]);
        let entity = |name: &str| json!({"type": "host", "role": "affected", "name": name, "uid": name});
        let start = Start {
            run,
            cause,
            inputs: BTreeMap::from([(
                "finding".to_owned(),
                json!({ "host": entity("web-07"), "other": entity("web-08"), "dc": entity("dc-01") }),
            )]),
            severity_id: SeverityId(4),
            subject: "host web-07".into(),
            weak_source: false,
        };
        self.handle.start(&bundle, start).await.unwrap();
        run
    }

    pub(super) async fn by_hand(&self, name: &str, script: &str) -> RunId {
        let cause = Cause::Person {
            principal: "ana".into(),
            reason: "test".into(),
        };
        self.run_of(name, script, cause, "cordon").await
    }

    /// The `n`-th request of a run, from 0, once it is there and open.
    pub(super) async fn asks(&self, run: RunId, n: usize) -> ApprovalState {
        let there = |state: &RunState| {
            state
                .approvals_in_order()
                .nth(n)
                .is_some_and(ApprovalState::is_open)
                .then(|| state.approvals_in_order().nth(n).cloned())
                .flatten()
        };
        let state = self.until(run, |state| there(state).is_some()).await;
        there(&state).unwrap()
    }

    async fn vote(&self, approval: ApprovalId, who: &str, approve: bool) -> Result<Taken, NotTaken> {
        let ballot = Ballot {
            principal: who.into(),
            approve,
            reason: "seen".into(),
            digest: None,
        };
        self.handle.vote_counted(approval, &ballot).await
    }

    pub(super) async fn yes(&self, run: RunId, n: usize, who: &str) -> ApprovalState {
        let asked = self.asks(run, n).await;
        let taken = self.vote(asked.request.approval, who, true).await.unwrap();
        assert!(matches!(taken, Taken::Counted(_)), "{taken:?}");
        asked
    }

    pub(super) async fn no(&self, run: RunId, n: usize, who: &str) {
        let asked = self.asks(run, n).await;
        self.vote(asked.request.approval, who, false).await.unwrap();
    }

    pub(super) async fn value(&self, run: RunId) -> Value {
        let (state, _) = self.settled(run).await;
        match state.script {
            Some(crate::journal::ScriptEnd::Returned(value)) => value,
            other => panic!("it did not return: {other:?}"),
        }
    }

    async fn row_waits_for(&self, run: RunId, text: &str) {
        for _ in 0..500 {
            let row = self
                .context
                .store
                .run(run.partition(), run)
                .await
                .unwrap()
                .unwrap();
            if row.waits_for.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it waits for something else");
    }
}

const COVERED: &str = r#"
    let answer = approve(#{
        ask: "Contain web-07?",
        covers: [#{ action: "endpoint::isolate", target: finding.host }],
        by: "leads", within: "50s",
    });
    if answer.granted { endpoint::isolate(finding.host); }
    answer
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_allows_exactly_what_it_covers_and_nothing_else() {
    let bench = bench(held());
    let script = r#"
        let answer = approve(#{
            ask: "Contain web-07?",
            covers: [#{ action: "endpoint::isolate", target: finding.host }],
            by: "leads", within: "50s",
        });
        endpoint::isolate(finding.host);
        let other = "done";
        try { endpoint::isolate(finding.other); } catch (e) { other = e.code; }
        [answer.granted, answer.by, other]
    "#;
    let run = bench.by_hand("exactly", script).await;
    let asked = bench.asks(run, 0).await;
    assert_eq!(bench.vendor.changes(), [], "nothing happens before");
    assert_eq!(asked.request.covers.len(), 1);
    let cover = &asked.request.covers[0];
    assert!(cover.label.contains("host web-07 (id-web-07)"), "{}", cover.label);
    assert_eq!(cover.prior.as_deref(), Some("normal"));
    assert!(cover.undo.contains("lift_containment"));
    assert_eq!(
        asked.request.may_decide,
        ["ben", "eve", "zoe"],
        "ana asked for the run"
    );
    bench
        .row_waits_for(
            run,
            &format!("the approval of leads until {}", asked.request.until),
        )
        .await;
    bench.yes(run, 0, "ben").await;
    // What is not covered is held by the rule, and the engine asks about it by itself.
    let second = bench.asks(run, 1).await;
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    assert!(second.request.covers[0].label.contains("web-08"));
    assert_eq!(second.request.rule.as_deref(), Some("hosts are ours"));
    bench.no(run, 1, "eve").await;
    assert_eq!(bench.value(run).await, json!([true, ["ben"], "denied"]));
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_is_asked_again_and_at_most_twice() {
    let bench = bench(people());
    let script = r#"
        let answer = approve(#{
            ask: "Contain web-07?",
            covers: [#{ action: "endpoint::isolate", target: finding.host }],
            by: "leads", within: "50s",
        });
        wait("2s");
        let code = "done";
        try { endpoint::isolate(finding.host); } catch (e) { code = e.code; }
        code
    "#;
    for (name, change) in [("state", 0), ("target", 1)] {
        bench.vendor.set("web-07", "normal");
        bench.vendor.ids.lock().unwrap().clear();
        let run = bench.by_hand(name, script).await;
        bench.yes(run, 0, "ben").await;
        match change {
            0 => bench.vendor.set("web-07", "odd"),
            _ => drop(
                bench
                    .vendor
                    .ids
                    .lock()
                    .unwrap()
                    .insert("web-07".into(), "id-2".into()),
            ),
        }
        let again = bench.asks(run, 1).await;
        assert!(again.effect.is_some());
        assert!(
            again.request.ask.starts_with("It has changed"),
            "{}",
            again.request.ask
        );
        assert_eq!((again.request.by.as_str(), again.request.quorum), ("leads", 1));
        match change {
            0 => assert_eq!(again.request.covers[0].prior.as_deref(), Some("odd")),
            _ => assert!(again.request.covers[0].label.contains("id-2")),
        }
        bench.vendor.set("web-07", &format!("odder {name}"));
        bench.yes(run, 1, "ben").await;
        let third = bench.asks(run, 2).await;
        assert_eq!(third.request.again, 2);
        bench.vendor.set("web-07", &format!("oddest {name}"));
        bench.yes(run, 2, "ben").await;
        assert_eq!(bench.value(run).await, json!("denied"));
        let (state, _) = bench.settled(run).await;
        assert_eq!(state.approvals.len(), 3);
    }
    assert_eq!(bench.vendor.changes(), []);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_arguments_than_were_granted_are_asked_again() {
    let bench = bench(people());
    let script = COVERED.replace(
        "endpoint::isolate(finding.host);",
        "endpoint::isolate(finding.host, #{ lease: \"4h\" });",
    );
    let run = bench.by_hand("arguments", &script).await;
    bench.yes(run, 0, "ben").await;
    let again = bench.asks(run, 1).await;
    assert!(
        again.request.covers[0].label.contains("for 4h"),
        "{:?}",
        again.request.covers
    );
    assert_eq!(bench.vendor.changes(), []);
    bench.yes(run, 1, "eve").await;
    assert_eq!(bench.value(run).await["granted"], true);
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_for_one_doing() {
    let bench = Bench::under(Arc::new(MemoryStore::new()), &[Mood::Refuses], people());
    let script = r#"
        approve(#{
            ask: "Contain web-07?",
            covers: [#{ action: "endpoint::isolate", target: finding.host }],
            by: "leads", within: "50s",
        });
        try { endpoint::isolate(finding.host); } catch (e) { note(e.code); }
        endpoint::isolate(finding.host);
    "#;
    let run = bench.by_hand("once", script).await;
    bench.yes(run, 0, "ben").await;
    bench.asks(run, 1).await;
    assert_eq!(bench.vendor.changes(), []);
    bench.yes(run, 1, "ben").await;
    bench.settled(run).await;
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_who_wrote_it_and_strangers_are_refused() {
    let bench = bench(people());
    let cause = Cause::Person {
        principal: "ana".into(),
        reason: "test".into(),
    };
    let run = bench.run_of("who", COVERED, cause, "ben").await;
    let asked = bench.asks(run, 0).await;
    assert_eq!(asked.request.may_decide, ["eve", "zoe"]);
    for (who, says) in [
        ("ana", "asked for this run"),
        ("ben", "published this playbook"),
        ("mallory", "not among those"),
        ("cordon", "not among those"),
    ] {
        for approve in [true, false] {
            let refused = bench
                .vote(asked.request.approval, who, approve)
                .await
                .unwrap_err();
            assert!(matches!(refused, NotTaken::NotAllowed { .. }), "{refused:?}");
            assert!(refused.to_string().contains(says), "{refused}");
        }
    }
    assert!(bench.asks(run, 0).await.votes.is_empty());
    bench.yes(run, 0, "eve").await;
    bench.settled(run).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_have_to_agree_where_two_are_asked_and_one_no_ends_it() {
    let bench = bench(people());
    let script = COVERED.replace("by: \"leads\"", "by: \"leads\", quorum: 2");
    let run = bench.by_hand("two", &script).await;
    bench.yes(run, 0, "ben").await;
    bench.yes(run, 0, "ben").await;
    let asked = bench.asks(run, 0).await;
    assert_eq!(asked.votes.len(), 1, "the same person counts once");
    bench.yes(run, 0, "eve").await;
    assert_eq!(bench.value(run).await["by"], json!(["ben", "eve"]));

    let run = bench.by_hand("two, no", &script).await;
    bench.yes(run, 0, "ben").await;
    bench.no(run, 0, "ben").await;
    let answer = bench.value(run).await;
    assert_eq!(
        (&answer["granted"], &answer["why"]),
        (&json!(false), &json!("ben denied it: seen"))
    );
    let late = bench
        .vote(bench.settled(run).await.0.asked[0], "eve", true)
        .await
        .unwrap_err();
    assert!(matches!(late, NotTaken::Decided(_)), "{late:?}");
    assert!(late.to_string().contains("ben denied it"), "{late}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_in_time_is_a_denial() {
    let bench = bench(people());
    let script = COVERED.replace("50s", "300ms");
    let run = bench.by_hand("late", &script).await;
    let answer = bench.value(run).await;
    assert_eq!(answer["granted"], false);
    let why = answer["why"].as_str().unwrap();
    assert!(why.starts_with("nobody of `leads` answered before "), "{why}");
    assert_eq!(bench.vendor.changes(), []);
    let (state, _) = bench.settled(run).await;
    let late = bench.vote(state.asked[0], "ben", true).await.unwrap_err();
    assert!(matches!(late, NotTaken::Decided(_)), "{late:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_answer_at_once_one_decision_comes() {
    let names: Vec<String> = (0..100).map(|n| format!("p{n:02}")).collect();
    let members: Vec<&str> = names.iter().map(String::as_str).collect();
    let policy = Policy {
        groups: groups(&[("leads", &members)]),
        ..Policy::default()
    };
    let bench = Arc::new(bench(policy));
    let script = COVERED.replace("by: \"leads\"", "by: \"leads\", quorum: 3");
    let run = bench.by_hand("race", &script).await;
    let asked = bench.asks(run, 0).await;
    let voters = names.iter().enumerate().map(|(n, name)| {
        let (bench, name, id) = (bench.clone(), name.clone(), asked.request.approval);
        // Some say no: whichever decision is first is the only one.
        tokio::spawn(async move { bench.vote(id, &name, n % 17 != 16).await })
    });
    let mut counted = 0;
    let mut refused = 0;
    for voter in voters.collect::<Vec<_>>() {
        match voter.await.unwrap() {
            Ok(Taken::Counted(_)) => counted += 1,
            Err(NotTaken::Decided(row)) => {
                assert!(row.state.decided.is_some());
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let (state, _) = bench.settled(run).await;
    let approval = &state.approvals[&asked.request.approval];
    assert_eq!(
        (counted, refused),
        (approval.votes.len(), 100 - approval.votes.len())
    );
    assert!(approval.votes.len() <= 3 + 6, "{:?}", approval.votes);
    let entries = bench
        .context
        .store
        .journal(run.partition(), ChainId::Run(run), 0)
        .await
        .unwrap();
    let decisions = entries
        .iter()
        .filter(|entry| entry.kind == "approval_decided")
        .count();
    assert_eq!(decisions, 1);
    Arc::into_inner(bench).unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_put_while_nobody_works_counts_when_the_run_is_taken_up_again() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Bench::under(store.clone(), &[], people());
    let run = first.by_hand("killed", COVERED).await;
    let asked = first.asks(run, 0).await;
    // Ends without giving anything back, as a killed process does.
    first.worker.abort();
    let ballot = Ballot {
        principal: "ben".into(),
        approve: true,
        reason: String::new(),
        digest: Some(asked.request.digest),
    };
    first.handle.vote(asked.request.approval, &ballot).await.unwrap();
    first.handle.vote(asked.request.approval, &ballot).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(first.handle.state(run).await.unwrap().settled.is_none());

    let second = Bench::under(store, &[], people());
    let answer = second.value(run).await;
    assert_eq!(
        (&answer["granted"], &answer["by"]),
        (&json!(true), &json!(["ben"]))
    );
    assert_eq!(second.vendor.changes(), [change("contain_host")]);
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_satisfies_no_hold() {
    let bench = bench(held());
    let script = r#"
        let answer = approve(#{ ask: "Go on?", by: "leads", within: "50s" });
        endpoint::isolate(finding.host);
        answer.granted
    "#;
    let run = bench.by_hand("question", script).await;
    let question = bench.yes(run, 0, "ben").await;
    assert!(question.request.covers.is_empty());
    let held = bench.asks(run, 1).await;
    assert_eq!(bench.vendor.changes(), []);
    assert!(held.effect.is_some());
    bench.yes(run, 1, "ben").await;
    assert_eq!(bench.value(run).await, true);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_by_others_than_the_rule_names_does_not_satisfy_it() {
    let bench = bench(held());
    let script = COVERED.replace("\"leads\"", "\"owners\"");
    let run = bench.by_hand("others", &script).await;
    bench.yes(run, 0, "kim").await;
    let held = bench.asks(run, 1).await;
    assert_eq!(held.request.by, "leads");
    assert_eq!(bench.vendor.changes(), []);
    bench.yes(run, 1, "ben").await;
    bench.settled(run).await;
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_an_error_the_playbook_can_catch_and_undoing_needs_no_approval() {
    let bench = bench(held());
    let script = r#"
        let code = "done";
        try { endpoint::isolate(finding.host); } catch (e) { code = e.code; }
        code
    "#;
    let run = bench.by_hand("denied", script).await;
    bench.no(run, 0, "ben").await;
    assert_eq!(bench.value(run).await, "denied");
    let run = bench.by_hand("granted", script).await;
    bench.yes(run, 0, "ben").await;
    assert_eq!(bench.value(run).await, "done");
    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    assert_eq!(bench.vendor.state("web-07"), "normal");
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_may_decide_it_is_denied_at_once_and_said_aloud() {
    let bench = bench(people());
    let script = COVERED.replace("\"leads\"", "\"alone\"");
    let run = bench.by_hand("alone", &script).await;
    let answer = bench.value(run).await;
    assert_eq!(answer["granted"], false);
    assert!(
        answer["why"].as_str().unwrap().contains("ana asked for this run"),
        "{answer}"
    );
    let (state, _) = bench.settled(run).await;
    assert_eq!(state.alarms[0].code, "no-approver");

    let trigger = Cause::Lease {
        run,
        effect: crate::id::EffectId::derive(&["x"]),
    };
    let run = bench.run_of("unknown author", COVERED, trigger, "").await;
    let answer = bench.value(run).await;
    assert!(answer["why"].as_str().unwrap().contains("`author`"), "{answer}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_not_configured_is_a_no_at_once_and_an_alarm() {
    let bench = bench(people());
    let script = r#"
        let answer = approve(#{ ask: "Go on?", by: "lead", within: "8h" });
        [answer.granted, answer.why]
    "#;
    let run = bench.by_hand("no such group", script).await;
    let said = bench.value(run).await;
    assert_eq!(said[0], false, "{said}");
    assert!(
        said[1].as_str().unwrap().contains("`lead` is neither a group"),
        "{said}"
    );
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Succeeded);
    assert!(
        state.alarms.iter().any(|alarm| alarm.code == "no-approver"),
        "{:?}",
        state.alarms
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_an_error_and_asks_nobody() {
    let bench = bench(Policy {
        protected: vec![Protected::new(Some(EntityType::Host), "dc-*", "domain controllers").unwrap()],
        ..people()
    });
    for (n, (args, code, says)) in [
        (
            r#"#{ ask: "?", by: "owners", quorum: 2 }"#,
            "bad-argument",
            "it has 1",
        ),
        (
            r#"#{ ask: "?", by: "leads", withn: "1h" }"#,
            "bad-argument",
            "did you mean `within`?",
        ),
        (
            r#"#{ ask: "?", by: "leads", covers: [#{ action: "endpoint::isolate", target: "web-07" }] }"#,
            "bad-target",
            "an entity of the finding",
        ),
        (
            r#"#{ ask: "?", by: "leads", covers: [#{ action: "endpoint::isolate", target: finding.dc }] }"#,
            "denied",
            "domain controllers",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let script = format!(
            "let said = []; try {{ approve({args}); }} catch (e) {{ said = [e.code, e.message]; }} said"
        );
        let run = bench.by_hand(&format!("bad {n}"), &script).await;
        let said = bench.value(run).await;
        assert_eq!(said[0], code, "{said}");
        assert!(said[1].as_str().unwrap().contains(says), "{said}");
        assert!(bench.settled(run).await.0.approvals.is_empty());
    }
    let script = r#"approve(#{ ask: "Delete them?", by: "leads", covers: [] }).granted"#;
    let run = bench.by_hand("nothing", script).await;
    assert_eq!(bench.value(run).await, false);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn observed_nothing_is_changed_and_everything_is_on_record() {
    let bench = bench(Policy {
        mode: Mode::Observe,
        ..people()
    });
    let run = bench.by_hand("observe", ISOLATE).await;
    let (state, end) = bench.settled(run).await;
    assert_eq!(end, End::Kept);
    let effect = state.effects_in_order().next().unwrap();
    assert_eq!(effect.verdict.as_ref().unwrap().1.reasons[0].rule, "mode");
    assert_eq!(bench.vendor.changes(), []);
    bench.assert_tidy(0).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_waits_for_the_request_of_another_branch_that_covers_it() {
    let bench = bench(held());
    let script = r#"
        let host = finding.host;
        all([
            || approve(#{ ask: "Contain it?", by: "leads", within: "50s",
                          covers: [#{ action: "endpoint::isolate", target: host }] }),
            || { wait("300ms"); endpoint::isolate(host) },
        ]);
    "#;
    let run = bench.by_hand("branches", script).await;
    bench.asks(run, 0).await;
    bench
        .until(run, |state| {
            state
                .effects_in_order()
                .next()
                .is_some_and(|effect| matches!(effect.stage(), Stage::Held(_)))
        })
        .await;
    bench.yes(run, 0, "ben").await;
    let (state, end) = bench.settled(run).await;
    assert_eq!((end, state.approvals.len()), (End::Succeeded, 1));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_shows_what_is_open_and_a_stale_answer_is_refused() {
    let bench = bench(people());
    let run = bench.by_hand("list", COVERED).await;
    let asked = bench.asks(run, 0).await;
    let list = async |open| {
        let query = ApprovalQuery {
            open,
            before: None,
            limit: 10,
        };
        bench
            .context
            .store
            .approvals(run.partition(), query)
            .await
            .unwrap()
    };
    assert_eq!(list(Some(true)).await[0].state, asked);
    let ballot = Ballot {
        principal: "ben".into(),
        approve: true,
        reason: String::new(),
        digest: Some(crate::digest::Digest::of(b"what was there before")),
    };
    let refused = bench
        .handle
        .vote(asked.request.approval, &ballot)
        .await
        .unwrap_err();
    assert!(matches!(refused, NotTaken::Stale(_)), "{refused:?}");
    bench.yes(run, 0, "ben").await;
    bench.settled(run).await;
    assert!(list(Some(true)).await.is_empty());
    let rows = list(None).await;
    let (state, _) = bench.settled(run).await;
    assert_eq!(rows[0].state, state.approvals[&asked.request.approval]);
    assert!(matches!(
        state.steps.values().next().unwrap().answer,
        Some(Answered::Value(_))
    ));
    bench.end().await;
}

#[test]
fn an_old_header_was_written_by_us() {
    let header = json!({
        "run": RunId::derive(&["old"]), "playbook": "p", "title": "P", "kind": "response", "on_failure": "keep",
        "bundle": crate::digest::Digest::ZERO, "engine_abi": 1,
        "cause": { "person": { "principal": "ana", "reason": "" } },
        "inputs": {}, "deadline": 0, "severity_id": 1, "subject": "host a"
    });
    let header: Header = serde_json::from_value(header).unwrap();
    assert_eq!(
        (header.author.as_str(), header.requester()),
        ("cordon", Some("ana"))
    );
}
