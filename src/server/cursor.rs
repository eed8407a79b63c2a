//! Lists over all partitions, merged newest first, in pages. A page ends at a place between two rows, never
//! inside a millisecond that several rows share, so nothing is left out or shown twice.

use std::cmp::Reverse;
use std::future::Future;

use futures_util::future::try_join_all;

use super::error::ApiError;
use crate::clock::Time;
use crate::id::Partition;
use crate::limits::PAGE_MAX;
use crate::store::Error;

/// Rows on a page where nothing is said.
const PAGE_DEFAULT: usize = 50;

/// A place in a list: after the row of this moment and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    at: Time,
    id: String,
}

impl Cursor {
    /// Reads `before`: the `next` of an earlier page, RFC 3339, or milliseconds since 1970.
    pub(super) fn parse(text: &str) -> Result<Cursor, ApiError> {
        let (moment, id) = text.split_once('~').unwrap_or((text, ""));
        let at = moment
            .parse::<i64>()
            .ok()
            .map(Time)
            .or_else(|| Time::parse(moment));
        let at = at.ok_or_else(|| {
            ApiError::bad(
                format!("`{}` is not a place in a list", text.escape_debug()),
                "give in `before` the `next` of the page before, or a moment such as `2026-11-23T16:45:46Z`",
            )
        })?;
        // Everything of a bare moment itself is left out: ids sort before this.
        Ok(Cursor {
            at,
            id: if id.is_empty() {
                String::new()
            } else {
                id.to_owned()
            },
        })
    }

    /// Rows are in the order of falling moments, and falling ids within one.
    fn is_before(&self, at: Time, id: &str) -> bool {
        (at, id) < (self.at, self.id.as_str())
    }

    fn text(&self) -> String {
        format!("{}~{}", self.at.0, self.id)
    }
}

/// How many rows to give.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, ApiError> {
    match asked {
        None => Ok(PAGE_DEFAULT),
        Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
        Some(limit) => Err(ApiError::bad(
            format!("a page of `{limit}` rows cannot be had"),
            format!("ask for 1 to {PAGE_MAX} in `limit`, and for the rest with `before`"),
        )),
    }
}

/// One page: `limit` rows after `before`, and where the next page begins, if there may be one. `fetch` reads
/// one partition's rows before a moment, newest first; `key` names a row.
pub(super) async fn page<T, K, F, R>(
    before: Option<Cursor>,
    limit: usize,
    key: K,
    fetch: F,
) -> Result<(Vec<T>, Option<String>), Error>
where
    K: Fn(&T) -> (Time, String),
    F: Fn(Partition, Option<Time>, usize) -> R,
    R: Future<Output = Result<Vec<T>, Error>>,
{
    let parts = Partition::all().map(|partition| part(partition, before.as_ref(), limit, &key, &fetch));
    let mut rows: Vec<T> = try_join_all(parts).await?.into_iter().flatten().collect();
    rows.sort_by_cached_key(|row| Reverse(key(row)));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().map(&key).filter(|_| more);
    Ok((rows, last.map(|(at, id)| Cursor { at, id }.text())))
}

/// One partition's share: at least `limit + 1` rows after `before`, or all there are.
async fn part<T, K, F, R>(
    partition: Partition,
    before: Option<&Cursor>,
    limit: usize,
    key: &K,
    fetch: &F,
) -> Result<Vec<T>, Error>
where
    K: Fn(&T) -> (Time, String),
    F: Fn(Partition, Option<Time>, usize) -> R,
    R: Future<Output = Result<Vec<T>, Error>>,
{
    let wanted = limit.saturating_add(1);
    let mut asked = wanted.saturating_add(1);
    loop {
        // The cursor's own millisecond is read again, for its rows that were not on the page before.
        let moment = before.map(|cursor| cursor.at.plus_ms(1));
        let mut rows = fetch(partition, moment, asked).await?;
        let all = rows.len() < asked;
        if !all && let Some((last, _)) = rows.last().map(key) {
            // Of the last millisecond there may be more rows than were given, in the store's own order.
            rows.retain(|row| key(row).0 > last);
        }
        if let Some(cursor) = before {
            rows.retain(|row| {
                let (at, id) = key(row);
                cursor.is_before(at, &id)
            });
        }
        if all || rows.len() >= wanted {
            return Ok(rows);
        }
        asked = asked.saturating_mul(2);
    }
}
