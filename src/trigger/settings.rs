//! The head of a trigger: Sigma's own keys, the log source that says "this is about findings", and our keys under
//! `cordon`. Knows every key there is, so that a misspelt one is an error and not a rule without its window.

use super::report::Report;
use super::value::activity_word;
use super::yaml::{Key, Node, What};
use crate::clock::duration_ms;
use crate::diagnostic::nearest;
use crate::finding::{Activity, Finding, SeverityId};

/// Keys of a Sigma 2.1.0 detection rule, and ours.
const TOP: [&str; 21] = [
    "title",
    "id",
    "name",
    "related",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "taxonomy",
    "cordon",
    "custom_attributes",
];
/// Keys that make a document something else than a detection rule.
const OTHER_KINDS: [&str; 5] = ["correlation", "filter", "action", "sigma-version", "rules"];
/// Window where a trigger names none, ms.
const WINDOW_MS: u64 = 3_600_000;
/// Longest window, ms: the memory of keys is kept for it.
const WINDOW_MS_MAX: u64 = 30 * 86_400_000;
/// Most fields of a key.
const KEY_FIELDS_MAX: usize = 8;

/// What the head says.
pub(super) struct Head {
    pub(super) id: Option<String>,
    pub(super) title: String,
    pub(super) level: SeverityId,
    pub(super) key: Vec<String>,
    pub(super) window_ms: u64,
    pub(super) on: Vec<Activity>,
}

/// Reads everything but `detection`; errors go to the report and a value of no weight stands in.
pub(super) fn read(members: &[(Key, Node)], report: &mut Report<'_>) -> Head {
    let find = |name: &str| members.iter().find(|(key, _)| key.text == name);
    for (key, _) in members {
        top_level_key(key, report);
    }
    let title = match find("title").map(|(key, node)| (key, node.text())) {
        Some((_, Some(text))) if !text.trim().is_empty() => text.trim().to_owned(),
        Some((key, _)) => {
            report.error(
                "T006",
                &key.span,
                "`title` is not text",
                "say in a few words what the trigger is for",
            );
            String::new()
        }
        None => {
            report.whole(
                "T005",
                "the trigger has no `title`",
                "begin with `title:` and say in a few words what it is for",
            );
            String::new()
        }
    };
    match find("logsource") {
        Some((key, node)) => logsource(key, node, report),
        None => report.whole(
            "T005",
            "the trigger has no `logsource`",
            "add `logsource: { product: cordon, category: finding }`",
        ),
    }
    let mut head = Head {
        id: text_of(find("id"), report),
        title,
        level: level(find("level"), report),
        key: vec!["uid".to_owned()],
        window_ms: WINDOW_MS,
        on: vec![Activity::Create],
    };
    if let Some((key, node)) = find("cordon") {
        cordon(key, node, &mut head, report);
    }
    head
}

fn top_level_key(key: &Key, report: &mut Report<'_>) {
    let name = key.text.as_str();
    if TOP.contains(&name) {
        return;
    }
    if OTHER_KINDS.contains(&name) {
        report.error(
            "T016",
            &key.span,
            format!("`{name}` makes this something else than a plain detection rule"),
            "a trigger is one Sigma detection rule; correlate in the SIEM and trigger on its finding",
        );
        return;
    }
    unknown(key, &TOP, "a trigger", report);
}

fn unknown(key: &Key, known: &[&'static str], of: &str, report: &mut Report<'_>) {
    let help = match nearest(&key.text, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{of} has the keys {}", known.join(", ")),
    };
    report.error(
        "T004",
        &key.span,
        format!("unknown key `{}` of {of}", key.text),
        help,
    );
}

fn text_of(member: Option<&(Key, Node)>, report: &mut Report<'_>) -> Option<String> {
    let (key, node) = member?;
    if node.text().is_none() {
        report.error(
            "T006",
            &key.span,
            format!("`{}` is not text", key.text),
            "put it in quotes",
        );
    }
    node.text().map(str::to_owned)
}

fn level(member: Option<&(Key, Node)>, report: &mut Report<'_>) -> SeverityId {
    let Some((key, node)) = member else {
        return SeverityId::UNKNOWN;
    };
    const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];
    match node.text() {
        Some(word) if LEVELS.contains(&word) => SeverityId::from_word(word),
        _ => {
            report.error(
                "T006",
                &key.span,
                "`level` is not a level of Sigma",
                format!("it is one of {}", LEVELS.join(", ")),
            );
            SeverityId::UNKNOWN
        }
    }
}

fn logsource(key: &Key, node: &Node, report: &mut Report<'_>) {
    const HELP: &str = "write `logsource: { product: cordon, category: finding }`";
    let Some(members) = node.members() else {
        report.error("T007", &key.span, "`logsource` is not a map", HELP);
        return;
    };
    for (name, value) in members {
        let wanted = match name.text.as_str() {
            "product" => "cordon",
            "category" => "finding",
            "definition" => continue,
            _ => {
                report.error(
                    "T007",
                    &name.span,
                    format!("`{}` is not part of the log source of findings", name.text),
                    HELP,
                );
                continue;
            }
        };
        if value.text() != Some(wanted) {
            report.error(
                "T007",
                &value.span,
                format!("`{}` of the log source is not `{wanted}`", name.text),
                "triggers read findings, not logs; match the sender's own fields as `raw.…`",
            );
        }
    }
    for wanted in ["product", "category"] {
        if node.get(wanted).is_none() {
            report.error(
                "T007",
                &key.span,
                format!("the log source has no `{wanted}`"),
                HELP,
            );
        }
    }
}

fn cordon(key: &Key, node: &Node, head: &mut Head, report: &mut Report<'_>) {
    let Some(members) = node.members() else {
        report.error(
            "T006",
            &key.span,
            "`cordon` is not a map",
            "write `cordon: { key: [affected.uid], window: 1h }`",
        );
        return;
    };
    for (name, value) in members {
        match name.text.as_str() {
            "key" => head.key = key_fields(name, value, report),
            "window" => head.window_ms = window(value, name, report),
            "on" => head.on = activities(name, value, report),
            _ => unknown(name, &["key", "window", "on"], "`cordon`", report),
        }
    }
}

fn words(node: &Node) -> Option<Vec<(&str, &Node)>> {
    let items: &[Node] = match &node.what {
        What::List(items) => items,
        _ => std::slice::from_ref(node),
    };
    items
        .iter()
        .map(|item| item.text().map(|text| (text, item)))
        .collect()
}

fn key_fields(name: &Key, node: &Node, report: &mut Report<'_>) -> Vec<String> {
    let fields = words(node).unwrap_or_default();
    if fields.is_empty() || fields.len() > KEY_FIELDS_MAX {
        report.error(
            "T015",
            &name.span,
            format!("`key` is not a list of one to {KEY_FIELDS_MAX} fields"),
            "name the fields that tell one case from another, such as `[affected.uid, rule.uid]`",
        );
    }
    for (n, (field, place)) in fields.iter().enumerate() {
        if !Finding::is_field(field) {
            let help = match nearest(field, Finding::FIELDS) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("a field of the sender is `raw.{field}`"),
            };
            report.error(
                "T015",
                &place.span,
                format!("`key` names the unknown field `{field}`"),
                help,
            );
        }
        if fields.iter().take(n).any(|(other, _)| other == field) {
            report.error(
                "T015",
                &place.span,
                format!("`key` names `{field}` twice"),
                "remove one",
            );
        }
    }
    fields.into_iter().map(|(field, _)| field.to_owned()).collect()
}

fn window(node: &Node, name: &Key, report: &mut Report<'_>) -> u64 {
    match node.text().and_then(duration_ms) {
        Some(ms) if (1..=WINDOW_MS_MAX).contains(&ms) => ms,
        _ => {
            let place = if node.span.is_empty() {
                &name.span
            } else {
                &node.span
            };
            report.error(
                "T015",
                place,
                "`window` is not a duration from 1ms to 30d",
                "write a whole number and a unit: `15m`, `1h`, `7d`",
            );
            WINDOW_MS
        }
    }
}

fn activities(name: &Key, node: &Node, report: &mut Report<'_>) -> Vec<Activity> {
    let words = words(node).unwrap_or_default();
    let mut on = Vec::new();
    if words.is_empty() {
        report.error(
            "T015",
            &name.span,
            "`on` is not a list of activities",
            "write `on: [create]` or `on: [create, update]`",
        );
    }
    for (word, place) in words {
        match word {
            "create" | "update" => {
                let activity = if word == "create" {
                    Activity::Create
                } else {
                    Activity::Update
                };
                if !on.contains(&activity) {
                    on.push(activity);
                }
            }
            "close" => report.error(
                "T015",
                &place.span,
                format!(
                    "`on` names `{}`, but a finding that is over never starts a playbook",
                    activity_word(Activity::Close)
                ),
                "remove it: containing what was just resolved would undo the responder's work",
            ),
            _ => report.error(
                "T015",
                &place.span,
                format!("`{word}` is no activity"),
                "it is `create` or `update`",
            ),
        }
    }
    on
}
