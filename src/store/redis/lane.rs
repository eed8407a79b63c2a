//! One queue and one connection to one server. What waits goes out together; where copies on replicas are part of the
//! commit, one `WAIT` follows, and only then is anybody answered. Repeats nothing: whoever asked decides.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::{mpsc, oneshot};

use super::address::Server;
use super::reply::{Reply, pack};
use super::shared::Shared;
use super::trouble::{Trouble, trouble};
use super::wire::{Wire, items_of, text_of};
use crate::id::Partition;
use crate::limits::{REDIS_BATCH_BYTES_MAX, REDIS_BATCH_MAX, REDIS_QUEUE_MAX, REDIS_REPLY_MS, REDIS_WAIT_MS};

/// Whether a function may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Write,
    Read,
    /// The detector's own, which writes where others are refused.
    Raw,
}

/// A function to call in one partition.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) partition: Partition,
    pub(super) kind: Kind,
    pub(super) function: &'static str,
    pub(super) args: Vec<Vec<u8>>,
}

impl Request {
    fn bytes(&self) -> usize {
        self.args.iter().map(Vec::len).sum()
    }
}

/// What a function said.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    /// `OK` or `ERR`.
    pub(super) word: String,
    /// The partition's generation.
    pub(super) generation: u64,
    /// The generation of what this node wrote last; 0 from a function that only reads.
    pub(super) own: u64,
    /// Whether anything was written.
    pub(super) wrote: bool,
    /// The rest.
    pub(super) rest: Vec<Value>,
}

type Answer = Result<Said, Trouble>;

struct Job {
    request: Arc<Request>,
    answer: oneshot::Sender<Answer>,
}

/// The sending end.
#[derive(Clone)]
pub(super) struct Lane {
    queue: mpsc::Sender<Job>,
}

impl Lane {
    /// A lane to a server; its task ends when the last sending end is gone.
    pub(super) fn start(shared: Arc<Shared>, server: Server, kind: Kind) -> Lane {
        let (queue, jobs) = mpsc::channel(REDIS_QUEUE_MAX);
        let worker = Worker {
            shared,
            server,
            kind,
            wire: None,
            known: 0,
            sent: 0,
        };
        tokio::spawn(worker.work(jobs));
        Lane { queue }
    }

    /// Sends a request and waits for what became of it.
    pub(super) async fn ask(&self, request: Arc<Request>) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Job { request, answer })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Trouble::Busy,
                mpsc::error::TrySendError::Closed(_) => gone(),
            })?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Trouble {
    Trouble::Later {
        why: "a connection was given up".to_owned(),
    }
}

struct Worker {
    shared: Arc<Shared>,
    server: Server,
    kind: Kind,
    wire: Option<Wire>,
    /// What was known of the primaries when the connection was made.
    known: u64,
    /// Batches sent, for telling their ends apart.
    sent: u64,
}

impl Worker {
    async fn work(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch: Vec<Job> = Vec::new();
        while let Some(first) = jobs.recv().await {
            let mut bytes = first.request.bytes();
            batch.push(first);
            while batch.len() < REDIS_BATCH_MAX && bytes < REDIS_BATCH_BYTES_MAX {
                let Ok(next) = jobs.try_recv() else { break };
                bytes = bytes.saturating_add(next.request.bytes());
                batch.push(next);
            }
            let answers = match self.send(&batch).await {
                Ok(answers) => answers,
                Err(trouble) => {
                    self.wire = None;
                    batch.iter().map(|_| Err(trouble.clone())).collect()
                }
            };
            for (job, answer) in batch.drain(..).zip(answers) {
                // Whoever asked may have given up meanwhile.
                let _ = job.answer.send(answer);
            }
        }
    }

    /// Sends a batch; an error is about all of it, and about the connection.
    async fn send(&mut self, batch: &[Job]) -> Result<Vec<Answer>, Trouble> {
        let topology = &self.shared.topology;
        let mut wire = match self.wire.take() {
            // One that has taken over since is looked at like a new one, also over a connection of an earlier time.
            Some(wire) if self.kind == Kind::Read || !topology.has_gained_since(&self.server, self.known) => {
                wire
            }
            _ => {
                self.known = topology.number();
                self.shared.connect(&self.server, self.kind).await?
            }
        };
        let mut packed = Vec::new();
        for job in batch {
            self.shared.pack_call(&mut packed, &self.server, &job.request);
        }
        let replicas = match self.kind {
            Kind::Write | Kind::Raw => self.shared.replicas(),
            Kind::Read => 0,
        };
        self.sent = self.sent.wrapping_add(1);
        let end = format!("cordon-{}", self.sent);
        let mut replies = batch.len() + 1;
        let mut limit = REDIS_REPLY_MS;
        if replicas > 0
            && let Some(job) = batch.first()
        {
            // WAIT waits for what this connection wrote last. A call that found its work done wrote nothing, and what
            // it found may be another's that has reached no replica yet: so there is always something of our own,
            // younger than whatever the batch has seen.
            let fence = self.shared.root(job.request.partition) + ":fence";
            pack(&mut packed, &["SET", &fence, &end]);
            pack(
                &mut packed,
                &["WAIT", &replicas.to_string(), &REDIS_WAIT_MS.to_string()],
            );
            replies += 2;
            limit += REDIS_WAIT_MS;
        }
        pack(&mut packed, &["ECHO", &end]);
        let mut read = wire
            .exchange(&packed, replies, Duration::from_millis(limit))
            .await?;
        // An answer too many or too few would let each be taken for its neighbour's.
        let last = read.pop();
        if !matches!(&last, Some(Reply::Value(value)) if text_of(value).as_deref() == Some(&*end)) {
            return Err(Trouble::Elsewhere {
                why: format!("{} answers what was not asked", self.server),
            });
        }
        let short = match replicas {
            0 => None,
            _ => short_of(replicas, &read.split_off(batch.len())),
        };
        let mut keep = true;
        let mut answers = Vec::with_capacity(batch.len());
        for (job, reply) in batch.iter().zip(read) {
            let answer = self.answer(&mut wire, &job.request, reply, short.as_ref()).await;
            keep &= !matches!(answer, Err(Trouble::Elsewhere { .. }));
            answers.push(answer);
        }
        if keep {
            self.wire = Some(wire);
        }
        Ok(answers)
    }

    async fn answer(
        &self,
        wire: &mut Wire,
        request: &Request,
        reply: Reply,
        short: Option<&Trouble>,
    ) -> Answer {
        let value = match reply {
            Reply::Value(value) => value,
            Reply::Refused { code, detail } => {
                let trouble = trouble(&self.server, &code, &detail);
                // A user who may not call functions may be one who is to send scripts.
                if code == "NOPERM" && detail.contains("'fcall") {
                    self.shared.use_scripts(&self.server);
                    self.shared.load_library(wire).await?;
                    return Err(Trouble::Later {
                        why: format!("{} lets this user call no functions", self.server),
                    });
                }
                if trouble == Trouble::NoLibrary {
                    self.shared.load_library(wire).await?;
                    return Err(Trouble::Later {
                        why: format!("{} had no functions of ours", self.server),
                    });
                }
                return Err(trouble);
            }
        };
        let said = said(&value).ok_or_else(|| Trouble::Refused {
            why: format!("`{}` answered something of no meaning", request.function),
        })?;
        if said.word == "LOST" {
            return Err(Trouble::Lost);
        }
        match short {
            Some(short) => Err(short.clone()),
            None => Ok(said),
        }
    }
}

/// Whether the batch is on too few replicas, from the answers to `SET` and `WAIT`.
fn short_of(replicas: u32, answers: &[Reply]) -> Option<Trouble> {
    let [set, waited] = answers else {
        return Some(Trouble::Later {
            why: "WAIT was not answered".to_owned(),
        });
    };
    if let Reply::Refused { code, detail } = set {
        // Without a write of our own, what WAIT says is about something else.
        return Some(Trouble::Later {
            why: format!("nothing can be written: {code} {detail}"),
        });
    }
    match waited {
        Reply::Value(Value::Int(have)) if *have >= i64::from(replicas) => None,
        Reply::Value(Value::Int(have)) => Some(Trouble::Short {
            why: format!("{have} of {replicas} replicas have what was written"),
        }),
        other => Some(Trouble::Later {
            why: format!("WAIT was answered {other:?}"),
        }),
    }
}

fn said(value: &Value) -> Option<Said> {
    let [word, generations, rest @ ..] = items_of(value) else {
        return None;
    };
    let generations = text_of(generations)?;
    let mut generations = generations.split(':');
    Some(Said {
        word: text_of(word)?,
        generation: generations.next()?.parse().ok()?,
        own: generations.next().map_or(Some(0), |own| own.parse().ok())?,
        wrote: generations.next() == Some("1"),
        rest: rest.to_vec(),
    })
}
