//! The present by the servers' clock, so that all nodes have one. Never goes backwards: where the servers' clock is
//! behind what was said already, time runs at half speed until they meet. Nothing that must not happen twice depends
//! on it; claims are fenced by their epoch.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::clock::{Clock, Time};

/// A clock that follows a server's.
#[derive(Debug)]
pub struct ServerClock {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The servers' time at `at`.
    server: Time,
    /// When that was, by a clock that nobody sets.
    at: Instant,
    /// What was said last.
    said: Time,
    /// When.
    said_at: Instant,
}

impl ServerClock {
    /// A clock that was told `server` for the moment `at`.
    pub(super) fn new(server: Time, at: Instant) -> ServerClock {
        ServerClock {
            state: Mutex::new(State {
                server,
                at,
                said: server,
                said_at: at,
            }),
        }
    }

    /// The servers' time was `server` at the moment `at`.
    pub(super) fn follow(&self, server: Time, at: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.server, state.at) = (server, at);
    }

    fn at(&self, moment: Instant) -> Time {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |earlier: Instant| {
            let passed = moment.saturating_duration_since(earlier);
            u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
        };
        let server = state.server.plus_ms(since(state.at));
        if server >= state.said {
            (state.said, state.said_at) = (server, moment);
        } else {
            // Whole milliseconds at half speed; the odd one stays for the next look.
            let step = since(state.said_at) / 2;
            if step > 0 {
                (state.said, state.said_at) = (state.said.plus_ms(step), moment);
            }
        }
        state.said
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Time {
        self.at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_follows_the_server_and_never_goes_backwards() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let clock = ServerClock::new(Time(1_000_000), start);
        assert_eq!(clock.at(after(500)), Time(1_000_500));
        // A new primary whose clock is ahead is believed at once.
        clock.follow(Time(1_010_000), after(1_000));
        assert_eq!(clock.at(after(1_000)), Time(1_010_000));
        // One that is 4 s behind is waited for at half speed, and met after 8 s.
        clock.follow(Time(1_007_000), after(2_000));
        let mut last = clock.at(after(2_000));
        assert!(last >= Time(1_010_000));
        for ms in (2_001..16_000).step_by(7) {
            let now = clock.at(after(ms));
            assert!(now >= last, "{ms}");
            last = now;
        }
        assert_eq!(last, Time(1_007_000 + 15_994 - 2_000));
    }
}
