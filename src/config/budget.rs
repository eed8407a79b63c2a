//! `[[policy.budget]]`: how many effects of a kind may happen within a window. A budget that is misread would let too
//! much through, so nothing is made of one with a mistake.

use std::ops::Range;

use super::policy::{approvers, which};
use crate::clock::duration_text;
use crate::diagnostic::nearest;
use crate::guardrail::{Budget, Each, Groups};
use crate::limits::{BUDGET_PLACES_MAX, BUDGET_WINDOW_MS_MAX};
use crate::page::{Page, Placed, Table, listed};

/// One `[[policy.budget]]`.
pub(super) fn read(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    groups: &Groups,
) -> Option<(Budget, Vec<Placed<String>>, Range<usize>)> {
    let before = page.mistakes.len();
    let name = table.needed_text(page, "name");
    let (which, actions) = which(page, &mut table);
    let limit = table.count(page, "limit");
    let window_ms = table.ms(page, "window");
    let each = table.text(page, "each");
    let why = table.text(page, "why").map_or(String::new(), |why| why.value);
    let approvers = approvers(page, &mut table, groups, None);
    let span = table.span.clone();
    let mut wrong =
        |span: Range<usize>, message: String, help: &str| page.mistake("K070", span, message, help);
    if let Some(blank) = name
        .as_ref()
        .filter(|name| name.value.trim().is_empty() || name.value.contains('/'))
    {
        let help = "places are counted under it: write `name = \"isolations\"`";
        wrong(
            blank.span.clone(),
            format!("`{}` is no name of a budget", blank.value),
            help,
        );
    }
    let limit = match limit {
        Some(Placed { value: n, span: at }) => u32::try_from(n)
            .ok()
            .filter(|n| *n <= BUDGET_PLACES_MAX)
            .or_else(|| {
                let help = format!("write `limit = 20`, at most {BUDGET_PLACES_MAX}; 0 lets nothing happen");
                wrong(at, format!("{n} is more than a budget counts"), &help);
                None
            }),
        None => {
            wrong(
                span.clone(),
                "the budget does not say how many".into(),
                "add `limit = 20`",
            );
            None
        }
    };
    let window_ms = match window_ms {
        Some(0) => {
            wrong(
                span.clone(),
                "a window of no time counts nothing".into(),
                "write `window = \"1h\"`",
            );
            None
        }
        Some(ms) if ms > BUDGET_WINDOW_MS_MAX => {
            let help = format!(
                "write at most `window = \"{}\"`",
                duration_text(BUDGET_WINDOW_MS_MAX)
            );
            wrong(span.clone(), "the window is too long".into(), &help);
            None
        }
        None => {
            wrong(
                span.clone(),
                "the budget does not say within what time".into(),
                "add `window = \"1h\"`",
            );
            None
        }
        found => found,
    };
    let each = match each {
        None => Each::All,
        Some(word) => match Each::WORDS.iter().find(|(known, _)| *known == word.value) {
            Some((_, each)) => *each,
            None => {
                let words: Vec<&str> = Each::WORDS.iter().map(|(word, _)| *word).collect();
                let help = match nearest(&word.value, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a budget is counted for each of {}", listed(&words)),
                };
                wrong(
                    word.span,
                    format!("`{}` is nothing to count by", word.value),
                    &help,
                );
                Each::All
            }
        },
    };
    table.finish(page);
    if page.mistakes.len() > before {
        return None;
    }
    let name = name?;
    let budget = Budget {
        name: name.value.trim().to_owned(),
        which,
        limit: limit?,
        window_ms: window_ms?,
        each,
        approvers,
        why,
    };
    Some((budget, actions, name.span))
}
