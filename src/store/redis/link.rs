//! The way from an operation to the server that has its partition, and back. Tries again what a lost connection or a
//! failover interrupted, because every operation may be repeated; gives up at a deadline, and then nobody knows
//! whether it happened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::address::Server;
use super::guard::Guard;
use super::lane::{Kind, Lane, Request, Said};
use super::shared::Shared;
use super::topology::Route;
use super::trouble::Trouble;
use crate::id::Partition;
use crate::limits::{
    REDIS_OPERATION_MS, REDIS_PAUSE_MS, REDIS_PAUSE_MS_MAX, REDIS_QUEUE_MAX, REDIS_READERS, REDIS_WRITERS,
};
use crate::store::error::{Error, Result};

/// By server, kind, and the number of those that share the partitions.
type Lanes = HashMap<(Server, Kind, u8), Lane>;

/// Calls functions of our library. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
    lanes: Arc<Mutex<Lanes>>,
}

impl Link {
    pub(super) fn new(shared: Arc<Shared>) -> Link {
        Link {
            shared,
            lanes: Arc::default(),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Calls a function that writes. Durable when it answers `Ok`: on the disk, and on as many replicas as the commit
    /// takes. Safe to repeat, and repeated inside over READONLY, LOADING, MASTERDOWN, MOVED, CLUSTERDOWN and lost
    /// connections until the deadline; then [`Error::Unavailable`].
    pub(super) async fn write(
        &self,
        partition: Partition,
        function: &'static str,
        args: Vec<Vec<u8>>,
    ) -> Result<Value> {
        self.call(partition, Kind::Write, function, args).await
    }

    /// Calls a function that only reads, at the primary.
    pub(super) async fn read(
        &self,
        partition: Partition,
        function: &'static str,
        args: Vec<Vec<u8>>,
    ) -> Result<Value> {
        self.call(partition, Kind::Read, function, args).await
    }

    pub(super) async fn call(
        &self,
        partition: Partition,
        kind: Kind,
        function: &'static str,
        args: Vec<Vec<u8>>,
    ) -> Result<Value> {
        if kind == Kind::Write && self.shared.guard.is_parked(partition) {
            return Err(Guard::error(partition));
        }
        let request = Arc::new(Request {
            partition,
            kind,
            function,
            args,
        });
        let deadline = Instant::now() + Duration::from_millis(REDIS_OPERATION_MS);
        let mut pause = REDIS_PAUSE_MS;
        let mut is_repeat = false;
        loop {
            let (route, trouble) = match self.shared.topology.route(partition).await {
                Ok(route) => {
                    let asked = self.lane(&route, kind, partition).ask(request.clone()).await;
                    match asked {
                        Ok(_) | Err(Trouble::Lost)
                            if !self.shared.topology.is_at(partition, &route.server) =>
                        {
                            let why = format!("{} answered when another had taken over", route.server);
                            (Some(route), Trouble::Elsewhere { why })
                        }
                        Ok(said) => return self.answer(&request, said, is_repeat).await,
                        Err(trouble) => (Some(route), trouble),
                    }
                }
                Err(broken) => (None, Trouble::from(broken)),
            };
            let (why, ask_again) = match trouble {
                Trouble::Busy => {
                    return Err(Error::Busy {
                        waiting: REDIS_QUEUE_MAX,
                    });
                }
                Trouble::Full { why } => return Err(Error::Full { why }),
                Trouble::Refused { why } => return Err(Error::Unavailable { why }),
                Trouble::Lost => match Box::pin(self.lost(partition)).await {
                    Some(error) => return Err(error),
                    None => (format!("partition {partition} was behind until just now"), true),
                },
                Trouble::NoLibrary => ("the functions are being loaded".to_owned(), false),
                Trouble::Later { why } => (why, false),
                Trouble::Elsewhere { why } | Trouble::Short { why } => (why, true),
            };
            if Instant::now() + Duration::from_millis(pause) >= deadline {
                return Err(Error::Unavailable { why });
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            is_repeat = true;
            pause = pause.saturating_mul(2).min(REDIS_PAUSE_MS_MAX);
            if ask_again
                && let Some(route) = route
                // What it says is met again at the next turn.
                && let Err(broken) = self.shared.topology.refresh(route.number).await
            {
                tracing::debug!("the primary is looked for again: {}", broken.why);
            }
        }
    }

    async fn answer(&self, request: &Request, said: Said, is_repeat: bool) -> Result<Value> {
        if request.kind == Kind::Write {
            self.shared
                .acknowledged(request.partition, said.generation, said.own);
            // A repeat that found its work done may have done it itself, and lost the answer.
            if said.wrote || (is_repeat && said.own > 0) {
                let generation = if said.wrote { said.generation } else { said.own };
                self.shared.notes.note(request, generation).await;
            }
        }
        match said.word.as_str() {
            "OK" => Ok(Value::Array(said.rest)),
            _ => Err(super::refused(request.partition, &said.rest)),
        }
    }

    fn lane(&self, route: &Route, kind: Kind, partition: Partition) -> Lane {
        let width = match kind {
            Kind::Write | Kind::Raw => REDIS_WRITERS,
            Kind::Read => REDIS_READERS,
        };
        // The detector's calls share the connections of the others that write.
        let kind = if kind == Kind::Raw { Kind::Write } else { kind };
        let key = (route.server.clone(), kind, partition.index() % width);
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes
            .entry(key)
            .or_insert_with(|| Lane::start(self.shared.clone(), route.server.clone(), kind));
        lane.clone()
    }
}
