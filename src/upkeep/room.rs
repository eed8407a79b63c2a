//! How much room a store has left, in three words.

use crate::limits::{ROOM_LOW_BYTES, ROOM_LOW_PERCENT, ROOM_SHORT_BYTES, ROOM_SHORT_PERCENT};
use crate::store::Health;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Enough, or nothing says.
    Enough,
    /// Low: see to it today.
    Low,
    /// Nearly none: soon alerts are answered 503 and no effect begins.
    Short,
}

impl Level {
    /// The word for people and logs.
    pub fn word(self) -> &'static str {
        match self {
            Level::Enough => "enough",
            Level::Low => "low",
            Level::Short => "short",
        }
    }
}

/// How much room a store has.
pub fn level(health: &Health) -> Level {
    let (Some(total), Some(free)) = (health.total_bytes, health.free_bytes) else {
        return Level::Enough;
    };
    let percent = u128::from(free)
        .saturating_mul(100)
        .checked_div(u128::from(total))
        .unwrap_or(0);
    if percent < u128::from(ROOM_SHORT_PERCENT) && free < ROOM_SHORT_BYTES {
        Level::Short
    } else if percent < u128::from(ROOM_LOW_PERCENT) && free < ROOM_LOW_BYTES {
        Level::Low
    } else {
        Level::Enough
    }
}
