//! What is on disk when an answer leaves, and what a range that was killed knows afterwards.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::caller::{Caller, estate, start};
use crate::range::{
    Fault, FaultKind, HostChange, Ledger, LedgerError, Range, RangeConfig, RangeError, Status,
};

fn kept_in(path: &Path) -> RangeConfig {
    RangeConfig {
        ledger: Some(path.to_owned()),
        ..estate()
    }
}

#[tokio::test]
async fn a_restarted_range_knows_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, caller) = start(kept_in(&path)).await;
    caller.contain("aid-3").await.unwrap();
    assert_eq!(caller.status("aid-3").await, "contained");
    caller.contain("aid-4").await.unwrap();
    range
        .set_host(HostChange::of("aid-1").status(Status::Contained))
        .await
        .unwrap();
    let (hosts, ledger) = (range.hosts(), range.ledger());
    range.stop().await;

    let again = Range::start(kept_in(&path)).await.unwrap();
    assert_eq!(again.hosts(), hosts);
    assert_eq!(again.ledger(), ledger);
    // The token is as good as before, and numbers go on.
    let mut late = Caller::new(&again.base_url());
    late.token = caller.token.clone();
    assert_eq!(late.lift("aid-3").await.unwrap().status, 202);
    let last = again.ledger().lines().last().unwrap().clone();
    assert_eq!(last.n, ledger.lines().len() as u64 + 1);
    assert!(ledger.lines().iter().all(|line| line.request < last.request));
}

#[tokio::test]
async fn tokens_that_were_ended_stay_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, caller) = start(kept_in(&path)).await;
    range.expire_tokens().await.unwrap();
    range.stop().await;
    let again = Range::start(kept_in(&path)).await.unwrap();
    let mut late = Caller::new(&again.base_url());
    late.token = caller.token;
    assert_eq!(late.contain("aid-3").await.unwrap().status, 401);
}

#[tokio::test]
async fn the_line_is_on_disk_when_the_caller_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, caller) = start(kept_in(&path)).await;
    range
        .fault(Fault::on_action("lift_containment", FaultKind::LoseAnswer))
        .unwrap();
    caller.contain("aid-3").await.unwrap();
    assert_eq!(Ledger::read(&path).unwrap().applied("contain", "aid-3"), 1);
    caller.lift("aid-3").await.unwrap_err();
    let read = Ledger::read(&path).unwrap();
    assert_eq!(read.applied("lift_containment", "aid-3"), 1);
    assert_eq!(read, range.ledger());
}

#[tokio::test]
async fn a_torn_last_line_never_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, caller) = start(kept_in(&path)).await;
    caller.contain("aid-3").await.unwrap();
    caller.contain("aid-1").await.unwrap();
    range.stop().await;

    let whole = fs::read(&path).unwrap();
    let last_line = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for cut in last_line..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(
            Ledger::read(&path).unwrap().applied("contain", "aid-1"),
            0,
            "cut at {cut}"
        );
        assert_eq!(fs::read(&path).unwrap().len(), cut, "reading changes nothing");
    }
    let again = Range::start(kept_in(&path)).await.unwrap();
    assert_eq!(again.host("aid-1").unwrap().status, Status::Normal);
    assert_eq!(again.host("aid-3").unwrap().status, Status::ContainmentPending);
    let mut late = Caller::new(&again.base_url());
    late.token = caller.token;
    late.contain("aid-1").await.unwrap();
    assert_eq!(Ledger::read(&path).unwrap().applied("contain", "aid-1"), 1);
}

#[tokio::test]
async fn damage_before_the_last_line_is_told_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, _) = start(kept_in(&path)).await;
    range.stop().await;
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [
        text.replacen('{', "[", 1),
        text.replacen("\"n\":2,", "\"n\":3,", 1),
    ] {
        assert_ne!(damaged, text);
        fs::write(&path, &damaged).unwrap();
        let error = Range::start(kept_in(&path)).await.err().unwrap();
        assert!(
            matches!(error, RangeError::Ledger(LedgerError::Damaged { .. })),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
}

#[tokio::test]
async fn two_ranges_cannot_write_one_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, _) = start(kept_in(&path)).await;
    let error = Range::start(kept_in(&path)).await.err().unwrap();
    assert!(
        matches!(error, RangeError::Ledger(LedgerError::InUse(_))),
        "{error}"
    );
    range.stop().await;
    assert!(Range::start(kept_in(&path)).await.is_ok());
}

#[tokio::test]
async fn a_reset_is_kept_and_so_is_what_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, caller) = start(kept_in(&path)).await;
    caller.contain("aid-3").await.unwrap();
    range
        .set_host(HostChange {
            hostname: Some("X".to_owned()),
            ..HostChange::of("aid-9")
        })
        .await
        .unwrap();
    range.reset().await.unwrap();
    assert_eq!(range.hosts(), estate().seed);
    caller.contain("aid-1").await.unwrap();
    let (hosts, ledger) = (range.hosts(), range.ledger());
    assert_eq!(
        (
            ledger.applied("contain", "aid-3"),
            ledger.applied("contain", "aid-1")
        ),
        (0, 1)
    );
    range.stop().await;

    let again = Range::start(kept_in(&path)).await.unwrap();
    assert_eq!((again.hosts(), again.ledger()), (hosts, ledger));
    assert!(fs::read_to_string(&path).unwrap().contains("aid-9"));
}

#[tokio::test]
async fn a_ledger_from_a_newer_range_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let (range, caller) = start(kept_in(&path)).await;
    caller.contain("aid-3").await.unwrap();
    let n = range.ledger().lines().len() + 1;
    range.stop().await;
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let newer = r#""at_ms":1,"request":9,"vendor":"okta","method":"POST","path":"/","query":"","action":"suspend","applied":true,"colour":"red""#;
    writeln!(file, "{{\"n\":{n},{newer}}}").unwrap();
    drop(file);
    let again = Range::start(kept_in(&path)).await.unwrap();
    assert_eq!(again.ledger().lines().len(), n);
    assert_eq!(again.host("aid-3").unwrap().status, Status::ContainmentPending);
}
