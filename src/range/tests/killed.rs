//! A range in a process of its own, killed with SIGKILL while it works. The child is this test binary, told
//! to run one test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::caller::{Caller, estate};
use crate::range::{Ledger, Range, RangeConfig, Status};

const LEDGER: &str = "CORDON_TEST_RANGE_LEDGER";
const READY: &str = "range listens on ";

/// The process that `what_was_answered_survives_sigkill` starts and kills. Run by itself it has no ledger to keep
/// and only says that such a range starts.
#[tokio::test]
async fn child() {
    let Some(ledger) = std::env::var_os(LEDGER).map(PathBuf::from) else {
        let range = Range::start(estate()).await.unwrap();
        assert_eq!(range.hosts().len(), estate().seed.len());
        return range.stop().await;
    };
    let range = Range::start(RangeConfig {
        ledger: Some(ledger),
        ..estate()
    })
    .await
    .unwrap();
    // A line of its own, after what the test harness has written.
    println!("\n{READY}{}", range.base_url());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn what_was_answered_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let seeded = estate().seed.len();
    let mut known = 0;
    for round in 0..5 {
        let mut child = Running::spawn(&path);
        let mut caller = Caller::new(&child.base_url);
        caller.log_in().await;
        let calls = tokio::spawn(async move {
            let mut answered = 0;
            while let Ok(answer) = caller.contain("aid-3").await {
                assert_eq!(answer.status, 202);
                answered += 1;
            }
            answered
        });
        // Killed in the middle of some later call, at no moment in particular.
        while Ledger::read(&path).unwrap().lines().len() <= seeded + known + round * 3 {
            assert!(!calls.is_finished(), "the range went away by itself");
            tokio::task::yield_now().await;
        }
        child.kill();

        let answered = known + calls.await.unwrap();
        let kept = Ledger::read(&path).unwrap().applied("contain", "aid-3");
        assert!(
            kept == answered || kept == answered + 1,
            "round {round}: {answered} answered, {kept} kept"
        );
        known = kept;
    }
    let range = Range::start(RangeConfig {
        ledger: Some(path),
        ..estate()
    })
    .await
    .unwrap();
    assert_eq!(range.host("aid-3").unwrap().status, Status::ContainmentPending);
    assert_eq!(range.ledger().applied("contain", "aid-3"), known);
}

/// The child; killed at the latest when the test ends.
struct Running {
    process: Child,
    base_url: String,
}

impl Running {
    fn spawn(ledger: &Path) -> Running {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "range::tests::killed::child", "--nocapture"])
            .env(LEDGER, ledger)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let base_url = lines.find_map(|line| line.unwrap().strip_prefix(READY).map(str::to_owned));
        Running {
            process,
            base_url: base_url.expect("the child listens"),
        }
    }

    fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
