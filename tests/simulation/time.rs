//! Simulated time, and the one runtime it runs on: one thread, no timers of its own. When nothing is left to do the
//! clock moves to the next wait, so an hour takes as long as its work. Chance comes from one seed, and is drawn in the
//! order in which things happen, which is the same for the same seed.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use cordon::clock::{Clock, Time};
use cordon::run::{Pace, Waiting};

/// When every simulation begins: a moment in 2026.
const BEGIN: i64 = 1_790_000_000_000;

#[derive(Default)]
struct Inner {
    /// Milliseconds since the beginning, as a stop watch has them.
    elapsed_ms: u64,
    /// What the wall clock shows beyond that.
    ahead_ms: i64,
    /// Waits by their end and number.
    waits: BTreeMap<(u64, u64), Waker>,
    next: u64,
    chance: u64,
    /// What happened, where it is to be told.
    story: Option<Vec<String>>,
}

/// Time and chance.
#[derive(Clone, Default)]
pub struct Sim(Arc<Mutex<Inner>>);

impl Sim {
    pub fn new(seed: u64) -> Sim {
        let sim = Sim::default();
        sim.inner().chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
        sim
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Runs a future to its end, letting time pass whenever nothing else is to do.
    pub fn run<T>(&self, course: impl Future<Output = T>) -> T {
        let sim = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || sim.pass())
            .build()
            .unwrap();
        runtime.block_on(course)
    }

    /// From here on what happens is kept.
    pub fn keep_story(&self) {
        self.inner().story = Some(Vec::new());
    }

    pub fn is_told(&self) -> bool {
        self.inner().story.is_some()
    }

    pub fn tell(&self, line: String) {
        let now = Clock::now(self);
        let mut inner = self.inner();
        let at = inner.elapsed_ms;
        if let Some(story) = &mut inner.story {
            story.push(format!("{at} {now} {line}"));
        }
    }

    pub fn story(&self) -> Vec<String> {
        self.inner().story.take().unwrap_or_default()
    }

    /// Moves to the next wait and ends it.
    fn pass(&self) {
        let woken = {
            let mut inner = self.inner();
            let next = inner.waits.pop_first();
            if let Some(((at, _), _)) = &next {
                inner.elapsed_ms = inner.elapsed_ms.max(*at);
            }
            next
        };
        if let Some((_, waker)) = woken {
            waker.wake();
        }
    }

    /// What a stop watch shows, ms.
    pub fn elapsed_ms(&self) -> u64 {
        self.inner().elapsed_ms
    }

    /// Sets the wall clock forward or back.
    pub fn jump(&self, ms: i64) {
        self.inner().ahead_ms += ms;
    }

    /// The next number of the seed (SplitMix64).
    fn draw(&self) -> u64 {
        let mut inner = self.inner();
        inner.chance = inner.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = inner.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `from..to`.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.draw() % (to - from).max(1)
    }

    /// True so many times in a thousand.
    pub fn in_thousand(&self, n: u64) -> bool {
        self.between(0, 1_000) < n
    }

    /// One of several.
    pub fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.between(0, all.len() as u64) as usize]
    }

    /// Waits.
    pub async fn sleep(&self, ms: u64) {
        self.wait_ms(ms).await;
    }
}

impl Clock for Sim {
    fn now(&self) -> Time {
        let inner = self.inner();
        Time(BEGIN + inner.elapsed_ms as i64 + inner.ahead_ms)
    }
}

impl Pace for Sim {
    fn wait_ms(&self, ms: u64) -> Waiting {
        let at = self.elapsed_ms().saturating_add(ms);
        Box::pin(Wait {
            sim: self.clone(),
            at,
            key: None,
        })
    }
}

struct Wait {
    sim: Sim,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sim = self.sim.clone();
        let mut inner = sim.inner();
        let key = match self.key {
            // Whoever let time pass took it off the list.
            Some(key) if !inner.waits.contains_key(&key) => return Poll::Ready(()),
            Some(key) => key,
            // Every wait takes a turn, so that a loop of waits of no length lets others have theirs.
            None => {
                inner.next += 1;
                (self.at, inner.next)
            }
        };
        self.key = Some(key);
        inner.waits.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.sim.inner().waits.remove(&key);
        }
    }
}
