//! Nodes: the real worker loop over a faulty view of the one store. A node dies at any await, is stopped in an orderly
//! way, and comes back under another name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cordon::guardrail::{ApprovalRule, Approvers, Groups, Policy, Which};
use cordon::run::{Builtins, Context, HaltSwitch, Handle, work};
use cordon::store::memory::MemoryStore;
use tokio::sync::{Notify, mpsc, watch};

use crate::estate::Estate;
use crate::faulty::Faulty;
use crate::playbooks::shelf;
use crate::sabotage::Sabotage;
use crate::time::Sim;
use crate::weather::Weather;

/// What all nodes have in common.
#[derive(Clone)]
pub struct Ground {
    pub sim: Sim,
    pub store: Arc<MemoryStore>,
    pub estate: Estate,
    pub weather: Arc<Weather>,
    pub halt: watch::Receiver<HaltSwitch>,
    pub sabotage: Sabotage,
    pub tick_ms: u64,
}

/// `leads` decide; suspending an account has to be approved by one of them where the seed says so.
fn policy(held: bool) -> Policy {
    let names = ["ana", "ben", "eve"].map(str::to_owned);
    let rule = ApprovalRule {
        which: Which {
            actions: vec!["estate::suspend".into()],
            types: vec![],
            names: vec![],
            irreversible: false,
        },
        approvers: Approvers {
            by: "leads".into(),
            quorum: 1,
            within_ms: 6 * 60_000,
        },
        why: "accounts are people".into(),
    };
    Policy {
        groups: Groups(
            [("leads".to_owned(), names.into_iter().collect())]
                .into_iter()
                .collect(),
        ),
        approvals: if held { vec![rule] } else { Vec::new() },
        ..Policy::default()
    }
}

impl Ground {
    /// A context of this name, and the handle of whoever calls by it.
    pub fn context(
        &self,
        name: &str,
        death: &Arc<Notify>,
        mortal: bool,
        held: bool,
        stay_ms: Option<u64>,
    ) -> (Arc<Context>, Handle, mpsc::Receiver<cordon::id::RunId>) {
        let store = Faulty {
            store: self.store.clone(),
            sim: self.sim.clone(),
            weather: self.weather.clone(),
            death: death.clone(),
            mortal,
            sabotage: self.sabotage,
            name: name.to_owned(),
        };
        let mut context = Context::new(
            Arc::new(store),
            Arc::new(self.estate.clone()),
            shelf().evaluators.clone(),
            Arc::new(self.sim.clone()),
            Arc::new(policy(held)),
            self.halt.clone(),
            [7; 32],
            name.to_owned(),
        );
        context.pace = Arc::new(self.sim.clone());
        context.tick_ms = self.tick_ms;
        context.stay_ms = stay_ms.unwrap_or(context.stay_ms);
        for (bundle, loaded) in shelf().playbooks.iter().chain([&shelf().revert, &shelf().act]) {
            context.open(bundle.digest, loaded.clone());
        }
        let context = Arc::new(context);
        let (kicks, kicked) = mpsc::channel(64);
        let builtins = Builtins {
            revert: shelf().revert.0.clone(),
            act: shelf().act.0.clone(),
        };
        let handle = Handle::new(context.clone(), kicks, builtins);
        (context, handle, kicked)
    }
}

/// A node, over all its lives.
pub struct Node {
    death: Arc<Notify>,
    drain: Arc<Notify>,
    over: Arc<AtomicBool>,
    lives: tokio::task::JoinHandle<()>,
}

impl Node {
    pub fn start(ground: &Ground, n: usize, held: bool) -> Node {
        let (death, drain) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let over = Arc::new(AtomicBool::new(false));
        let lives = tokio::spawn(live(
            ground.clone(),
            n,
            held,
            death.clone(),
            drain.clone(),
            over.clone(),
        ));
        Node {
            death,
            drain,
            over,
            lives,
        }
    }

    /// It dies where it stands.
    pub fn kill(&self) {
        self.death.notify_one();
    }

    /// It stops in an orderly way, and comes back.
    pub fn drain(&self) {
        self.drain.notify_one();
    }

    /// It stops for good.
    pub async fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        self.drain.notify_one();
        self.lives.await.unwrap();
    }
}

async fn live(
    ground: Ground,
    n: usize,
    held: bool,
    death: Arc<Notify>,
    drain: Arc<Notify>,
    over: Arc<AtomicBool>,
) {
    for life in 0.. {
        let (context, handle, kicked) = ground.context(&format!("node-{n}.{life}"), &death, true, held, None);
        let stop = Arc::new(AtomicBool::new(false));
        let mut worker = tokio::spawn(work(context, handle, kicked, stop.clone()));
        tokio::select! {
            biased;
            () = death.notified() => {
                worker.abort();
                // Aborted on purpose.
                drop(worker.await);
            }
            () = drain.notified() => {
                stop.store(true, Ordering::SeqCst);
                // It may still die while it drains.
                tokio::select! {
                    biased;
                    () = death.notified() => {
                        worker.abort();
                        drop(worker.await);
                    }
                    ended = &mut worker => ended.unwrap(),
                }
            }
            ended = &mut worker => panic!("a worker ended by itself: {ended:?}"),
        }
        if over.load(Ordering::SeqCst) {
            return;
        }
        ground.sim.sleep(ground.sim.between(200, 60_000)).await;
    }
}
