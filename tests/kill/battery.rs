//! The battery: load, kills, peace, judgement, figures.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cordon::range::{Range, RangeConfig, RunningRange};
use cordon::store::Store;
use cordon::store::redis::{self, Address, Promise, RedisStore};
use cordon::store::sqlite::{Options, SqliteStore};
use serde_json::Value;
use tempfile::TempDir;

use super::estate::{Estate, LEDGER, store_in_file, store_on_redis, write, write_playbook};
use super::figures::{Spread, resumes, takeovers};
use super::form::{Form, Keep};
use super::load::{PLAYBOOKS, RUNS_EACH, range, send};
use super::nodes::Nodes;
use super::witness::{Facts, violations};

/// How long nothing may change, once nobody is killed any more and before everything has come to rest. What piled up
/// while servers were down takes its time; of many leases on one host only the last is seen at the vendor.
const PEACE: Duration = Duration::from_secs(60);

/// Written past the capture of the test harness, so that the figures are always seen.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Plays it; panics where anything is not as it has to be.
pub async fn kill_under_load(form: &Form) {
    let begun = Instant::now();
    say(&format!("kill battery: {form}"));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    let house = tempfile::tempdir().unwrap();
    let range = Range::start(RangeConfig {
        ledger: Some(house.path().join(LEDGER)),
        ..range()
    })
    .await
    .unwrap();
    let folders: Vec<TempDir> = (0..form.nodes()).map(|_| tempfile::tempdir().unwrap()).collect();
    let prefix = prefix();
    for (n, folder) in folders.iter().enumerate() {
        let store = match &form.keep {
            Keep::Sqlite => store_in_file(&house.path().join("cordon.db").display().to_string()),
            Keep::Redis(url) => store_on_redis(url, &prefix, &format!("node-{n}")),
        };
        write(folder.path(), Estate::Company, &range, &store);
        for playbook in &PLAYBOOKS {
            write_playbook(folder.path(), playbook);
        }
    }
    let mut nodes = Nodes::start(folders.iter().map(TempDir::path).collect()).await;
    let token = nodes.token();

    let alerts = form.runs.div_ceil(RUNS_EACH);
    let sending = tokio::spawn(send(
        alerts,
        Duration::from_millis(form.pace_ms),
        nodes.urls(),
        client.clone(),
    ));
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(in_flight(
        client.clone(),
        nodes.urls(),
        token.clone(),
        over.clone(),
    ));
    let deaths = nodes.kill(form, || sending.is_finished()).await;
    let sent = sending.await.unwrap();
    over.store(true, Ordering::SeqCst);
    let in_flight = watching.await.unwrap();
    if let Err(left) = at_rest(&client, &nodes, &token, &range).await {
        panic!(
            "it does not come to rest: {left}\n{}\nagain with: {}",
            nodes.last_words(),
            form.again()
        );
    }
    nodes.stop().await;

    let store = open(&form.keep, house.path(), &prefix).await;
    let facts = Facts::gather(&*store, &sent, range.ledger().lines())
        .await
        .unwrap();
    report(form, &facts, &deaths, &in_flight, begun, &range);
    range.stop().await;
}

/// The store, once nobody else has it.
async fn open(keep: &Keep, house: &Path, prefix: &str) -> Box<dyn Store> {
    match keep {
        Keep::Sqlite => Box::new(SqliteStore::open(house.join("cordon.db"), Options::default()).unwrap()),
        Keep::Redis(url) => Box::new(open_redis(url, prefix).await),
    }
}

/// A store in Redis, beside whoever else has it.
pub(super) async fn open_redis(url: &str, prefix: &str) -> RedisStore {
    let options = redis::Options {
        address: Address::parse(&format!("{url}?prefix={prefix}")).unwrap(),
        password: None,
        sentinel_password: None,
        ca: None,
        promise: Promise::default(),
        node: "judge".to_owned(),
        witness: None,
    };
    RedisStore::open(options).await.unwrap()
}

/// A prefix that no other battery uses, here or elsewhere.
fn prefix() -> String {
    let mut drawn = [0; 6];
    getrandom::fill(&mut drawn).unwrap();
    format!("k{}:", data_encoding::HEXLOWER.encode(&drawn))
}

async fn get(client: &reqwest::Client, url: &str, token: &str, path: &str) -> Option<Value> {
    let answer = client
        .get(format!("{url}{path}"))
        .bearer_auth(token)
        .send()
        .await
        .ok()?;
    answer.json().await.ok()
}

/// How many runs were under way, seen once a second.
async fn in_flight(
    client: reqwest::Client,
    urls: tokio::sync::watch::Receiver<Vec<Option<String>>>,
    token: String,
    over: Arc<AtomicBool>,
) -> Spread {
    let mut seen = Vec::new();
    while !over.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let url = urls.borrow().iter().flatten().next().cloned();
        let Some(url) = url else { continue };
        let list = get(&client, &url, &token, "/api/runs?status=open&limit=500").await;
        let runs = list.as_ref().and_then(|list| list["runs"].as_array());
        seen.extend(runs.map(|runs| u64::try_from(runs.len()).unwrap()));
    }
    Spread::of(seen)
}

/// Waits until everything has come to rest: no run open, nothing held, no alert pending. `Err` says what is left when
/// nothing changes any more.
async fn at_rest(
    client: &reqwest::Client,
    nodes: &Nodes<'_>,
    token: &str,
    range: &RunningRange,
) -> Result<(), String> {
    let url = nodes.urls().borrow().iter().flatten().next().cloned().unwrap();
    let mut last = (String::new(), Instant::now());
    let mut quiet = 0;
    while last.1.elapsed() < PEACE {
        let mut now = format!("{} changes at vendors", range.ledger().lines().len());
        let mut still = true;
        for (path, what) in [
            ("/api/runs?status=open&limit=500", "runs"),
            ("/api/contained", "contained"),
            ("/api/alerts?disposition=pending&limit=500", "alerts"),
        ] {
            let list = get(client, &url, token, path).await.unwrap_or_default();
            let left = list[what].as_array();
            still &= left.is_some_and(Vec::is_empty);
            now.push_str(&format!("; {what}: {}", list[what]));
        }
        if now != last.0 {
            last = (now, Instant::now());
        }
        // The end of a lease is a run that is not there yet when the hold is looked at: look again.
        quiet = if still { quiet + 1 } else { 0 };
        if quiet == 3 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Err(last.0.chars().take(20_000).collect())
}

fn report(
    form: &Form,
    facts: &Facts,
    deaths: &[super::nodes::Death],
    in_flight: &Spread,
    begun: Instant,
    range: &RunningRange,
) {
    let found = violations(facts);
    for violation in &found {
        say(&format!("VIOLATION: {violation}"));
    }
    let (runs, kills) = (facts.runs.len(), deaths.len());
    let unended = facts.runs.iter().filter(|run| run.row.end.is_none()).count();
    let ups = Spread::of(deaths.iter().map(|death| death.up_ms).collect());
    let changes = range
        .ledger()
        .lines()
        .iter()
        .filter(|line| line.changed_state())
        .count();
    say(&format!("start to listening: {ups}"));
    say(&format!(
        "runs under way: p50 {} max {}",
        in_flight.percent(50),
        in_flight.percent(100)
    ));
    let (resume, takeover) = (resumes(facts, deaths), takeovers(facts, deaths));
    match form.keep {
        Keep::Sqlite => say(&format!("resume: {resume}")),
        Keep::Redis(_) => say(&format!("takeover: {takeover}")),
    }
    say(&format!(
        "kill battery: {kills} kills, {runs} runs of {} alerts, {changes} changes at vendors, {} violations, \
         resume p50 {} p99 {} ms, takeover p50 {} p99 {} ms, in {} s; again with: {}",
        facts.sent.len(),
        found.len(),
        resume.percent(50),
        resume.percent(99),
        takeover.percent(50),
        takeover.percent(99),
        begun.elapsed().as_secs(),
        form.again()
    ));
    assert_eq!(
        found.len(),
        0,
        "violations, see above; again with: {}",
        form.again()
    );
    assert_eq!(unended, 0, "runs have not ended");
    assert_eq!(
        facts.sent.len(),
        usize::try_from(form.runs.div_ceil(RUNS_EACH)).unwrap()
    );
    assert!(
        u64::try_from(kills).unwrap() >= form.kills,
        "{kills} kills are too few"
    );
}
