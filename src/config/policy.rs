//! `[groups]` and `[policy]`: what is never touched, what people have to approve, and who they are. A rule that
//! names nobody, or a group that is not there, would hold effects for ever, so it is a mistake.

use std::collections::{BTreeMap, BTreeSet};

use super::budget;
use super::read::entity_type;
use crate::approval::Terms;
use crate::clock::duration_text;
use crate::diagnostic::nearest;
use crate::guardrail::{ApprovalRule, Approvers, Groups, Mode, Policy, Protected, Which};
use crate::journal::SHIPPED;
use crate::limits::{APPROVAL_MS, APPROVAL_MS_MAX, APPROVAL_QUORUM_MAX, GROUP_MEMBERS_MAX};
use crate::page::{Page, Placed, Table, listed};

const MODES: [(&str, Mode); 3] = [
    ("act", Mode::Act),
    ("approve", Mode::Approve),
    ("observe", Mode::Observe),
];

/// `author` of `[content]`.
pub(super) fn author(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Option<String> {
    let author = table.text(page, "author")?;
    let name = author.value.trim();
    if name.is_empty() || name == SHIPPED {
        let message = format!("`{name}` cannot have published your playbooks");
        let help = "give the principal who did, as `cordon token create NAME` named them";
        page.mistake("K033", author.span, message, help);
        return None;
    }
    Some(name.to_owned())
}

/// `[groups]`.
pub(super) fn groups(page: &mut Page<'_>, table: Table<'_, '_>) -> Groups {
    let mut groups = BTreeMap::new();
    for (name, value) in table.inner().iter() {
        let text = |item: &toml::de::DeValue<'_>| item.as_str().map(str::to_owned);
        let members: Option<Vec<String>> = value
            .get_ref()
            .as_array()
            .map(|list| list.iter().map(|item| text(item.get_ref())).collect())
            .unwrap_or_default();
        let Some(members) = members.filter(|members| members.iter().all(|name| !name.trim().is_empty()))
        else {
            let message = format!("the group `{}` is not a list of names", name.get_ref());
            page.mistake(
                "K030",
                value.span(),
                message,
                "write `identity-leads = [\"ana\", \"ben\"]`",
            );
            continue;
        };
        let set: BTreeSet<String> = members.iter().map(|name| name.trim().to_owned()).collect();
        let wrong = if set.is_empty() {
            Some("has nobody in it".to_owned())
        } else if set.len() < members.len() {
            Some("names somebody twice".to_owned())
        } else if set.len() > GROUP_MEMBERS_MAX {
            Some(format!("has more than {GROUP_MEMBERS_MAX} members"))
        } else if set.contains(SHIPPED) {
            Some(format!("has `{SHIPPED}` in it, which is nobody's approver"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            let message = format!("the group `{}` {wrong}", name.get_ref());
            page.mistake(
                "K030",
                value.span(),
                message,
                "name each person once, as their token is named",
            );
            continue;
        }
        groups.insert(name.get_ref().to_string(), set);
    }
    Groups(groups)
}

/// `[policy]`, and the actions its rules name.
pub(super) fn read(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    groups: Groups,
) -> (Policy, Vec<Placed<String>>) {
    let mut policy = Policy::default();
    for mut entry in table.list(page, "protected") {
        let kind = entry.text(page, "type").map(|word| entity_type(page, &word));
        let name = entry.needed_text(page, "name");
        let why = entry.text(page, "why").map_or(String::new(), |why| why.value);
        entry.finish(page);
        // A type that was misread would widen or narrow what is protected, so nothing is made of it.
        if kind == Some(None) {
            continue;
        }
        let Some(name) = name else { continue };
        match Protected::new(kind.flatten(), &name.value, &why) {
            Ok(protected) => policy.protected.push(protected),
            Err(why) => page.mistake("K004", name.span, why.to_string(), "write `name = \"dc-*\"`"),
        }
    }
    let mode = table.text(page, "mode");
    policy.approvers = approvers(page, &mut table, &groups, None);
    if let Some(mode) = mode {
        match MODES.iter().find(|(word, _)| *word == mode.value) {
            Some((_, Mode::Approve)) if policy.approvers.is_none() => {
                let message = "the mode `approve` does not say who approves";
                page.mistake("K032", mode.span, message, "add `by = \"GROUP\"` to `[policy]`");
            }
            Some((_, mode)) => policy.mode = *mode,
            None => {
                let words: Vec<&str> = MODES.iter().map(|(word, _)| *word).collect();
                let help = match nearest(&mode.value, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("modes are {}", listed(&words)),
                };
                page.mistake("K032", mode.span, format!("`{}` is no mode", mode.value), help);
            }
        }
    }
    let mut actions = Vec::new();
    for entry in table.list(page, "approval") {
        if let Some((rule, named)) = rule(page, entry, &groups, policy.approvers.as_ref()) {
            policy.approvals.push(rule);
            actions.extend(named);
        }
    }
    for entry in table.list(page, "budget") {
        let Some((budget, named, at)) = budget::read(page, entry, &groups) else {
            continue;
        };
        actions.extend(named);
        if policy.budgets.iter().any(|one| one.name == budget.name) {
            let message = format!("there are two budgets `{}`", budget.name);
            page.mistake(
                "K070",
                at,
                message,
                "places are counted by name: give each its own",
            );
            continue;
        }
        policy.budgets.push(budget);
    }
    table.finish(page);
    (policy, actions)
}

/// One `[[policy.approval]]`.
fn rule(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    groups: &Groups,
    otherwise: Option<&Approvers>,
) -> Option<(ApprovalRule, Vec<Placed<String>>)> {
    let before = page.mistakes.len();
    let (which, actions) = which(page, &mut table);
    let why = table.text(page, "why").map_or(String::new(), |why| why.value);
    let approvers = approvers(page, &mut table, groups, otherwise);
    let span = table.span.clone();
    if which == Which::default() {
        let message = "the rule does not say what has to be approved";
        let help =
            "add `actions`, `types`, `names` or `irreversible = true`; for everything, `mode = \"approve\"`";
        page.mistake("K031", span.clone(), message, help);
    }
    if approvers.is_none() && page.mistakes.len() == before {
        page.mistake(
            "K031",
            span,
            "the rule does not say who approves",
            "add `by = \"GROUP\"`",
        );
    }
    table.finish(page);
    if page.mistakes.len() > before {
        return None;
    }
    let rule = ApprovalRule {
        which,
        approvers: approvers?,
        why,
    };
    Some((rule, actions))
}

/// `actions`, `types`, `names` and `irreversible` of a rule, and the actions it names with their places.
pub(super) fn which(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> (Which, Vec<Placed<String>>) {
    let actions = table.texts(page, "actions");
    let types = table.texts(page, "types");
    let types: Vec<_> = types.iter().filter_map(|word| entity_type(page, word)).collect();
    let names = table.texts(page, "names");
    let irreversible = table.is_set(page, "irreversible");
    for blank in actions
        .iter()
        .chain(&names)
        .filter(|text| text.value.trim().is_empty())
    {
        page.mistake(
            "K031",
            blank.span.clone(),
            "a pattern is blank",
            "write a name; `*` stands for anything",
        );
    }
    let values = |list: &[Placed<String>]| list.iter().map(|text| text.value.trim().to_owned()).collect();
    let which = Which {
        actions: values(&actions),
        types,
        names: values(&names),
        irreversible,
    };
    (which, actions)
}

/// `by`, `quorum` and `within` of a table; what is not said is as in `otherwise`.
pub(super) fn approvers(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    groups: &Groups,
    otherwise: Option<&Approvers>,
) -> Option<Approvers> {
    let by = table.text(page, "by");
    let quorum = table.count(page, "quorum");
    let within = table.text(page, "within");
    let mut fits = true;
    let quorum_at = quorum.as_ref().map(|quorum| quorum.span.clone());
    let quorum = match quorum {
        None => otherwise.map_or(1, |one| one.quorum),
        Some(Placed { value: n, span }) => match Terms::quorum(&serde_json::json!(n)) {
            Ok(quorum) => quorum,
            Err(error) => {
                let help = format!("write `quorum = 2`, at most {APPROVAL_QUORUM_MAX}");
                page.mistake("K031", span, error.to_string(), help);
                fits = false;
                1
            }
        },
    };
    let within_ms = match within {
        None => otherwise.map_or(APPROVAL_MS, |one| one.within_ms),
        Some(text) => match Terms::within(&serde_json::json!(text.value)) {
            Ok(ms) => ms,
            Err(error) => {
                let help = format!(
                    "write `within = \"8h\"`, at most `{}`",
                    duration_text(APPROVAL_MS_MAX)
                );
                page.mistake("K031", text.span, error.to_string(), help);
                fits = false;
                APPROVAL_MS
            }
        },
    };
    let (by, by_at) = match by {
        Some(by) => (by.value, Some(by.span)),
        None => (otherwise?.by.clone(), None),
    };
    match groups.members(&by) {
        None => {
            let help = match nearest(&by, groups.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `{by} = [\"NAME\", …]` to `[groups]`"),
            };
            let message = format!("`{by}` is neither a group of `[groups]` nor a member of one");
            page.mistake("K030", by_at.unwrap_or(table.span.clone()), message, help);
            fits = false;
        }
        Some(members) if members.len() < quorum => {
            let message = format!("{quorum} of `{by}` cannot agree: it has {}", members.len());
            let span = quorum_at.or(by_at).unwrap_or(table.span.clone());
            page.mistake("K031", span, message, "ask fewer, or a larger group");
            fits = false;
        }
        Some(_) => {}
    }
    fits.then_some(Approvers {
        by,
        quorum,
        within_ms,
    })
}
