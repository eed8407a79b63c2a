//! `[retention]`: for how long settled runs and alerts are kept.

use crate::clock::{duration_ms, duration_text};
use crate::limits::RETENTION_MS_MIN;
use crate::page::{Page, Table};
use crate::upkeep::Keep;

/// Reads the table; what is not said keeps its default.
pub(super) fn read(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Keep {
    let mut keep = Keep::default();
    for (key, place) in [("runs", &mut keep.runs_ms), ("alerts", &mut keep.alerts_ms)] {
        let Some(text) = table.text(page, key) else {
            continue;
        };
        if text.value == "never" {
            *place = None;
            continue;
        }
        match duration_ms(&text.value) {
            Some(ms) if ms >= RETENTION_MS_MIN => *place = Some(ms),
            Some(_) => page.mistake(
                "K060",
                text.span,
                format!(
                    "`{}` is too short: what happened has to be there while it is looked into",
                    text.value
                ),
                format!(
                    "keep {key} for `{}` at least, or `never` forget them",
                    duration_text(RETENTION_MS_MIN)
                ),
            ),
            None => page.mistake(
                "K060",
                text.span,
                format!("`{}` does not say for how long", text.value),
                "write days, such as `400d`, or `never`",
            ),
        }
    }
    table.finish(page);
    keep
}
