//! The engine over a store in memory: everything that `cordon act` and `cordon undo` go through, but for the
//! server. The tests against real servers use it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cordon::action::Outcome;
use cordon::clock::SystemClock;
use cordon::connector::{Catalog, Instance, Instances, Invoker};
use cordon::guardrail::Policy;
use cordon::id::{Partition, RunId};
use cordon::journal::{EffectState, End, RunState, ScriptEnd, Stage};
use cordon::run::{Builtins, CannotStart, Connected, Context, Handle, work};
use cordon::script::Evaluators;
use cordon::store::Targets as _;
use cordon::store::memory::MemoryStore;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

/// How often a run is looked at, and how many times before it is given up.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 3_000;

pub struct Engine {
    store: Arc<MemoryStore>,
    handle: Handle,
    stop: Arc<AtomicBool>,
    worker: tokio::task::JoinHandle<()>,
    /// Kept, or nobody could tell whether all is halted.
    _halt: watch::Sender<cordon::run::HaltSwitch>,
}

/// How a run of one action ended.
#[derive(Debug)]
pub struct Ended {
    pub run: RunId,
    pub state: RunState,
    pub end: End,
}

impl Engine {
    pub fn open(catalog: &Catalog, all: Vec<Instance>) -> Engine {
        let evaluators = Arc::new(Evaluators::start(1).unwrap());
        let clock = Arc::new(SystemClock);
        let instances = Arc::new(Instances {
            all,
            ..Instances::default()
        });
        let invoker = Invoker::new(evaluators.clone(), clock.clone()).unwrap();
        let (halt, switch) = watch::channel(Ok(None));
        let store = Arc::new(MemoryStore::new());
        let context = Arc::new(Context::new(
            store.clone(),
            Arc::new(Connected::new(invoker, instances)),
            evaluators,
            clock,
            Arc::new(Policy::default()),
            switch,
            [3; 32],
            "battery".into(),
        ));
        let builtins = Builtins {
            revert: cordon::playbook::revert(catalog),
            act: cordon::playbook::act(catalog),
        };
        let (kicks, kicked) = mpsc::channel(64);
        let handle = Handle::new(context.clone(), kicks, builtins);
        let stop = Arc::new(AtomicBool::new(false));
        let worker = tokio::spawn(work(context, handle.clone(), kicked, stop.clone()));
        Engine {
            store,
            handle,
            stop,
            worker,
            _halt: halt,
        }
    }

    /// Does one action, as a person would.
    pub async fn act(&self, action: &str, target: &Value, options: &Value) -> Ended {
        let run = self.begin(action, target, options).await;
        self.ended(run).await
    }

    async fn begin(&self, action: &str, target: &Value, options: &Value) -> RunId {
        let started = self
            .handle
            .act(action, target.clone(), options.clone(), "ana", "the battery")
            .await;
        started.unwrap()
    }

    /// Does one action, and takes it all back as soon as nobody knows whether it was done.
    pub async fn give_up(&self, action: &str, target: &Value, options: &Value) -> Ended {
        let run = self.begin(action, target, options).await;
        for _ in 0..LOOKS_MAX {
            let state = self.handle.state(run).await.unwrap();
            let unanswered = |effect: &EffectState| matches!(effect.stage(), Stage::Unknown | Stage::InDoubt);
            if state.effects.values().any(unanswered) {
                let cancelled = self.handle.cancel(run, true, "ana", "the battery").await;
                cancelled.unwrap();
                return self.ended(run).await;
            }
            assert!(
                state.settled.is_none(),
                "it ended before anybody could: {state:#?}"
            );
            tokio::time::sleep(LOOK).await;
        }
        panic!("its answer was not lost: {:#?}", self.handle.state(run).await);
    }

    /// How many holds there are.
    pub async fn holds(&self) -> usize {
        let mut holds = 0;
        for partition in Partition::all() {
            holds += self.store.holds(partition).await.unwrap().len();
        }
        holds
    }

    /// Undoes what a run did; `Err` holds why there is nothing to undo.
    pub async fn undo(&self, run: RunId) -> Result<Ended, String> {
        match self.handle.undo_run(run, "ana", "the battery").await {
            Ok(run) => Ok(self.ended(run).await),
            Err(CannotStart::Nothing(why)) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }

    async fn ended(&self, run: RunId) -> Ended {
        for _ in 0..LOOKS_MAX {
            let state = self.handle.state(run).await.unwrap();
            if let Some((_, end, _)) = state.settled.clone() {
                return Ended { run, state, end };
            }
            // It waits for a person to say what happened, and does not end by itself.
            if state.doubts().next().is_some() {
                let end = End::InDoubt;
                return Ended { run, state, end };
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("it did not settle: {:#?}", self.handle.state(run).await);
    }

    pub async fn close(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.worker.await.unwrap();
    }
}

impl Ended {
    /// Its one effect.
    pub fn effect(&self) -> &EffectState {
        let effects: Vec<&EffectState> = self.state.effects.values().collect();
        assert_eq!(effects.len(), 1, "{self:#?}");
        effects[0]
    }

    pub fn outcome(&self) -> &Outcome {
        let ended = self.effect().last().and_then(|attempt| attempt.ended.as_ref());
        &ended.unwrap_or_else(|| panic!("{self:#?}")).1
    }

    /// Why it did not happen.
    pub fn code(&self) -> String {
        let of_effect = self.state.effects.values().find_map(EffectState::fault);
        let of_script = match &self.state.script {
            Some(ScriptEnd::Failed(fault, ..)) => Some(fault.clone()),
            _ => None,
        };
        of_effect
            .or(of_script)
            .unwrap_or_else(|| panic!("nothing failed: {self:#?}"))
            .code
    }

    #[track_caller]
    pub fn succeeded(self) -> Ended {
        assert_eq!(self.end, End::Succeeded, "{:#?}", self.state.settled);
        assert!(self.state.alarms.is_empty(), "{:#?}", self.state.alarms);
        self
    }
}
