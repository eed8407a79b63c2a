//! One case: a scenario played against a server that is killed at given points and started again, until every
//! run is settled. The range and the sender live on in this process, as a vendor and a SIEM do.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use cordon::clock::{Clock as _, SystemClock};
use cordon::id::{AlertId, RunId};
use cordon::range::RunningRange;
use cordon::store::{AlertRow, Disposition, RunRow};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::check::{self, Changes};
use crate::estate::{self, APPROVER, Estate as Systems, KEY};
use crate::scenario::Scenario;
use crate::server::{Ended, Order, Server};
use crate::witness::Sent;

/// How long a case may take before its runs count as stuck.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(25);

/// A folder to start cases from: configuration, content, an empty database, and the tokens of its first start.
pub struct Ground {
    dir: TempDir,
    token: String,
    /// The token of whoever approves.
    approver: String,
    /// The run to undo.
    contained: Option<RunId>,
    /// What was sent already.
    sent: Vec<Sent>,
}

/// What a case showed.
#[derive(Default)]
pub struct Played {
    /// Names of all points passed, where the server was not killed.
    pub passed: Vec<String>,
    /// Names of the points it was killed at.
    pub kills: Vec<String>,
    /// From each start after a kill to the first entry in any journal, ms.
    pub resumed_ms: Vec<u64>,
    /// From the last start after a kill to all runs settled, ms.
    pub settled_ms: Vec<u64>,
    /// From each start to listening, ms.
    pub up_ms: Vec<u64>,
    /// The most calls that one thread made, by name, where they were traced.
    pub calls: Vec<(&'static str, u64)>,
    /// How often each vendor was changed.
    pub changes: Changes,
    pub violations: Vec<String>,
}

struct Estate<'a> {
    dir: &'a Path,
    token: String,
    client: reqwest::Client,
    /// Where the server listens now.
    url: watch::Sender<String>,
    /// What was answered 2xx.
    sent: Mutex<Vec<Sent>>,
}

/// One for all cases: building one reads the machine's root certificates, which takes longer than a case's work.
fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        // Fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap()
    });
    client.clone()
}

async fn start_range(scenario: &Scenario, dir: &Path) -> RunningRange {
    let range = estate::range(&scenario.hosts(), dir).await;
    estate::write(dir, scenario.estate, &range, &estate::store_in_file("cordon.db"));
    range
}

/// Makes the ground of a scenario: what happens before the first kill.
pub async fn prepare(scenario: &Scenario) -> Ground {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("playbooks")).unwrap();
    for playbook in scenario.playbooks {
        estate::write_playbook(dir.path(), playbook);
    }
    let range = start_range(scenario, dir.path()).await;
    let mut server = Server::start(dir.path(), None, None).await.unwrap().unwrap();
    let token = server.token.clone().expect("the first start prints a token");
    let estate = Estate {
        dir: dir.path(),
        token: token.clone(),
        client: client(),
        url: watch::channel(server.url.clone()).0,
        sent: Mutex::default(),
    };
    let approver = estate.token_for(APPROVER).await;
    let mut contained = None;
    if scenario.undo {
        estate.deliver(scenario).await;
        let begun = Instant::now();
        while contained.is_none() {
            assert!(begun.elapsed() < PATIENCE, "{}", server.last_words());
            tokio::time::sleep(LOOK).await;
            let runs = estate.runs().await.unwrap_or_default();
            contained = runs.iter().find(|run| run.end.is_some()).map(|run| run.id);
        }
    }
    assert_eq!(server.stop().await, Ok(Ended::Orderly));
    range.stop().await;
    let sent = estate.sent.into_inner().unwrap();
    Ground {
        dir,
        token,
        approver,
        contained,
        sent,
    }
}

/// Plays a case from its ground. The server dies at each of `kills` in turn, counted from each start. `undisturbed` is
/// what came out without a kill.
pub async fn play(
    scenario: &Scenario,
    ground: &Ground,
    kills: &[Order],
    undisturbed: Option<&Changes>,
) -> Played {
    let dir = tempfile::tempdir().unwrap();
    copy(ground.dir.path(), dir.path());
    let range = start_range(scenario, dir.path()).await;
    if let Some(fault) = scenario.fault {
        range.fault(fault()).unwrap();
    }
    let estate = Estate {
        dir: dir.path(),
        token: ground.token.clone(),
        client: client(),
        url: watch::channel(String::new()).0,
        sent: Mutex::new(ground.sent.clone()),
    };
    let mut played = Played::default();
    let mut starts = Vec::new();
    let served = {
        let send = async {
            match ground.contained {
                Some(run) => estate.undo(run).await,
                None => estate.deliver(scenario).await,
            }
        };
        let serve = estate.serve(scenario, kills, &mut played, &mut starts);
        let people = estate.approve(scenario, &ground.approver);
        tokio::pin!(send, serve, people);
        let mut sending = true;
        // The sender repeats until it is answered, and people look, for as long as the case lasts.
        loop {
            tokio::select! {
                served = &mut serve => break served,
                () = &mut send, if sending => sending = false,
                () = &mut people => {}
            }
        }
    };
    match served {
        Ok(()) => {
            let ledger = range.ledger();
            let sent = estate.sent.lock().unwrap().clone();
            let db = dir.path().join("cordon.db");
            let found = check::check(scenario, &db, &ledger, &sent, &starts, undisturbed).await;
            played.violations.extend(found.violations);
            played.changes = found.changes;
            played.resumed_ms = found.resumed_ms;
        }
        Err(why) => {
            let asked: Vec<_> = range.ledger().lines().to_vec();
            played.violations.push(format!("{why}\n  ledger: {asked:?}"));
        }
    }
    range.stop().await;
    // What a violation left behind, for whoever has to find out why.
    if !played.violations.is_empty()
        && let Some(kept) = std::env::var_os("CORDON_CRASH_KEEP")
    {
        let kept = Path::new(&kept).join(format!("{}-{}", scenario.name, std::process::id()));
        std::fs::create_dir_all(&kept).unwrap();
        copy(dir.path(), &kept);
        std::fs::write(kept.join("violations.txt"), played.violations.join("\n")).unwrap();
    }
    if let [Order::Traced(names)] = kills {
        played.calls = names.iter().map(|name| (*name, most(dir.path(), name))).collect();
    }
    played
}

/// The most calls of a name that one thread made, by the traces in a folder, which are one file for each thread.
fn most(dir: &Path, name: &str) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let traces = files.filter(|file| file.file_name().to_string_lossy().starts_with("calls."));
    let begins = format!("{name}(");
    let counts = traces.map(|file| {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(&begins)).count()
    });
    counts.max().map_or(0, |most| u64::try_from(most).unwrap())
}

impl Estate<'_> {
    async fn serve(
        &self,
        scenario: &Scenario,
        kills: &[Order],
        played: &mut Played,
        starts: &mut Vec<i64>,
    ) -> Result<(), String> {
        let log = self.dir.join("points");
        let mut orders: VecDeque<Order> = kills.iter().cloned().collect();
        let begun = Instant::now();
        let mut started = Instant::now();
        let mut order = orders.pop_front();
        let mut server = Server::start(self.dir, order.clone(), Some(&log)).await?;
        loop {
            let ended = match &mut server {
                Some(server) => server.ended()?,
                None => Some(Ended::Killed),
            };
            let ended = match (ended, &mut server) {
                (None, Some(server)) => {
                    if *self.url.borrow() != server.url {
                        played.up_ms.push(ms(server.up_after));
                        self.url.send_replace(server.url.clone());
                    }
                    if self.is_settled(scenario).await {
                        let after = ms(started.elapsed());
                        // A settled run owes nothing any more, so nothing is lost without an orderly end.
                        let ended = if kills.is_empty() {
                            server.stop().await?
                        } else {
                            server.kill().await?
                        };
                        if !played.kills.is_empty() {
                            played.settled_ms.push(after);
                        }
                        Some(ended)
                    } else if begun.elapsed() > PATIENCE {
                        let runs = self.runs().await;
                        return Err(format!("not settled: {runs:?}\n{}", server.last_words()));
                    } else {
                        None
                    }
                }
                (ended, _) => ended,
            };
            match ended {
                None => tokio::time::sleep(LOOK).await,
                Some(Ended::Orderly) => break,
                Some(Ended::Killed) => {
                    played.kills.push(match &order {
                        Some(Order::Syscall(name, _)) => (*name).to_owned(),
                        _ => last_line(&log),
                    });
                    started = Instant::now();
                    starts.push(SystemClock.now().0);
                    order = orders.pop_front();
                    // Without an order every point would be noted, and the name of the kill be lost among them.
                    let log = order.is_some().then_some(log.as_path());
                    server = Server::start(self.dir, order.clone(), log).await?;
                }
            }
        }
        if kills.is_empty() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            played.passed = log.lines().map(str::to_owned).collect();
        }
        Ok(())
    }

    async fn is_settled(&self, scenario: &Scenario) -> bool {
        let runs = self.runs().await.unwrap_or_default();
        runs.len() >= scenario.expected.runs
            && runs.iter().all(|run| run.end.is_some())
            && self.list("alerts").await.is_some_and(|list| {
                let alerts: Vec<AlertRow> = serde_json::from_value(list).unwrap();
                alerts
                    .iter()
                    .all(|alert| alert.disposition != Disposition::Pending)
            })
            && (scenario.expected.holders > 0 || self.holds_nothing().await)
            && (scenario.estate == Systems::Falcon || self.told_everybody().await)
    }

    /// Whether every notice that the journal gave rise to has reached somebody.
    async fn told_everybody(&self) -> bool {
        let Some(Value::Array(list)) = self.list("notifications").await else {
            return false;
        };
        list.iter().all(|notice| notice["state"] == "delivered")
    }

    async fn holds_nothing(&self) -> bool {
        let held = self.list("contained").await;
        held.is_some_and(|held| held.as_array().is_some_and(Vec::is_empty))
    }

    async fn runs(&self) -> Option<Vec<RunRow>> {
        serde_json::from_value(self.list("runs").await?).ok()
    }

    /// What the API lists; `None` where it does not answer.
    async fn list(&self, what: &str) -> Option<serde_json::Value> {
        let url = format!("{}/api/{what}", *self.url.borrow());
        let answer = self.client.get(url).bearer_auth(&self.token).send().await.ok()?;
        let mut body: serde_json::Value = answer.json().await.ok()?;
        Some(body.get_mut(what)?.take())
    }

    /// Sends every alert until it is answered 2xx, as a SIEM does.
    async fn deliver(&self, scenario: &Scenario) {
        for alert in scenario.alerts {
            let body = alert.body(&estate::channel());
            let answer = self
                .until_answered("/hooks/generic", |request| {
                    request.header("x-cordon-key", KEY).body(body.clone())
                })
                .await;
            let alert: AlertId = serde_json::from_value(answer["alert"].clone()).unwrap();
            let sent = Sent { alert, runs: Some(1) };
            self.sent.lock().unwrap().push(sent);
        }
    }

    async fn undo(&self, run: RunId) {
        self.until_answered(&format!("/api/runs/{run}/undo"), |request| {
            request
                .bearer_auth(&self.token)
                .body(r#"{"reason":"false alarm"}"#)
        })
        .await;
    }

    /// Makes a principal.
    async fn token_for(&self, name: &str) -> String {
        let body = json!({ "name": name }).to_string();
        let made = self
            .until_answered("/api/tokens", |request| {
                request.bearer_auth(&self.token).body(body.clone())
            })
            .await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// Agrees to whatever is asked, for as long as the case lasts.
    async fn approve(&self, scenario: &Scenario, token: &str) {
        if scenario.estate == Systems::Falcon {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(LOOK * 4).await;
            let Some(Value::Array(list)) = self.list("approvals").await else {
                continue;
            };
            for asked in list.iter().filter(|asked| asked["open"] == true) {
                let path = format!("/api/approvals/{}/approve", asked["id"].as_str().unwrap());
                let url = format!("{}{path}", *self.url.borrow());
                let body = json!({ "reason": "seen", "digest": asked["digest"] });
                // An answer that is lost, or comes to a server that is dying, is given again by the next look.
                let _ = self.client.post(url).bearer_auth(token).json(&body).send().await;
            }
        }
    }

    /// Asks until it is answered 2xx, and answers with the body.
    async fn until_answered(
        &self,
        path: &str,
        with: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Value {
        loop {
            let url = format!("{}{path}", *self.url.borrow());
            let request = self.client.post(url).header("content-type", "application/json");
            if let Ok(answer) = with(request).send().await
                && answer.status().is_success()
                && let Ok(body) = answer.json().await
            {
                return body;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("unnamed").to_owned()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
