//! Sequences of operations over a store and the reference at once: each answer is compared, and at the end all that
//! can be read. Case `n` of seed `s` is the first case of seed `s + n`, so a difference is found again alone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use super::draw::{self, Known};
use super::op::{Deed, Op};
use super::reference::Reference;
use super::stores::{self, Any};

/// Operations of one case, at most.
const OPS_MAX: usize = 60;
/// Cases where nothing else is said, and the seed they follow from.
const CASES: u64 = 300;
const SEED: u64 = 1;

/// The reference, and what was done to it.
#[derive(Clone, Debug, Default)]
pub struct State {
    reference: Reference,
    past: Vec<Op>,
}

/// The state machine.
struct Machine;

impl ReferenceStateMachine for Machine {
    type State = State;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<State> {
        Just(State::default()).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Op> {
        draw::next(Known::of(&state.reference), &state.past)
    }

    fn preconditions(state: &State, op: &Op) -> bool {
        draw::is_promised(&state.reference, op)
    }

    fn apply(mut state: State, op: &Op) -> State {
        state.reference.perform(op);
        state.past.push(op.clone());
        state
    }
}

/// A number from the environment.
fn told(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is `{text}`, which is no number")),
        Err(_) => otherwise,
    }
}

/// Cases over one kind of store; `open` makes an empty one and whatever has to live as long.
pub fn compare<K>(kind: &str, open: impl AsyncFn() -> (Any, K)) {
    let (cases, seed) = (told("CORDON_MODEL_CASES", CASES), told("CORDON_MODEL_SEED", SEED));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut operations = 0;
    for n in 0..cases {
        let seed = seed.wrapping_add(n);
        operations += case(kind, seed, |ops, seen| {
            runtime.block_on(async {
                let (store, kept) = open().await;
                let answer = differs(&store, ops, seen).await;
                drop(store);
                drop(kept);
                answer
            })
        });
    }
    println!("model and {kind}: {cases} cases from seed {seed}, {operations} operations, 0 differences");
}

/// What the reference answers in a number of cases, by the name of the operation.
pub fn answers(cases: u64) -> BTreeMap<String, Vec<String>> {
    let all = RefCell::new(BTreeMap::<String, Vec<String>>::new());
    for seed in 0..cases {
        case("itself", seed, |ops, _| {
            let mut reference = Reference::default();
            for op in ops {
                let deed = format!("{:?}", op.deed);
                let name = deed.split([' ', '(']).next().unwrap().to_owned();
                all.borrow_mut()
                    .entry(name)
                    .or_default()
                    .push(reference.perform(op));
            }
            Ok(())
        });
    }
    all.into_inner()
}

/// One case; answers how many operations it had.
fn case(kind: &str, seed: u64, check: impl Fn(&[Op], &dyn Fn()) -> Result<(), String>) -> usize {
    let config = ProptestConfig {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, random);
    let operations = Cell::new(0);
    let strategy = Machine::sequential_strategy(1..=OPS_MAX);
    let ran = runner.run(&strategy, |(_, ops, seen)| {
        operations.set(ops.len());
        let note = || {
            if let Some(seen) = &seen {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        };
        check(&ops, &note).map_err(TestCaseError::fail)
    });
    match ran {
        Ok(()) => operations.get(),
        Err(TestError::Fail(why, (_, ops, _))) => {
            let steps: Vec<String> = ops.iter().map(|op| format!("    {op:?},")).collect();
            panic!(
                "the model and {kind} differ: {why}\nthe shortest way there:\n{}\nagain: scripts/model 1 {seed}",
                steps.join("\n")
            );
        }
        Err(TestError::Abort(why)) => panic!("seed {seed} was given up: {why}"),
    }
}

/// Does the operations on an empty store and on an empty reference; `Err` says where they differ.
pub async fn differs(store: &Any, ops: &[Op], seen: &dyn Fn()) -> Result<(), String> {
    let mut reference = Reference::default();
    for (n, op) in ops.iter().enumerate() {
        seen();
        let (expected, got) = (reference.perform(op), stores::perform(store, op).await);
        if expected != got {
            return Err(format!(
                "operation {n}, {op:?}\n  promised: {expected}\n  answered: {got}"
            ));
        }
    }
    for (now, before, limit) in [(300, None, 100), (450, Some(300), 2)] {
        for look in draw::looks(now, before, limit) {
            let op = Op {
                deed: Deed::Look(look),
                astray: false,
                late: false,
            };
            if !draw::is_promised(&reference, &op) {
                continue;
            }
            let (expected, got) = (reference.perform(&op), stores::perform(store, &op).await);
            if expected != got {
                return Err(format!(
                    "at the end, {:?}\n  promised: {expected}\n  reads: {got}",
                    op.deed
                ));
            }
        }
    }
    Ok(())
}
