//! Clients of a store that write without a pause and note what was acknowledged to them. They do what workers do:
//! create a run, claim it, append, lose the claim to another and find out, keep alerts, win keys, take locks. What was
//! not acknowledged is asked again, as the store's contract allows.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::finding::SeverityId;
use cordon::id::{AlertId, EffectId, Partition, RunId};
use cordon::journal::{ChainId, End, Entry, Event, seal};
use cordon::store::{
    Accepted, Claim, Claimed, Created, Disposition, Error, Locked, NewAlert, NewRun, RunRow, RunStatus,
    RunUpdate, Store,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dice::Dice;

pub type Any = Arc<dyn Store>;

const HOUR_MS: u64 = 3_600_000;
/// How long a client goes on asking for one thing once it was told to stop.
const GRACE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// What one client knows of one chain.
#[derive(Clone, Debug)]
pub struct Story {
    pub chain: ChainId,
    /// Entries that were acknowledged, in order.
    pub acked: Vec<Entry>,
    /// What was asked for next, and not answered.
    pub doubt: Vec<Entry>,
}

/// What a client was told it has, beside entries.
#[derive(Clone, Debug)]
pub enum Fact {
    Key {
        key: Digest,
        owner: String,
    },
    Lock {
        key: String,
        effect: EffectId,
        run: RunId,
    },
}

/// What all clients see together.
pub struct Board {
    base: Instant,
    /// When the last blow fell, ms since the base.
    blow: AtomicI64,
    /// From the blow to the first answer of something asked after it, ms, by partition; -1 before.
    first: [AtomicI64; 16],
    /// When something was answered, ms since the base, and in which partition.
    answers: Mutex<Vec<(i64, u8)>>,
    pub acked: AtomicU64,
    /// Times something was asked again because it was not answered.
    pub again: AtomicU64,
    /// Times a claim was gone.
    pub fenced: AtomicU64,
    /// Partitions in which the store said that acknowledged writes are gone, and its words.
    pub parked: Mutex<BTreeMap<u8, String>>,
    /// What no store may do.
    pub violations: Mutex<Vec<String>>,
    /// The last errors, for whoever has to find out.
    pub errors: Mutex<BTreeMap<String, u64>>,
}

impl Board {
    pub fn new() -> Arc<Board> {
        Arc::new(Board {
            base: Instant::now(),
            blow: AtomicI64::new(i64::MAX),
            first: std::array::from_fn(|_| AtomicI64::new(-1)),
            answers: Mutex::default(),
            acked: AtomicU64::new(0),
            again: AtomicU64::new(0),
            fenced: AtomicU64::new(0),
            parked: Mutex::default(),
            violations: Mutex::default(),
            errors: Mutex::default(),
        })
    }

    fn now(&self) -> i64 {
        i64::try_from(self.base.elapsed().as_millis()).unwrap()
    }

    /// From now on first answers are waited for.
    pub fn blow(&self) {
        for first in &self.first {
            first.store(-1, Ordering::SeqCst);
        }
        self.blow.store(self.now(), Ordering::SeqCst);
    }

    /// The longest time after the blow in which nobody was answered in any of these partitions, ms; `None` where
    /// nobody was any more.
    pub fn silence_ms(&self, partitions: &[u8]) -> Option<i64> {
        let blow = self.blow.load(Ordering::SeqCst);
        let mut times: Vec<i64> = self
            .answers
            .lock()
            .unwrap()
            .iter()
            .copied()
            .filter_map(|(at, partition)| (at >= blow && partitions.contains(&partition)).then_some(at))
            .collect();
        times.sort_unstable();
        let first = times.first()? - blow;
        times.windows(2).map(|two| two[1] - two[0]).chain([first]).max()
    }

    /// Partitions among these that were written to since the blow, or will not be any more.
    pub fn heard_of(&self, partitions: &[u8]) -> usize {
        let parked = self.parked.lock().unwrap();
        let heard =
            |n: &&u8| self.first[usize::from(**n)].load(Ordering::SeqCst) >= 0 || parked.contains_key(n);
        partitions.iter().filter(heard).count()
    }

    fn answered(&self, partition: Partition, began: i64) {
        self.acked.fetch_add(1, Ordering::SeqCst);
        self.answers.lock().unwrap().push((self.now(), partition.index()));
        let blow = self.blow.load(Ordering::SeqCst);
        if began >= blow {
            let first = &self.first[usize::from(partition.index())];
            // Only the first counts; whoever comes later finds it set.
            let _ = first.compare_exchange(-1, self.now() - blow, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    fn violation(&self, text: String) {
        self.violations.lock().unwrap().push(text);
    }

    pub fn is_parked(&self, partition: Partition) -> bool {
        self.parked.lock().unwrap().contains_key(&partition.index())
    }
}

/// Why a client leaves what it was at.
enum Leave {
    /// The partition is parked, or it is time to stop.
    Over,
    /// The store says no, in a way that the caller has to understand.
    Said(Error),
}

/// Whether the store says that acknowledged writes are gone.
fn says_lost(error: &Error) -> bool {
    crate::open::says_lost(error)
}

struct Client {
    store: Any,
    /// Another node's.
    other: Any,
    name: String,
    dice: Dice,
    board: Arc<Board>,
    told: watch::Receiver<bool>,
    /// A clock of its own that only goes forward, so that a claim can always be taken over.
    hours: u64,
    stories: Vec<Story>,
    facts: Vec<Fact>,
}

/// What the clients were told, once they have stopped.
#[derive(Default)]
pub struct Told {
    pub stories: Vec<Story>,
    pub facts: Vec<Fact>,
}

/// Clients at work.
pub struct Load {
    clients: JoinSet<Told>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// Sets `count` clients to work, spread over these stores.
    pub fn start(stores: &[Any], count: usize, seed: u64, board: &Arc<Board>) -> Load {
        let (stop, told) = watch::channel(false);
        let mut clients = JoinSet::new();
        for n in 0..count {
            let name = format!("client {n} of {seed}");
            let client = Client {
                store: stores[n % stores.len()].clone(),
                other: stores[(n + 1) % stores.len()].clone(),
                dice: Dice::of(seed, &name),
                name,
                board: board.clone(),
                told: told.clone(),
                hours: 1,
                stories: Vec::new(),
                facts: Vec::new(),
            };
            clients.spawn(client.work());
        }
        Load { clients, stop }
    }

    /// Tells them to stop and hears what they know.
    pub async fn stop(mut self) -> Told {
        self.stop.send_replace(true);
        let mut told = Told::default();
        while let Some(done) = self.clients.join_next().await {
            let done = done.unwrap();
            told.stories.extend(done.stories);
            told.facts.extend(done.facts);
        }
        told
    }
}

impl Client {
    async fn work(mut self) -> Told {
        for n in 0_u64.. {
            if *self.told.borrow() {
                break;
            }
            // A part that was left is told of in the stories; the next is begun.
            let left = match n % 3 {
                0 => self.alert(n).await,
                _ => self.run(n).await,
            };
            if let Err(Leave::Said(error)) = left {
                self.board.violation(format!("{}: {error}", self.name));
            }
            // Where everything is parked there is nothing to wait for.
            tokio::task::yield_now().await;
            if left_idle(&self.board) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Told {
            stories: self.stories,
            facts: self.facts,
        }
    }

    /// Asks until there is an answer.
    async fn ask<T, F, G>(&self, partition: Partition, op: F) -> Result<T, Leave>
    where
        F: Fn(Any) -> G,
        G: Future<Output = Result<T, Error>>,
    {
        let mut stopped: Option<Instant> = None;
        loop {
            if self.board.is_parked(partition) {
                return Err(Leave::Over);
            }
            let began = self.board.now();
            match op(self.store.clone()).await {
                Ok(answer) => {
                    self.board.answered(partition, began);
                    return Ok(answer);
                }
                Err(error) if says_lost(&error) => {
                    let mut parked = self.board.parked.lock().unwrap();
                    parked
                        .entry(partition.index())
                        .or_insert_with(|| error.to_string());
                    return Err(Leave::Over);
                }
                Err(error) if error.may_pass() => {
                    self.board.again.fetch_add(1, Ordering::SeqCst);
                    *self
                        .board
                        .errors
                        .lock()
                        .unwrap()
                        .entry(error.to_string())
                        .or_default() += 1;
                    if *self.told.borrow() && stopped.get_or_insert_with(Instant::now).elapsed() > GRACE {
                        return Err(Leave::Over);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(Leave::Said(error)),
            }
        }
    }

    fn entry(&mut self, chain: ChainId, previous: &Digest, seq: u64, epoch: u64) -> Entry {
        let event = Event::RunClaimed {
            epoch,
            worker: self.name.clone(),
        };
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&self.dice.draw().to_be_bytes());
        seal(chain, previous, seq, Time(1_000), &event, salt).unwrap()
    }

    fn batch(&mut self, story: &Story, epoch: u64, count: u64) -> Vec<Entry> {
        let (mut last, mut seq) = story
            .acked
            .last()
            .map_or((Digest::ZERO, 0), |entry| (entry.digest, entry.seq + 1));
        let mut batch = Vec::new();
        for _ in 0..count {
            let entry = self.entry(story.chain, &last, seq, epoch);
            (last, seq) = (entry.digest, seq + 1);
            batch.push(entry);
        }
        batch
    }

    /// Claims a run, whoever has it.
    async fn claim(&mut self, run: RunId, worker: &str) -> Result<Claim, Leave> {
        loop {
            self.hours += 2;
            let now = Time(1_000).plus_ms(self.hours * HOUR_MS);
            let claimed = self
                .ask(run.partition(), |store| async move {
                    store
                        .claim_run(run.partition(), run, worker, now, now.plus_ms(HOUR_MS))
                        .await
                })
                .await?;
            if let Some(claim) = claimed {
                return Ok(claim);
            }
        }
    }

    async fn run(&mut self, n: u64) -> Result<(), Leave> {
        let run = RunId::derive(&[self.name.as_bytes(), &n.to_be_bytes()]);
        if self.board.is_parked(run.partition()) {
            return Ok(());
        }
        let mut story = Story {
            chain: ChainId::Run(run),
            acked: Vec::new(),
            doubt: Vec::new(),
        };
        let left = self.live(run, &mut story).await;
        self.stories.push(story);
        left
    }

    async fn live(&mut self, run: RunId, story: &mut Story) -> Result<(), Leave> {
        let partition = run.partition();
        story.doubt = self.batch(story, 0, 1);
        let new = new_run(run, story.doubt[0].clone());
        let created = self
            .ask(partition, |store| {
                let new = new.clone();
                async move { store.create_run(partition, new).await }
            })
            .await?;
        // `Exists` is the answer to something asked again.
        assert!(matches!(created, Created::New | Created::Exists));
        story.acked.append(&mut story.doubt);
        let name = self.name.clone();
        let mut claim = self.claim(run, &name).await?;
        let steps = self.dice.between(1, 6);
        for step in 1..=steps {
            if self.dice.chance(60) {
                self.robbed(run, story, &claim).await?;
            }
            let last = step == steps;
            let count = self.dice.between(1, 3);
            loop {
                story.doubt = self.batch(story, claim.epoch, count);
                if self.append(run, &claim, story, last).await? {
                    story.acked.append(&mut story.doubt);
                    break;
                }
                claim = self.claim(run, &name).await?;
                if self.was_written(run, story).await? {
                    story.acked.append(&mut story.doubt);
                    break;
                }
                story.doubt.clear();
            }
        }
        if self.dice.chance(300) {
            self.win(run).await?;
        }
        Ok(())
    }

    /// Whether it was appended; not when the claim was gone.
    async fn append(&self, run: RunId, claim: &Claim, story: &Story, last: bool) -> Result<bool, Leave> {
        let (partition, len) = (run.partition(), u64::try_from(story.acked.len()).unwrap());
        let update = RunUpdate {
            status: if last { RunStatus::Settled } else { RunStatus::Open },
            end: last.then_some(End::Succeeded),
            wake_at: None,
            waits_for: String::new(),
            release: last,
            approvals: Vec::new(),
        };
        let answer = self
            .ask(partition, |store| {
                let (claim, entries, update) = (claim.clone(), story.doubt.clone(), update.clone());
                async move {
                    store
                        .append(partition, &claim, len, Time(2_000), entries, update)
                        .await
                }
            })
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(Leave::Said(Error::Fenced { .. })) => {
                self.board.fenced.fetch_add(1, Ordering::SeqCst);
                Ok(false)
            }
            Err(left) => Err(left),
        }
    }

    /// After a claim was lost with an append under way: whether that is in the journal.
    async fn was_written(&self, run: RunId, story: &Story) -> Result<bool, Leave> {
        let (partition, from) = (run.partition(), u64::try_from(story.acked.len()).unwrap());
        let there = self
            .ask(partition, |store| async move {
                store.journal(partition, story.chain, from).await
            })
            .await?;
        if !there.is_empty() && there != story.doubt {
            let text = format!("{run} has from {from} on {there:?} instead of {:?}", story.doubt);
            self.board.violation(text);
        }
        Ok(!there.is_empty())
    }

    /// Another node takes the run over and appends; what the first appends after that must be refused.
    async fn robbed(&mut self, run: RunId, story: &mut Story, claim: &Claim) -> Result<(), Leave> {
        let own = std::mem::replace(&mut self.store, self.other.clone());
        let robbed = self.rob(run, story).await;
        self.store = own;
        robbed?;
        let stale = self.batch(story, claim.epoch, 1);
        let before = std::mem::replace(&mut story.doubt, stale);
        if self.append(run, claim, story, false).await? {
            self.board.violation(format!(
                "{run}: appended under epoch {} that was gone",
                claim.epoch
            ));
        }
        story.doubt = before;
        Ok(())
    }

    async fn rob(&mut self, run: RunId, story: &mut Story) -> Result<(), Leave> {
        let thief = format!("{}, robbed", self.name);
        loop {
            let claim = self.claim(run, &thief).await?;
            story.doubt = self.batch(story, claim.epoch, 1);
            if self.append(run, &claim, story, false).await? || self.was_written(run, story).await? {
                story.acked.append(&mut story.doubt);
                return Ok(());
            }
            story.doubt.clear();
        }
    }

    /// Wins a key and takes a lock, which are nobody else's from then on.
    async fn win(&mut self, run: RunId) -> Result<(), Leave> {
        let key = Digest::of(format!("key of {run}").as_bytes());
        let partition = Partition::of(&key);
        let owner = run.to_string();
        let claimed = self
            .ask(partition, |store| {
                let owner = owner.clone();
                async move {
                    let until = Time(1_000).plus_ms(1_000_000 * HOUR_MS);
                    store.claim_once(partition, key, &owner, Time(1_000), until).await
                }
            })
            .await?;
        if claimed != Claimed::Won {
            self.board
                .violation(format!("{owner} lost its own key: {claimed:?}"));
        }
        self.facts.push(Fact::Key { key, owner });
        let key = format!("range/host/{run}");
        let (partition, effect) = (Partition::of_text(&key), EffectId::derive(&[key.as_bytes()]));
        let locked = self
            .ask(partition, |store| {
                let key = key.clone();
                async move {
                    store
                        .lock(partition, Time(i64::MAX), &key, effect, run, Time(1_000))
                        .await
                }
            })
            .await?;
        if locked != Locked::Granted {
            self.board.violation(format!("{key} was locked: {locked:?}"));
        }
        self.facts.push(Fact::Lock { key, effect, run });
        Ok(())
    }

    async fn alert(&mut self, n: u64) -> Result<(), Leave> {
        let alert = AlertId::derive(&[self.name.as_bytes(), &n.to_be_bytes()]);
        let partition = alert.partition();
        if self.board.is_parked(partition) {
            return Ok(());
        }
        let mut story = Story {
            chain: ChainId::Alert(alert),
            acked: Vec::new(),
            doubt: Vec::new(),
        };
        let left = self.keep(alert, &mut story).await;
        self.stories.push(story);
        left
    }

    async fn keep(&mut self, alert: AlertId, story: &mut Story) -> Result<(), Leave> {
        let partition = alert.partition();
        story.doubt = self.batch(story, 0, 1);
        let new = NewAlert {
            id: alert,
            source: "siem".into(),
            received_at: Time(1_000),
            headers: Vec::new(),
            body: b"{}".to_vec(),
            entry: story.doubt[0].clone(),
        };
        let kept = self
            .ask(partition, |store| {
                let new = new.clone();
                async move { store.accept(partition, new).await }
            })
            .await?;
        assert!(matches!(kept, Accepted::New | Accepted::Repeat { .. }));
        story.acked.append(&mut story.doubt);
        story.doubt = self.batch(story, 0, 1);
        let entries = story.doubt.clone();
        self.ask(partition, |store| {
            let entries = entries.clone();
            async move {
                store
                    .dispose(partition, alert, 1, entries, Disposition::Split)
                    .await
            }
        })
        .await?;
        story.acked.append(&mut story.doubt);
        Ok(())
    }
}

fn left_idle(board: &Board) -> bool {
    board.parked.lock().unwrap().len() == 16
}

fn new_run(run: RunId, entry: Entry) -> NewRun {
    NewRun {
        row: RunRow {
            id: run,
            playbook: "load".into(),
            title: "Load".into(),
            subject: String::new(),
            cause: String::new(),
            severity_id: SeverityId(1),
            status: RunStatus::Open,
            end: None,
            started_at: Time(1_000),
            updated_at: Time(1_000),
            waits_for: String::new(),
            wake_at: Some(Time(1_000)),
            epoch: 0,
            worker: None,
            len: 1,
            last: entry.digest,
        },
        entry,
    }
}
