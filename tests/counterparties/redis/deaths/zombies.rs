//! Zombies: a server is stopped for longer than its claim lasts, right where it hurts; another one takes its run over and
//! brings it to its end; then the first one wakes. It writes nothing any more. Where it was stopped between its last look
//! at the claim and the request, the request may go out late: the one place where ARCHITECTURE says that a vendor may be
//! asked a second time, and a vendor that puts a target in a state is not changed by it.

use std::path::Path;
use std::time::{Duration, Instant};

use cordon::journal::ChainId;
use cordon::range::{Fault, FaultKind, Range, RangeConfig, RunningRange};
use cordon::store::{RunRow, Runs as _};
use serde_json::{Value, json};

use super::battery::open_redis;
use super::estate::{Estate, KEY, Playbook, store_on_redis, write, write_playbook};
use super::server::{Ended, Order, Server};
use super::witness::{Facts, Invariant, Sent, violations};

/// Longer than a claim (15 s), the pauses of a run and a slow machine together.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);
/// How long a woken server is left alone before it is judged: it has tried everything it had in hand by then.
const AWAKE: Duration = Duration::from_secs(3);

const KEPT: Playbook = Playbook {
    on_failure: "keep",
    id: "zombie",
    script: "endpoint::isolate(finding.affected(\"host\"));\n",
};
const LEASED: Playbook = Playbook {
    on_failure: "keep",
    id: "zombie",
    script: "endpoint::isolate(finding.affected(\"host\"), #{ lease: \"1s\" });\n",
};

/// Where a server falls asleep.
enum Asleep {
    /// At this crash point, when it passes it for the first time.
    At(&'static str),
    /// While the vendor, which has done what it was asked, holds the answer back.
    Unanswered,
}

struct Story {
    asleep: Asleep,
    playbook: Playbook,
    /// How many runs there are in the end.
    runs: usize,
    /// Whether the one that wakes may ask the vendor once more: what comes first then, its request or the word that its
    /// claim is gone, is chance.
    may_send_late: bool,
}

impl Story {
    fn at(point: &'static str) -> Story {
        Story {
            asleep: Asleep::At(point),
            playbook: KEPT,
            runs: 1,
            may_send_late: false,
        }
    }
}

async fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy();
    builder.timeout(Duration::from_secs(5)).build().unwrap()
}

async fn runs(client: &reqwest::Client, server: &Server, token: &str) -> Vec<RunRow> {
    let url = format!("{}/api/runs", server.url);
    let Ok(answer) = client.get(url).bearer_auth(token).send().await else {
        return Vec::new();
    };
    let mut body: Value = answer.json().await.unwrap_or_default();
    serde_json::from_value(body["runs"].take()).unwrap_or_default()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(LOOK).await;
    }
}

/// How often a server was told that its run is another's by now.
fn refusals(server: &Server) -> usize {
    let said = server.said.lock().unwrap();
    said.iter()
        .filter(|line| line.contains("the claim on the run is over"))
        .count()
}

fn contains(range: &RunningRange) -> usize {
    range.ledger().applied("contain", "web-07")
}

/// Writes the folder of one node.
fn node(dir: &Path, name: &str, range: &RunningRange, url: &str, prefix: &str, playbook: &Playbook) {
    write(dir, Estate::Falcon, range, &store_on_redis(url, prefix, name));
    write_playbook(dir, playbook);
}

async fn play(story: Story) {
    let url = crate::told("CORDON_REDIS_URL");
    let prefix = crate::redis::stores::prefix();
    let client = client().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let range = Range::start(RangeConfig::example(&["web-07"])).await.unwrap();
    if matches!(story.asleep, Asleep::Unanswered) {
        range
            .fault(Fault::on_action("contain", FaultKind::Slow { ms: 1_500 }))
            .unwrap();
    }
    node(first.path(), "first", &range, &url, &prefix, &story.playbook);
    node(second.path(), "second", &range, &url, &prefix, &story.playbook);

    // The first falls asleep in the middle of its run.
    let log = first.path().join("points");
    let order = match story.asleep {
        Asleep::At(point) => Some(Order::Sleep(point)),
        Asleep::Unanswered => None,
    };
    let mut zombie = Server::start(first.path(), order, Some(&log))
        .await
        .unwrap()
        .unwrap();
    let token = zombie.token.clone().unwrap();
    let body = json!({
        "uid": "z-1", "title": "beacon found", "severity": "high",
        "rule": { "uid": "zombie", "name": "zombie" },
        "entities": [{ "type": "host", "role": "affected", "name": "web-07" }],
    });
    let hook = format!("{}/hooks/generic", zombie.url);
    let answer = client
        .post(hook)
        .header("x-cordon-key", KEY)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
    let mut answer: Value = answer.json().await.unwrap();
    let sent = Sent {
        alert: serde_json::from_value(answer["alert"].take()).unwrap(),
        runs: Some(1),
    };
    until("its sleep", async || match story.asleep {
        Asleep::At(point) => std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .any(|line| line == point),
        Asleep::Unanswered => contains(&range) == 1,
    })
    .await;
    if matches!(story.asleep, Asleep::Unanswered) {
        zombie.signal(rustix::process::Signal::STOP);
    }

    // The second takes over, and brings everything to its end.
    let mut heir = Server::start(second.path(), None, None).await.unwrap().unwrap();
    until("the end of every run", async || {
        let runs = runs(&client, &heir, &token).await;
        runs.len() == story.runs && runs.iter().all(|run| run.end.is_some())
    })
    .await;
    let store = open_redis(&url, &prefix).await;
    let mut before = Vec::new();
    for run in runs(&client, &heir, &token).await {
        before.push((
            run.id,
            store
                .journal(run.id.partition(), ChainId::Run(run.id), 0)
                .await
                .unwrap(),
        ));
    }
    let asked = contains(&range);

    // The first wakes, and is told that nothing of it is its own any more.
    zombie.signal(rustix::process::Signal::CONT);
    until("its refusal", async || refusals(&zombie) > 0).await;
    tokio::time::sleep(AWAKE).await;
    for (run, journal) in before {
        let now = store
            .journal(run.partition(), ChainId::Run(run), 0)
            .await
            .unwrap();
        assert_eq!(now, journal, "a server that was fenced wrote to {run}");
    }
    let late = contains(&range) - asked;
    assert!(
        late <= usize::from(story.may_send_late),
        "{:?}",
        range.ledger().lines()
    );
    assert_eq!(zombie.stop().await, Ok(Ended::Orderly), "{}", zombie.last_words());
    assert_eq!(heir.stop().await, Ok(Ended::Orderly), "{}", heir.last_words());

    let facts = Facts::gather(&store, &[sent], range.ledger().lines())
        .await
        .unwrap();
    let found = violations(&facts);
    let absorbed = found
        .iter()
        .filter(|violation| story.may_send_late && violation.of == Invariant::I3)
        .count();
    assert_eq!(found.len(), absorbed, "{found:#?}");
    assert_eq!(absorbed, late, "{found:#?}");
    assert_eq!(
        range.ledger().changed("contain", "web-07"),
        1,
        "{:?}",
        range.ledger().lines()
    );
    range.stop().await;
}

macro_rules! zombies {
    ($($name:ident: $story:expr;)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            play($story).await;
        }
    )+};
}

zombies! {
    a_zombie_that_slept_before_an_intent_was_written: Story::at("record.before-append");
    a_zombie_that_slept_after_its_intent_sends_nothing: Story::at("record.after-append");
    a_zombie_that_slept_with_the_target_held: Story::at("prepare.after-hold");
    a_zombie_that_slept_between_its_last_look_and_the_request_may_send_late: Story {
        may_send_late: true,
        ..Story::at("act.before-request")
    };
    a_zombie_that_slept_while_the_vendor_held_the_answer: Story {
        asleep: Asleep::Unanswered,
        ..Story::at("")
    };
    a_zombie_that_slept_with_the_answer_in_hand: Story::at("act.after-answer");
    a_zombie_that_slept_while_it_verified: Story::at("verify.after-reading");
    a_zombie_that_slept_in_the_end_of_a_lease: Story {
        playbook: LEASED,
        runs: 2,
        ..Story::at("prepare.after-hold-end")
    };
    a_zombie_that_slept_before_its_run_settled: Story::at("run.before-settling");
}
