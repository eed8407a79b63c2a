//! One alert in, one host contained; the same alert again only counts; undo brings the prior state back.

use cordon::action::{Outcome, Verification};
use cordon::journal::End;
use cordon::range::{Fault, FaultKind, HostChange, Status};
use cordon::store::Disposition;

use crate::estate::{CONTAIN, Estate, device, range};

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_becomes_a_contained_host_and_its_repeat_only_counts() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::start(&dir.path().join("cordon.db"), range(&["web-07"]).await, CONTAIN).await;

    let kept = estate.finding("f-1", &["web-07"]).await;
    let runs = estate.settled(1).await;
    assert_eq!(runs[0].end, Some(End::Succeeded), "{:?}", runs[0]);
    assert_eq!(estate.range.host("web-07").unwrap().status, Status::Contained);
    assert_eq!(estate.range.ledger().applied("contain", "web-07"), 1);
    assert_eq!(estate.alert(kept.alert).await.disposition, Disposition::Split);

    let again = estate.finding("f-1", &["web-07"]).await;
    assert_eq!((again.alert, again.times), (kept.alert, 2));
    assert_eq!(estate.settled(1).await.len(), 1);

    let undo = estate
        .node
        .handle
        .undo_run(runs[0].id, "ana", "false alarm")
        .await
        .unwrap();
    assert_eq!(estate.end_of(undo).await.1, End::Succeeded);
    assert_eq!(estate.range.host("web-07").unwrap().status, Status::Normal);
    assert_eq!(estate.range.ledger().applied("lift_containment", "web-07"), 1);
    estate.stop().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_observed_and_a_lie_is_contradicted() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::start(
        &dir.path().join("cordon.db"),
        range(&["web-07", "web-08"]).await,
        CONTAIN,
    )
    .await;
    estate
        .range
        .fault(Fault::on_action("contain", FaultKind::LoseAnswer).target(device("web-07")))
        .unwrap();
    estate
        .range
        .fault(Fault::on_action("contain", FaultKind::Lie).target(device("web-08")))
        .unwrap();
    estate.finding("lost", &["web-07"]).await;
    estate.finding("lie", &["web-08"]).await;
    let runs = estate.settled(2).await;
    for row in runs {
        let (state, end) = estate.end_of(row.id).await;
        let effect = state.effects_in_order().next().unwrap();
        if effect.target.as_ref().unwrap().name == "web-07" {
            assert_eq!(end, End::Succeeded);
            let how = &effect.done().unwrap().1;
            assert!(
                matches!(
                    how,
                    Outcome::Done {
                        how: cordon::action::Done::Observed,
                        ..
                    }
                ),
                "{how:?}"
            );
        } else {
            assert_eq!(end, End::Kept);
            assert_eq!(state.worst_verification(), Verification::Contradicted);
            assert!(state.alarms.iter().any(|alarm| alarm.code == "contradicted"));
        }
    }
    assert_eq!(estate.range.ledger().applied("contain", "web-07"), 1);
    assert_eq!(estate.range.ledger().asked("contain", "web-08"), 1);
    estate.stop().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_host_is_requested_and_not_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::start(&dir.path().join("cordon.db"), range(&["web-07"]).await, CONTAIN).await;
    estate
        .range
        .set_host(HostChange::of(device("web-07")).online(false))
        .await
        .unwrap();
    estate.finding("offline", &["web-07"]).await;
    let runs = estate.settled(1).await;
    let (state, end) = estate.end_of(runs[0].id).await;
    assert_eq!(end, End::Kept);
    assert_eq!(state.worst_verification(), Verification::NotInForce);
    assert_eq!(
        estate.range.host("web-07").unwrap().status,
        Status::ContainmentPending
    );
    estate.stop().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_ambiguous_hosts_are_refused_and_nothing_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let range = range(&["web-07"]).await;
    let estate = Estate::start(&dir.path().join("cordon.db"), range, CONTAIN).await;
    let mut twin = HostChange::of(device("twin"));
    twin.hostname = Some("web-07".into());
    estate.range.set_host(twin).await.unwrap();
    estate.finding("twins", &["web-07"]).await;
    estate.finding("nobody", &["web-99"]).await;
    for row in estate.settled(2).await {
        let (state, end) = estate.end_of(row.id).await;
        assert_eq!(end, End::Kept);
        let fault = state.effects_in_order().next().unwrap().fault().unwrap();
        assert!(
            ["ambiguous-target", "target-not-found"].contains(&fault.code.as_str()),
            "{fault}"
        );
    }
    assert_eq!(estate.range.ledger().applied_anywhere("contain"), 0);
    estate.stop().await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_vendor_is_obeyed_and_an_expired_token_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::start(&dir.path().join("cordon.db"), range(&["web-07"]).await, CONTAIN).await;
    estate
        .range
        .fault(Fault::on_action(
            "contain",
            FaultKind::TooMany { retry_after_s: 1 },
        ))
        .unwrap();
    estate
        .range
        .fault(Fault::on_action("contain", FaultKind::ExpireToken))
        .unwrap();
    estate.finding("busy", &["web-07"]).await;
    let runs = estate.settled(1).await;
    assert_eq!(runs[0].end, Some(End::Succeeded), "{:?}", runs[0]);
    assert_eq!(estate.range.ledger().applied("contain", "web-07"), 1);
    estate.stop().await.stop().await;
}
