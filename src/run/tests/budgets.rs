//! Budgets at work: so many effects in a window and no more, whoever asks, and nothing used up by what did not happen.

use super::approvals::{approvers, bench, people};
use super::*;
use crate::guardrail::{Approvers, Budget, Each, Which};

fn with_budget(limit: u32, approvers: Option<Approvers>) -> Policy {
    let budget = Budget {
        name: "isolations".into(),
        which: Which {
            actions: vec!["endpoint::isolate".into(), "crowdstrike::contain_host".into()],
            ..Which::default()
        },
        limit,
        window_ms: 3_600_000,
        each: Each::All,
        approvers,
        why: "ours".into(),
    };
    Policy {
        budgets: vec![budget],
        ..people()
    }
}

async fn used(bench: &Bench) -> u32 {
    let scope = "isolations/";
    let now = bench.context.clock.now();
    let store = &bench.context.store;
    store
        .budget_used(Partition::of_text(scope), scope, now, 3_600_000)
        .await
        .unwrap()
}

const TWO: &str = r#"
    let said = [];
    for host in [finding.host, finding.other] {
        try { endpoint::isolate(host); said.push("done"); } catch (e) { said.push(e.message); }
    }
    said
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_effect_beyond_the_budget_is_refused_and_says_so() {
    let bench = bench(with_budget(1, None));
    let run = bench.by_hand("refused", TWO).await;
    let said = bench.value(run).await;
    assert_eq!(said[0], json!("done"));
    let refusal = said[1].as_str().unwrap();
    assert!(
        refusal.contains("budget: all 1 of `isolations` in 1h are used (ours); the next is free at"),
        "{refusal}"
    );
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    assert_eq!(used(&bench).await, 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restoring_needs_no_place_and_gives_none_back() {
    let bench = bench(with_budget(1, None));
    let run = bench.by_hand("restore", "endpoint::isolate(finding.host)").await;
    bench.settled(run).await;
    let undo = bench.handle.undo_run(run, "ana", "over").await.unwrap();
    assert_eq!(bench.settled(undo).await.1, End::Succeeded);
    assert_eq!(
        bench.vendor.changes(),
        [change("contain_host"), change("lift_containment")]
    );
    // What was done and undone was done.
    let again = bench.by_hand("again", TWO).await;
    assert!(bench.value(again).await[0].as_str().unwrap().contains("budget"));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_happen_gives_its_place_back() {
    let bench = Bench::under(
        Arc::new(MemoryStore::new()),
        &[Mood::Refuses],
        with_budget(1, None),
    );
    let script = r#"
        let first = "done";
        try { endpoint::isolate(finding.host); } catch (e) { first = e.code; }
        endpoint::isolate(finding.other);
        first
    "#;
    let run = bench.by_hand("back", script).await;
    assert_ne!(bench.value(run).await, json!("done"));
    assert_eq!(bench.settled(run).await.1, End::Kept, "one did not happen");
    assert_eq!(
        bench.vendor.changes().last().unwrap(),
        &("contain_host".to_owned(), "web-08".to_owned())
    );
    assert_eq!(used(&bench).await, 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_may_let_one_more_happen_and_it_counts() {
    let bench = bench(with_budget(1, Some(approvers("leads", 1))));
    let run = bench.by_hand("more", TWO).await;
    let asked = bench.asks(run, 0).await;
    assert_eq!(bench.vendor.changes(), [change("contain_host")]);
    assert!(asked.request.covers[0].label.contains("web-08"));
    assert_eq!(used(&bench).await, 1, "what waits takes no place");
    bench.yes(run, 0, "ben").await;
    assert_eq!(bench.value(run).await, json!(["done", "done"]));
    assert_eq!(used(&bench).await, 2);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_share_the_places() {
    let bench = bench(with_budget(1, None));
    let mut ends = Vec::new();
    let mut runs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let other = if name < "c" { "host" } else { "other" };
        let script = format!("endpoint::isolate(finding.{other})");
        runs.push(bench.by_hand(name, &script).await);
    }
    for run in runs {
        let (state, end) = bench.settled(run).await;
        ends.push((
            end,
            state
                .effects
                .values()
                .filter(|effect| effect.done().is_some())
                .count(),
        ));
    }
    // One took the place; another on the same host found it contained already, which needs none.
    assert_eq!(bench.vendor.changes().len(), 1, "{ends:?}");
    assert_eq!(used(&bench).await, 1);
    bench.end().await;
}
