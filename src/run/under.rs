//! The claim that tasks and chores work under: its number, and its end as it was renewed last.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Time;
use crate::store::Claim;

/// A claim, as whatever is under way under it sees it.
#[derive(Clone, Debug)]
pub struct Under {
    /// Its number.
    pub epoch: u64,
    until: Arc<AtomicI64>,
}

impl Under {
    /// Under a claim.
    pub fn claim(claim: &Claim) -> Under {
        Under {
            epoch: claim.epoch,
            ..Under::until(claim.until)
        }
    }

    /// Under no claim, but not after a moment.
    pub fn until(until: Time) -> Under {
        Under {
            epoch: 0,
            until: Arc::new(AtomicI64::new(until.0)),
        }
    }

    /// Under nothing: whatever would change a target's lock or hold is refused.
    pub fn nothing() -> Under {
        Under::until(Time(i64::MIN))
    }

    /// The claim was renewed.
    pub fn renewed(&self, until: Time) {
        self.until.store(until.0, Ordering::Release);
    }

    /// From when on the store refuses what is asked for now.
    pub fn before(&self) -> Time {
        Time(self.until.load(Ordering::Acquire))
    }
}
