//! One evaluation while it goes on: where it is, what it has asked and told, and whether it is ending. An
//! ending is sticky: once set, every native and every operation of the language ends too, so that nothing a
//! script does (`try`, `sort`) can go past it. Only a branching word takes back the ending of its branch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rhai::{Dynamic, EvalAltResult};

use super::advance::{Advance, Answer, Answers, Asked, Failure, Interrupted, Position, Thrown, Told};
use super::library::Layout;
use super::program::{Inputs, Job, Program};
use super::step::StepId;
use crate::digest::Digest;
use crate::limits;

/// How often the clock and the stop flag are looked at, operations.
const LOOK_EVERY: u64 = 1_024;

/// Why an evaluation, or one branch of it, is ending.
#[derive(Debug)]
pub(super) enum Ending {
    /// An ask without an answer: ends the branch.
    Waiting,
    /// Cut off from outside.
    Interrupted(Interrupted),
    /// The record says something else.
    Diverged {
        step: StepId,
        recorded: String,
        found: String,
    },
    /// A limit, or something no `try` may catch. The position is filled in by whoever knows it.
    Failed(Thrown),
}

/// How deep an evaluation stands in branching words.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth {
    /// All of them.
    pub branching: usize,
    /// Only `each`.
    pub each: usize,
}

/// The state that the natives of one engine share; one evaluation at a time uses it.
pub(super) struct State {
    layout: RefCell<Layout>,
    /// Whether a file of the library is being compiled, and whether its last token was `fn`.
    naming: Cell<(bool, bool)>,
    inputs: RefCell<Arc<Inputs>>,
    answers: RefCell<Arc<Answers>>,
    recorded_tells: RefCell<Arc<Told>>,
    stop: RefCell<Arc<AtomicBool>>,
    until: Cell<Option<Instant>>,
    stack_top: Cell<usize>,
    operations: Cell<u64>,
    asks: Cell<usize>,
    asked_bytes: Cell<usize>,
    path: RefCell<Vec<u32>>,
    next: Cell<u32>,
    depth: Cell<Depth>,
    ended: Cell<bool>,
    ending: RefCell<Option<Ending>>,
    waiting: RefCell<Vec<Asked>>,
    told: RefCell<Vec<Asked>>,
    replayed_answers: RefCell<Vec<Rc<StepId>>>,
    replayed_tells: RefCell<Vec<StepId>>,
}

/// The error that carries an ending; it cannot be caught by a script.
pub(super) fn ended(at: rhai::Position) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorTerminated(Dynamic::UNIT, at))
}

impl State {
    pub(super) fn new() -> Rc<State> {
        Rc::new(State {
            layout: RefCell::new(Layout::of(&Program::new("", ""))),
            naming: Cell::default(),
            inputs: RefCell::default(),
            answers: RefCell::default(),
            recorded_tells: RefCell::default(),
            stop: RefCell::default(),
            until: Cell::new(None),
            stack_top: Cell::new(0),
            operations: Cell::new(0),
            asks: Cell::new(0),
            asked_bytes: Cell::new(0),
            path: RefCell::default(),
            next: Cell::new(0),
            depth: Cell::default(),
            ended: Cell::new(false),
            ending: RefCell::default(),
            waiting: RefCell::default(),
            told: RefCell::default(),
            replayed_answers: RefCell::default(),
            replayed_tells: RefCell::default(),
        })
    }

    /// Begins an evaluation on this thread, which must have just started its stack.
    pub(super) fn begin(&self, job: &Job) {
        self.layout.replace(Layout::of(&job.program));
        self.inputs.replace(job.inputs.clone());
        self.answers.replace(job.answers.clone());
        self.recorded_tells.replace(job.told.clone());
        self.stop.replace(job.stop.clone());
        self.until.set(Instant::now().checked_add(job.deadline));
        self.stack_top.set(stack_here());
        self.operations.set(0);
        self.asks.set(0);
        self.asked_bytes.set(0);
        self.path.borrow_mut().clear();
        self.next.set(0);
        self.depth.set(Depth::default());
        self.ended.set(false);
        self.ending.replace(None);
        self.waiting.borrow_mut().clear();
        self.told.borrow_mut().clear();
        self.replayed_answers.borrow_mut().clear();
        self.replayed_tells.borrow_mut().clear();
        self.look();
    }

    /// A place as everything outside this room sees it, and the library file it is in.
    pub(super) fn place(&self, at: rhai::Position) -> (Option<String>, Position) {
        self.layout.borrow().place(place(at).unwrap_or_default())
    }

    /// Says whether functions that are compiled now belong to the library.
    pub(super) fn compile_library(&self, library: bool) {
        self.naming.set((library, false));
    }

    /// Whether the name that comes now is that of a function of the library being defined. `is_fn` says whether
    /// the token is `fn`.
    pub(super) fn names_function(&self, is_fn: bool) -> bool {
        let (library, after_fn) = self.naming.get();
        self.naming.set((library, is_fn));
        library && after_fn
    }

    /// One operation of the language. True when the evaluation must end now.
    pub(super) fn tick(&self) -> bool {
        if self.ended.get() {
            return true;
        }
        self.charge(1)
    }

    /// Several operations' worth of work in a native. True when the evaluation must end now.
    pub(super) fn charge(&self, work: u64) -> bool {
        let before = self.operations.get();
        let now = before.saturating_add(work);
        self.operations.set(now);
        if now > limits::SCRIPT_OPERATIONS_MAX {
            let most = limits::SCRIPT_OPERATIONS_MAX;
            self.end(Ending::Failed(Thrown::new(
                "limit",
                format!("the script does more than {most} operations"),
            )));
        } else if self.stack_top.get().abs_diff(stack_here())
            > limits::SCRIPT_STACK_BYTES - limits::SCRIPT_STACK_RESERVE
        {
            self.end(Ending::Failed(Thrown::new(
                "limit",
                "the script's calls are nested too deeply",
            )));
        } else if before / LOOK_EVERY != now / LOOK_EVERY {
            self.look();
        }
        self.ended.get()
    }

    /// Looks at the clock and the stop flag.
    pub(super) fn look(&self) {
        if self.stop.borrow().load(Ordering::Relaxed) {
            self.end(Ending::Interrupted(Interrupted::Stopped));
        } else if self.until.get().is_some_and(|until| Instant::now() >= until) {
            self.end(Ending::Interrupted(Interrupted::Deadline));
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Sets the ending; the first one counts.
    pub(super) fn end(&self, ending: Ending) {
        if !self.ended.replace(true) {
            self.ending.replace(Some(ending));
        }
    }

    /// Takes back the ending of a branch that waits. True if there was one.
    pub(super) fn take_waiting(&self) -> bool {
        let mut ending = self.ending.borrow_mut();
        if matches!(*ending, Some(Ending::Waiting)) {
            *ending = None;
            self.ended.set(false);
            return true;
        }
        false
    }

    /// The place of the next ask, tell or branching word at this level.
    pub(super) fn next_step(&self) -> StepId {
        let number = self.next.get();
        self.next.set(number.saturating_add(1));
        let mut path = self.path.borrow_mut();
        path.push(number);
        let step = StepId::new(&path);
        path.pop();
        step
    }

    /// What is recorded for the next place at this level, if it is an answer to this word. Moves nowhere.
    pub(super) fn recorded_answer<T>(
        &self,
        name: &str,
        found: impl FnOnce(&Answer) -> Option<T>,
    ) -> Option<T> {
        let mut path = self.path.borrow_mut();
        path.push(self.next.get());
        let answers = self.answers.borrow();
        let answer = answers.get(path.as_slice()).filter(|answer| answer.name == name);
        let told = self.recorded_tells.borrow().contains_key(path.as_slice());
        let found = answer.filter(|_| !told).and_then(found);
        path.pop();
        found
    }

    /// Runs one branch of the branching word at `step`: places inside it start again from 0.
    pub(super) fn in_branch<T>(
        &self,
        step: &StepId,
        branch: u32,
        depth: Depth,
        run: impl FnOnce() -> T,
    ) -> T {
        let path = step.numbers().iter().copied().chain([branch]).collect();
        let outer_path = self.path.replace(path);
        let outer_next = self.next.replace(0);
        let outer_depth = self.depth.replace(depth);
        let result = run();
        self.path.replace(outer_path);
        self.next.set(outer_next);
        self.depth.set(outer_depth);
        result
    }

    pub(super) fn depth(&self) -> Depth {
        self.depth.get()
    }

    /// Counts one ask or tell and the size of its arguments against the limits of an evaluation.
    pub(super) fn count_ask(&self, bytes: usize) -> Result<(), Thrown> {
        self.asks.set(self.asks.get() + 1);
        self.asked_bytes.set(self.asked_bytes.get().saturating_add(bytes));
        let (most, most_bytes) = (limits::ASKS_PER_RUN_MAX, limits::ASKED_BYTES_PER_RUN_MAX);
        if self.asks.get() > most {
            return Err(Thrown::new(
                "limit",
                format!("the script asks more than {most} times"),
            ));
        }
        if self.asked_bytes.get() > most_bytes {
            let message = format!("the arguments of all asks are larger than {most_bytes} bytes");
            return Err(Thrown::new("limit", message));
        }
        Ok(())
    }

    pub(super) fn inputs(&self) -> Arc<Inputs> {
        self.inputs.borrow().clone()
    }

    pub(super) fn has_input(&self, name: &str) -> bool {
        self.inputs.borrow().contains_key(name)
    }

    pub(super) fn answers(&self) -> Arc<Answers> {
        self.answers.borrow().clone()
    }

    /// What the tells' record says about this place.
    pub(super) fn recorded_tell(&self, step: &StepId) -> Option<Digest> {
        self.recorded_tells.borrow().get(step).copied()
    }

    pub(super) fn wait_for(&self, asked: Asked) {
        self.waiting.borrow_mut().push(asked);
        self.end(Ending::Waiting);
    }

    pub(super) fn tell(&self, asked: Asked) {
        self.told.borrow_mut().push(asked);
    }

    pub(super) fn replayed_answer(&self, step: Rc<StepId>) {
        self.replayed_answers.borrow_mut().push(step);
    }

    pub(super) fn replayed_tell(&self, step: StepId) {
        self.replayed_tells.borrow_mut().push(step);
    }

    pub(super) fn diverged(&self, step: StepId, recorded: String, found: String) {
        self.end(Ending::Diverged {
            step,
            recorded,
            found,
        });
    }

    /// The outcome of the evaluation, given what the engine returned.
    pub(super) fn finish(&self, result: Result<serde_json::Value, Box<Failure>>) -> Advance {
        let waiting = self.waiting.take();
        let told = self.told.take();
        let ending = self.ending.take();
        let differs = self.answered_within(&ending, &result);
        self.forget();
        differs.unwrap_or_else(|| match ending {
            Some(Ending::Waiting) => Advance::Asks { waiting, told },
            Some(Ending::Interrupted(why)) => Advance::Interrupted { why },
            Some(Ending::Diverged {
                step,
                recorded,
                found,
            }) => Advance::Diverged {
                step,
                recorded,
                found,
            },
            Some(Ending::Failed(thrown)) => {
                let around = result.err().map(|error| *error);
                let (at, file, chain) = around.map_or((None, None, Vec::new()), |error| {
                    (error.at, error.file, error.chain)
                });
                Advance::Failed {
                    error: Failure::of(thrown, at, chain).in_file(file),
                    told,
                }
            }
            None => match result {
                Ok(value) => Advance::Returned { value, told },
                Err(error) => Advance::Failed { error: *error, told },
            },
        })
    }

    /// Lets go of what the job gave, so that its owner may change it without a copy.
    fn forget(&self) {
        self.replayed_answers.borrow_mut().clear();
        self.replayed_tells.borrow_mut().clear();
        self.inputs.take();
        self.answers.take();
        self.recorded_tells.take();
    }

    /// A divergence where something recorded was never reached. A branch, once begun, is begun in every
    /// later evaluation too, so whatever was recorded is reached again unless a limit cut the script off.
    fn answered_within(
        &self,
        ending: &Option<Ending>,
        result: &Result<serde_json::Value, Box<Failure>>,
    ) -> Option<Advance> {
        let cut_off = !matches!(ending, None | Some(Ending::Waiting));
        if cut_off || result.as_ref().is_err_and(|error| error.code == "limit") {
            return None;
        }
        let found = "the script does not come to this step".to_owned();
        let answers = self.answers();
        let replayed = self.replayed_answers.borrow();
        if replayed.len() < answers.len()
            && let known = replayed.iter().map(|step| &**step).collect::<BTreeSet<_>>()
            && let Some((step, answer)) = answers.iter().find(|(step, _)| !known.contains(step))
        {
            return Some(Advance::Diverged {
                step: step.clone(),
                recorded: answer.asked(),
                found,
            });
        }
        let tells = self.recorded_tells.borrow();
        let replayed = self.replayed_tells.borrow();
        if replayed.len() < tells.len()
            && let known = replayed.iter().collect::<BTreeSet<_>>()
            && let Some((step, digest)) = tells.iter().find(|(step, _)| !known.contains(step))
        {
            return Some(Advance::Diverged {
                step: step.clone(),
                recorded: tell_text(digest),
                found,
            });
        }
        None
    }
}

/// A recorded tell as a person reads it.
pub(super) fn tell_text(digest: &Digest) -> String {
    format!("a tell with digest {}", digest.short())
}

/// A place in a program as everything outside this room sees it.
pub(super) fn place(at: rhai::Position) -> Option<Position> {
    at.line().map(|line| Position {
        line,
        column: at.position().unwrap_or(1),
    })
}

/// About where the stack of this thread is now: the address of a local.
#[inline(never)]
fn stack_here() -> usize {
    let local = 0_u8;
    std::hint::black_box(std::ptr::from_ref(&local)) as usize
}
