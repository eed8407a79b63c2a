//! Times as senders write them: RFC 3339 with and without the colon in its offset, and numbers or digits counting
//! from 1970 in seconds, milliseconds, microseconds or nanoseconds. A text without a zone is not guessed at.

use serde_json::Value;

use crate::clock::Time;

/// 1980: a time before it is a placeholder, not a time something was found.
const FIRST_MS: i64 = 315_532_800_000;
/// 2100.
const LAST_MS: i64 = 4_102_444_800_000;

/// The moment a value means, or `None` when it means none. The unit of a number follows from its size: read in
/// any other, it would lie outside the years 1980 to 2100.
pub(super) fn read(value: &Value) -> Option<Time> {
    let time = match value {
        Value::Number(number) => match number.as_i64() {
            Some(n) => whole(n),
            None => fraction(&number.to_string()),
        },
        Value::String(text) => text_time(text.trim()),
        _ => None,
    };
    time.filter(|time| (FIRST_MS..LAST_MS).contains(&time.0))
}

/// The moment of a number of milliseconds, where the format fixes the unit.
pub(super) fn milliseconds(value: &Value) -> Option<Time> {
    value
        .as_i64()
        .map(Time)
        .filter(|time| (FIRST_MS..LAST_MS).contains(&time.0))
}

fn whole(n: i64) -> Option<Time> {
    let in_range = |ms: i64| (FIRST_MS..LAST_MS).contains(&ms);
    [n.saturating_mul(1_000), n, n / 1_000, n / 1_000_000]
        .into_iter()
        .find(|ms| in_range(*ms))
        .map(Time)
}

/// Seconds with a fraction, by their digits.
fn fraction(text: &str) -> Option<Time> {
    let (seconds, fraction) = text.split_once('.')?;
    let seconds: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(Time(
        seconds
            .checked_mul(1_000)?
            .checked_add(thousandths.parse().ok()?)?,
    ))
}

fn text_time(text: &str) -> Option<Time> {
    if text.len() > 40 {
        return None;
    }
    if let Ok(n) = text.parse::<i64>() {
        return whole(n);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return fraction(text);
    }
    Time::parse(text).or_else(|| {
        // `+0000` is ISO 8601 but not RFC 3339.
        let (rest, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
        let offset = rest.get(rest.len().checked_sub(3)?..)?;
        offset
            .starts_with(['+', '-'])
            .then(|| Time::parse(&format!("{rest}:{minutes}")))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_moment_in_every_spelling() {
        let expected = Some(Time(1_483_557_272_500));
        for spelling in [
            json!(1_483_557_272_500_i64),
            json!("1483557272.5"),
            json!(1483557272.5),
            json!("1483557272500"),
            json!(1_483_557_272_500_000_i64),
            json!("1483557272500000000"),
            json!("2017-01-04T19:14:32.5Z"),
            json!("2017-01-04T20:14:32.500+0100"),
            json!(" 2017-01-04T20:14:32.500000000+01:00 "),
        ] {
            assert_eq!(read(&spelling), expected, "{spelling}");
        }
        assert_eq!(read(&json!(1_483_557_272)), Some(Time(1_483_557_272_000)));
    }

    #[test]
    fn what_means_no_moment_is_none() {
        for wrong in [
            json!(0),
            json!(""),
            json!("n/a"),
            json!(null),
            json!([]),
            json!("0001-01-01T00:00:00Z"),
            json!(-5),
            json!("1970-01-01T00:00:00Z"),
            json!("3/24/2022 2:42:35 PM"),
            json!("2022-03-24 14:42:35"),
            json!(i64::MAX),
            json!("9".repeat(30)),
            json!(1e300),
            json!("é+0000"),
            json!("+0000"),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
