//! How the engine waits. Everything under `run` waits through here and never through the runtime's own timers, so that
//! a simulation can order every wait of several workers by one seed and let hours pass in a second.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

/// A wait that is under way.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who lets time pass.
pub trait Pace: Send + Sync {
    /// Is over after so many milliseconds, 0 included, not before.
    fn wait_ms(&self, ms: u64) -> Waiting;
}

/// The runtime's timers: what a node uses.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealPace;

impl Pace for RealPace {
    fn wait_ms(&self, ms: u64) -> Waiting {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }
}

/// What `work` comes to, or `None` when it takes longer than `ms`; it is dropped then.
pub(super) async fn within_ms<T>(pace: &Arc<dyn Pace>, ms: u64, work: impl Future<Output = T>) -> Option<T> {
    // The work is looked at first, so that what is there already is never lost to a wait that is over.
    match select(pin!(work), pace.wait_ms(ms)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_is_done_counts_and_work_that_never_is_ends_the_wait() {
        let pace: Arc<dyn Pace> = Arc::new(RealPace);
        assert_eq!(within_ms(&pace, 0, async { 7 }).await, Some(7));
        assert_eq!(within_ms(&pace, 1, std::future::pending::<u8>()).await, None);
    }
}
