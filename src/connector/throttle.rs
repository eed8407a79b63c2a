//! Pauses a vendor asked for. One pause per connector instance, so that what one run learns by a 429 every run
//! obeys. Reads no clock and never sleeps: it says how long to wait, and the engine's timers do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::action::{Fault, Retry};
use crate::clock::Time;
use crate::limits::RETRY_AFTER_MS_MAX;

/// Pause where a vendor says "too many requests" and not until when, ms.
const UNSAID_MS: u64 = 5_000;

/// Until when each instance is left alone.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<BTreeMap<String, Time>>);

impl Throttle {
    /// How long an instance is still to be left alone, ms; 0 when it is not.
    pub fn pause_ms(&self, instance: &str, now: Time) -> u64 {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.get(instance).map_or(0, |until| until.since_ms(now))
    }

    /// Takes note of an answer 429, and says what to do. A pause longer than we obey is remembered as far as we
    /// do, and the attempt fails for good, saying so.
    pub fn too_many(&self, instance: &str, headers: RetryHeaders<'_>, now: Time) -> (Fault, Retry) {
        let asked_ms = headers.wait_ms(now).unwrap_or(UNSAID_MS);
        let pause_ms = asked_ms.min(RETRY_AFTER_MS_MAX);
        {
            let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let until = now.plus_ms(pause_ms);
            let known = pauses.entry(instance.to_owned()).or_insert(until);
            *known = (*known).max(until);
        }
        if asked_ms > RETRY_AFTER_MS_MAX {
            let seconds = asked_ms / 1_000;
            let fault = Fault::new(
                "rate-limited",
                format!("`{instance}` asks to be left alone for {seconds} seconds, longer than we wait"),
            );
            return (fault, Retry::Never);
        }
        (rate_limited(instance), Retry::AfterMs(pause_ms))
    }
}

/// The fault of an instance that is left alone.
pub(super) fn rate_limited(instance: &str) -> Fault {
    Fault::new(
        "rate-limited",
        format!("`{instance}` takes no more requests for now"),
    )
}

/// What an answer says of when to come back.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryHeaders<'a> {
    /// `Retry-After` (RFC 9110 §10.2.3): seconds, or an HTTP date.
    pub retry_after: Option<&'a str>,
    /// `X-Ratelimit-RetryAfter` of CrowdStrike or `X-Rate-Limit-Reset` of Okta: seconds since 1970.
    pub epoch_s: Option<&'a str>,
    /// What the body says, ms.
    pub body_ms: Option<u64>,
}

impl RetryHeaders<'_> {
    /// How long to wait from `now`, ms. `Retry-After` goes first; a moment that has passed is no wait.
    fn wait_ms(self, now: Time) -> Option<u64> {
        let standard = self.retry_after.map(str::trim).and_then(|text| {
            if let Ok(seconds) = text.parse::<u64>() {
                return Some(seconds.saturating_mul(1_000));
            }
            let date = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(text)
                .ok()?;
            Some(Time(date.as_millisecond()).since_ms(now))
        });
        let by_epoch = || {
            let seconds: i64 = self.epoch_s?.trim().parse().ok()?;
            Some(Time(seconds.saturating_mul(1_000)).since_ms(now))
        };
        standard.or_else(by_epoch).or(self.body_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);

    fn headers<'a>(retry_after: Option<&'a str>, epoch_s: Option<&'a str>) -> RetryHeaders<'a> {
        RetryHeaders {
            retry_after,
            epoch_s,
            body_ms: None,
        }
    }

    #[test]
    fn the_vendors_word_is_read_in_each_of_its_forms() {
        for (headers, wait) in [
            (headers(Some("7"), None), Some(7_000)),
            (headers(Some(" 7 "), Some("1700000099")), Some(7_000)),
            (headers(Some("Tue, 14 Nov 2023 22:13:30 GMT"), None), Some(10_000)),
            (headers(Some("Tue, 14 Nov 2023 22:13:10 GMT"), None), Some(0)),
            (headers(None, Some("1700000009")), Some(9_000)),
            (headers(Some("soon"), Some("1700000009")), Some(9_000)),
            (headers(Some("soon"), None), None),
            (headers(Some("-3"), None), None),
            (headers(None, None), None),
        ] {
            assert_eq!(headers.wait_ms(NOW), wait, "{headers:?}");
        }
        let body_ms = Some(1_500);
        let in_body = RetryHeaders {
            body_ms,
            ..RetryHeaders::default()
        };
        assert_eq!(in_body.wait_ms(NOW), Some(1_500));
        let both = RetryHeaders {
            body_ms,
            ..headers(Some("7"), None)
        };
        assert_eq!(both.wait_ms(NOW), Some(7_000));
    }

    #[test]
    fn one_answer_pauses_everyone_at_that_instance_and_nobody_elsewhere() {
        let throttle = Throttle::default();
        let (fault, retry) = throttle.too_many("edr", headers(Some("3"), None), NOW);
        assert_eq!(
            (fault.code.as_str(), retry),
            ("rate-limited", Retry::AfterMs(3_000))
        );
        assert_eq!(throttle.pause_ms("edr", NOW.plus_ms(1_000)), 2_000);
        assert_eq!(throttle.pause_ms("edr", NOW.plus_ms(3_000)), 0);
        assert_eq!(throttle.pause_ms("okta", NOW), 0);
    }

    #[test]
    fn a_shorter_answer_does_not_shorten_a_pause() {
        let throttle = Throttle::default();
        throttle.too_many("edr", headers(Some("60"), None), NOW);
        throttle.too_many("edr", headers(Some("1"), None), NOW);
        assert_eq!(throttle.pause_ms("edr", NOW), 60_000);
    }

    #[test]
    fn a_pause_beyond_our_patience_fails_and_says_so() {
        let throttle = Throttle::default();
        let (fault, retry) = throttle.too_many("edr", headers(Some("86400"), None), NOW);
        assert_eq!(retry, Retry::Never);
        assert!(fault.message.contains("86400 seconds"), "{fault}");
        assert_eq!(throttle.pause_ms("edr", NOW), RETRY_AFTER_MS_MAX);
    }
}
