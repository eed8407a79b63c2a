//! The evaluation threads: few, each with a large stack, each with engines of its own. Work waits in one
//! bounded queue. Nothing here waits for an answer; an evaluation that asks is over.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use super::advance::{Advance, Failure, Interrupted, Thrown};
use super::machine::Machines;
use super::program::Job;
use crate::limits;

/// What to call with the outcome, on the evaluation thread; it must not block for long.
pub type Reply = Box<dyn FnOnce(Advance) + Send>;

/// A pool of evaluation threads. Dropping it stops and joins them.
pub struct Evaluators {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// The caller waits for the reply.
    in_step: bool,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Job, Reply)>,
    closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The lock is held for a push or a pop only, which leave the queue whole even if they panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(Job, Reply)> {
        let mut queue = self.queue();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Evaluators {
    /// Starts the threads; about one for each core.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or not its stack (64 MiB, virtual).
    pub fn start(threads: usize) -> io::Result<Evaluators> {
        Evaluators::over(Shared::default(), threads)
    }

    /// One thread, and `evaluate` comes back only when `reply` was called: for simulations, in which nothing may
    /// happen beside anything else.
    ///
    /// # Errors
    ///
    /// As [`Evaluators::start`].
    pub fn in_step() -> io::Result<Evaluators> {
        let shared = Shared {
            in_step: true,
            ..Shared::default()
        };
        Evaluators::over(shared, 1)
    }

    fn over(shared: Shared, threads: usize) -> io::Result<Evaluators> {
        let mut evaluators = Evaluators {
            shared: Arc::new(shared),
            threads: Vec::new(),
        };
        for n in 0..threads.max(1) {
            let shared = evaluators.shared.clone();
            let thread = on_large_stack(format!("script-{n}")).spawn(move || work(&shared))?;
            evaluators.threads.push(thread);
        }
        Ok(evaluators)
    }

    /// Evaluates a job on one of the threads and calls `reply` there. Never blocks: where
    /// `SCRIPT_QUEUE_MAX` jobs wait already, or after `stop`, `reply` is called at once, on the caller's
    /// thread, with `Interrupted`. One that is in step blocks until `reply` was called.
    pub fn evaluate(&self, job: Job, reply: Reply) {
        if !self.shared.in_step {
            return self.queue(job, reply);
        }
        let (done, replied) = channel();
        let reply: Reply = Box::new(move |advance| {
            reply(advance);
            drop(done);
        });
        self.queue(job, reply);
        // Nothing is ever sent: the wait is over when the reply was called and its end of the channel is gone.
        replied.into_iter().for_each(|()| {});
    }

    fn queue(&self, job: Job, reply: Reply) {
        let mut queue = self.shared.queue();
        let why = match (queue.closed, queue.jobs.len() >= limits::SCRIPT_QUEUE_MAX) {
            (true, _) => Interrupted::Stopped,
            (false, true) => Interrupted::Busy,
            (false, false) => {
                queue.jobs.push_back((job, reply));
                drop(queue);
                self.shared.changed.notify_one();
                return;
            }
        };
        drop(queue);
        reply(Advance::Interrupted { why });
    }

    /// How many jobs wait for a thread.
    pub fn waiting(&self) -> usize {
        self.shared.queue().jobs.len()
    }

    /// Answers `Stopped` to what waits in the queue, lets each thread finish what it has in hand, and joins
    /// the threads. To cut short what is in hand, set the stop flags of the jobs first.
    pub fn stop(mut self) {
        self.close();
    }

    fn close(&mut self) {
        let left = {
            let mut queue = self.shared.queue();
            queue.closed = true;
            std::mem::take(&mut queue.jobs)
        };
        self.shared.changed.notify_all();
        for (_, reply) in left {
            reply(Advance::Interrupted {
                why: Interrupted::Stopped,
            });
        }
        for thread in self.threads.drain(..) {
            // A thread catches what its jobs do; if it died all the same there is nothing left to save.
            drop(thread.join());
        }
    }
}

impl Drop for Evaluators {
    fn drop(&mut self) {
        self.close();
    }
}

/// The same for one job, on a thread started for it: for tests, tools and single looks. Building the engine
/// each time costs about a third of a millisecond in a release build.
pub fn advance(job: &Job) -> Advance {
    let run = || guarded(&mut Machines::default(), job);
    on_own_thread(run).unwrap_or_else(|| fault("no thread could be started for the script"))
}

/// Runs something on a thread with a large stack and waits for it. None when there is no thread.
pub(super) fn on_own_thread<T: Send>(run: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = on_large_stack("script".to_owned())
            .spawn_scoped(scope, run)
            .ok()?;
        thread.join().ok()
    })
}

fn on_large_stack(name: String) -> Builder {
    Builder::new().name(name).stack_size(limits::SCRIPT_STACK_BYTES)
}

fn work(shared: &Shared) {
    let mut machines = Machines::default();
    while let Some((job, reply)) = shared.take() {
        let advance = guarded(&mut machines, &job);
        // Whoever gets the answer may change what the job shared, without a copy.
        drop(job);
        // A reply that panics is a defect of its maker; it must not take the thread with it.
        drop(catch_unwind(AssertUnwindSafe(|| reply(advance))));
    }
}

/// A panic inside an evaluation is a defect, which fails the run and spares the thread; its engines are
/// thrown away, for nobody knows what state they are in.
fn guarded(machines: &mut Machines, job: &Job) -> Advance {
    catch_unwind(AssertUnwindSafe(|| machines.advance(job))).unwrap_or_else(|_| {
        *machines = Machines::default();
        fault("the script engine has a defect that this script hits, please report it")
    })
}

fn fault(message: &str) -> Advance {
    let error = Failure::of(Thrown::new("fault", message), None, Vec::new());
    Advance::Failed {
        error,
        told: Vec::new(),
    }
}
