//! Wall-clock time as a value. Rooms below floor 4 never read a clock: a `Time` comes in as an argument.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, without leap seconds. Stored and sent as that number,
/// shown as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The moment `ms` milliseconds later, held at the ends of the range instead of wrapping.
    pub fn plus_ms(self, ms: u64) -> Time {
        Time(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later.
    pub fn since_ms(self, earlier: Time) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Reads RFC 3339 (`2026-11-23T16:45:46Z`, any offset, any number of fraction digits).
    pub fn parse(text: &str) -> Option<Time> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(|stamp| Time(stamp.as_millisecond()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the present comes from.
pub trait Clock: Send + Sync {
    /// The present moment. May go backwards when an operator sets the machine's clock; nothing that must
    /// not happen twice depends on it.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(jiff::Timestamp::now().as_millisecond())
    }
}

/// A clock that moves only when told to, for tests and simulation.
#[derive(Debug, Default)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// A clock that stands at `start`.
    pub fn at(start: Time) -> SetClock {
        SetClock(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, ms: u64) {
        self.0
            .fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

/// Reads a duration as people write it: a whole number and one of `ms`, `s`, `m`, `h`, `d`. Answers
/// milliseconds, or `None` when the text is anything else or the result does not fit.
pub fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Writes a duration as people read it: the two largest units that are not zero (`4h`, `1m 30s`, `120ms`).
pub fn duration_text(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let mut left = ms;
    let mut parts: Vec<String> = Vec::new();
    for (name, size) in units {
        let n = left / size;
        left %= size;
        if n > 0 {
            parts.push(format!("{n}{name}"));
        }
        if parts.len() == 2 {
            break;
        }
    }
    if ms < 10_000 && left > 0 {
        return format!("{:.1}s", ms as f64 / 1_000.0);
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration_ms("90s"), Some(90_000));
        assert_eq!(duration_ms("4h"), Some(14_400_000));
        assert_eq!(duration_ms("250ms"), Some(250));
        for wrong in [
            "",
            "4",
            "h",
            "-1h",
            "1.5h",
            "4 h",
            "4w",
            "99999999999999999999d",
            "999999999999999d",
        ] {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_written_short() {
        assert_eq!(duration_text(120), "120ms");
        assert_eq!(duration_text(14_400_000), "4h");
        assert_eq!(duration_text(90_000), "1m 30s");
        assert_eq!(duration_text(1_500), "1.5s");
        assert_eq!(duration_text(90_061_000), "1d 1h");
    }

    #[test]
    fn time_is_rfc_3339_in_utc() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Time::parse("1970-01-01T01:00:00.5+01:00"), Some(Time(500)));
        assert_eq!(Time::parse("yesterday"), None);
    }
}
