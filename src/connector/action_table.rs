//! One `[actions.VERB]` table of a manifest: what is done, how it is seen and how it is undone stand together
//! here. Judges each key on its own; how keys and tables fit together is `rules`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::manifest::FunctionUse;
use crate::action::{ActionName, ActionSpec, Class, ReadBack, UndoSpec, facet_arguments};
use crate::diagnostic::nearest;
use crate::finding::EntityType;
use crate::page::{Page, Placed, Table, listed};

/// How long a vendor may take to put an action in force where the manifest says nothing, ms.
const PROPAGATION_MS: u64 = 300_000;
/// How long a request may still arrive after we stopped waiting where the manifest says nothing, ms.
const IN_FLIGHT_MS: u64 = 30_000;
/// How long a reading may show the old state where the manifest says nothing, ms.
const LAG_MS: u64 = 5_000;

/// Names of capability groups (DESIGN §6).
pub const CAPABILITIES: [&str; 12] = [
    "endpoint", "identity", "cloud", "secret", "network", "mail", "chat", "ticket", "page", "device", "hr",
    "asset",
];
/// Verbs that mean the same in every capability group (DESIGN §6); `send` is what mail, chat and page do.
pub const VERBS: [&str; 25] = [
    "isolate",
    "release",
    "suspend",
    "restore",
    "revoke_sessions",
    "reset_password",
    "list_keys",
    "deactivate_key",
    "reactivate_key",
    "delete_key",
    "rotate",
    "revoke_token",
    "disable_app",
    "enable_app",
    "deny",
    "undeny",
    "block",
    "unblock",
    "grant",
    "revoke_grant",
    "create",
    "remove",
    "lookup",
    "send",
    "list",
];

/// The argument through which an action function learns its idempotency key.
pub(super) const KEY_ARGUMENT: &str = "idempotency_key";
/// The argument through which an action function learns the moment of its attempt, RFC 3339 in UTC.
pub(super) const NOW_ARGUMENT: &str = "now";

/// True for `capability::verb` with a capability group in front, whoever provides it.
pub(super) fn is_capability(namespace: &str) -> bool {
    CAPABILITIES.contains(&namespace)
}

/// A function that reads takes the target, and where it needs them the arguments of the effect it reads for.
const READ_ARITIES: &[usize] = &[1, 2];

/// One table, and where its parts stand.
pub(super) struct ActionTable {
    pub(super) spec: ActionSpec,
    pub(super) irreversible: bool,
    pub(super) not_applied: Vec<u16>,
    /// Parts of the result that are secret, as paths of member names below the result.
    pub(super) secrets: Vec<Vec<String>>,
    pub(super) functions: Vec<FunctionUse>,
    /// The name in the table's header.
    pub(super) span: Range<usize>,
    /// The value of `undo.action`.
    pub(super) undo_span: Range<usize>,
    /// The value of `provides`.
    pub(super) provides_span: Range<usize>,
}

pub(super) fn read(
    page: &mut Page<'_>,
    namespace: &str,
    verb: &str,
    mut table: Table<'_, '_>,
) -> Option<ActionTable> {
    let span = table.span.clone();
    let Ok(name) = ActionName::new(namespace, verb) else {
        page.mistake(
            "C005",
            span,
            format!("`{verb}` cannot name an action"),
            "use lower-case letters, digits and `_`, beginning with a letter",
        );
        return None;
    };
    let title = table.needed_text(page, "title");
    let class = table
        .needed_text(page, "class")
        .and_then(|word| class_of(page, &word));
    let provides = table.text(page, "provides");
    let provides_span = provides.as_ref().map_or(span.clone(), |text| text.span.clone());
    let provides = provides.and_then(|text| capability(page, &text));
    let targets = table
        .texts(page, "targets")
        .into_iter()
        .filter_map(|word| entity_type(page, &word))
        .collect();
    let permission = permission(page, &mut table);
    let facet = table.text(page, "facet");
    let d3fend = table.text(page, "d3fend").map(|text| text.value);
    let mut functions = vec![FunctionUse {
        name: verb.to_owned(),
        arities: &[2],
        purpose: "does the action: it takes the target and the arguments",
        span: span.clone(),
    }];
    let resolve = table.text(page, "resolve");
    let capture = table.text(page, "capture");
    let (verify, unseen) = match table.table(page, "verify") {
        Some(inner) => seen(page, inner, &mut functions),
        None => (None, None),
    };
    let (undo, undo_span) = match table.table(page, "undo") {
        Some(inner) => read_undo(page, namespace, inner),
        None => (None, span.clone()),
    };
    let irreversible = table.is_set(page, "irreversible");
    let args = table
        .table(page, "args")
        .map_or_else(BTreeMap::new, |inner| read_args(page, inner));
    if let Some(facet) = &facet {
        facet_names(page, facet, &args);
    }
    let propagation_ms = table.ms(page, "propagation").unwrap_or(PROPAGATION_MS);
    let in_flight_ms = table.ms(page, "in_flight").unwrap_or(IN_FLIGHT_MS);
    let not_applied = statuses(page, &mut table, "not_applied");
    let secrets = read_secrets(page, &mut table);
    table.finish(page);

    for (named, arities, purpose) in [
        (&resolve, &[1][..], "finds the vendor's id: it takes the entity"),
        (
            &capture,
            READ_ARITIES,
            "reads the state before: it takes the target, and perhaps the arguments",
        ),
    ] {
        if let Some(function) = named {
            functions.push(FunctionUse {
                name: function.value.clone(),
                arities,
                purpose,
                span: function.span.clone(),
            });
        }
    }
    Some(ActionTable {
        spec: ActionSpec {
            name,
            title: title?.value,
            class: class?,
            provides,
            targets,
            args,
            facet: facet.as_ref().map(|text| text.value.clone()),
            resolve: resolve.map(|text| text.value),
            capture: capture
                .map(|text| text.value)
                .or_else(|| verify.as_ref().map(|verify| verify.read.clone())),
            verify,
            unseen,
            undo,
            permission: permission?,
            propagation_ms,
            in_flight_ms,
            d3fend,
        },
        irreversible,
        not_applied,
        secrets,
        functions,
        span,
        undo_span,
        provides_span,
    })
}

/// `member:{group}`: whatever stands in braces is an argument that has to be given, or two different things would
/// be one hold.
fn facet_names(page: &mut Page<'_>, facet: &Placed<String>, args: &BTreeMap<String, bool>) {
    for name in facet_arguments(&facet.value) {
        if args.get(name) != Some(&true) {
            page.mistake(
                "C035",
                facet.span.clone(),
                format!("the facet names `{{{name}}}`, which is no required argument"),
                format!("add `{name} = \"required\"` to the action's `args`, or take it out of the facet"),
            );
        }
    }
}

fn class_of(page: &mut Page<'_>, word: &Placed<String>) -> Option<Class> {
    const WORDS: [(&str, Class); 5] = [
        ("read", Class::Read),
        ("set", Class::Set),
        ("keyed", Class::Keyed),
        ("create", Class::Create),
        ("opaque", Class::Opaque),
    ];
    let found = WORDS.iter().find(|(name, _)| *name == word.value);
    if found.is_none() {
        let names: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
        let help = match nearest(&word.value, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("classes are {}", listed(&names)),
        };
        page.mistake(
            "C006",
            word.span.clone(),
            format!("unknown class `{}`", word.value),
            help,
        );
    }
    found.map(|(_, class)| *class)
}

fn entity_type(page: &mut Page<'_>, word: &Placed<String>) -> Option<EntityType> {
    let found = EntityType::from_word(&word.value);
    if found.is_none() {
        let words: Vec<&str> = EntityType::ALL.iter().map(|kind| kind.word()).collect();
        let help = match nearest(&word.value, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("types are {}", listed(&words)),
        };
        page.mistake(
            "C007",
            word.span.clone(),
            format!("unknown entity type `{}`", word.value),
            help,
        );
    }
    found
}

fn capability(page: &mut Page<'_>, text: &Placed<String>) -> Option<ActionName> {
    let (message, help) = match text.value.parse::<ActionName>() {
        Err(error) => (
            error.to_string(),
            "write a capability such as `endpoint::isolate`".to_owned(),
        ),
        Ok(name) if !CAPABILITIES.contains(&name.namespace()) => (
            format!("`{}` is not a capability group", name.namespace()),
            match nearest(name.namespace(), CAPABILITIES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("groups are {}", listed(&CAPABILITIES)),
            },
        ),
        Ok(name) if !VERBS.contains(&name.verb()) => (
            format!("`{}` is not a verb of capabilities", name.verb()),
            match nearest(name.verb(), VERBS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("verbs are {}", listed(&VERBS)),
            },
        ),
        Ok(name) => return Some(name),
    };
    page.mistake("C010", text.span.clone(), message, help);
    None
}

fn permission(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Option<String> {
    let text = table.text(page, "permission");
    match text {
        Some(text) if !text.value.trim().is_empty() => Some(text.value),
        blank => {
            let span = blank.map_or(table.span.clone(), |text| text.span);
            page.mistake(
                "C011",
                span,
                "the action names no permission",
                "add `permission = \"…\"` with the least the vendor has to grant, in the vendor's words",
            );
            None
        }
    }
}

/// How the effect is seen; or `none` and why it cannot be: one of the two.
fn seen(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    functions: &mut Vec<FunctionUse>,
) -> (Option<ReadBack>, Option<String>) {
    match table.text(page, "none") {
        None => (read_back(page, table, functions), None),
        Some(why) => {
            if why.value.trim().is_empty() {
                page.mistake(
                    "C004",
                    why.span,
                    "`none` says nothing",
                    "say why the effect cannot be read back, such as `none = \"the vendor lists no sessions\"`",
                );
            }
            table.finish(page);
            (None, Some(why.value))
        }
    }
}

fn read_back(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    functions: &mut Vec<FunctionUse>,
) -> Option<ReadBack> {
    let read = table.needed_text(page, "read");
    let in_force: Vec<String> = table
        .texts(page, "in_force")
        .into_iter()
        .map(|text| text.value)
        .collect();
    if in_force.is_empty() {
        table.missing(page, "in_force");
    }
    let pending = table
        .texts(page, "pending")
        .into_iter()
        .map(|text| text.value)
        .collect();
    let lag_ms = table.ms(page, "lag").unwrap_or(LAG_MS);
    table.finish(page);
    let read = read?;
    functions.push(FunctionUse {
        name: read.value.clone(),
        arities: READ_ARITIES,
        purpose: "reads the target's state: it takes the target, and perhaps the arguments",
        span: read.span,
    });
    Some(ReadBack {
        read: read.value,
        in_force,
        pending,
        lag_ms,
    })
}

fn read_undo(
    page: &mut Page<'_>,
    namespace: &str,
    mut table: Table<'_, '_>,
) -> (Option<UndoSpec>, Range<usize>) {
    let fallback = table.span.clone();
    let action = table.needed_text(page, "action");
    let from_captured = table
        .table(page, "from_captured")
        .map_or_else(BTreeMap::new, |inner| {
            inner
                .every_text(page)
                .into_iter()
                .map(|(name, field)| (name.value, field.value))
                .collect()
        });
    table.finish(page);
    let Some(action) = action else {
        return (None, fallback);
    };
    // Inside one manifest the connector's own name may be left out.
    let full = if action.value.contains("::") {
        action.value.clone()
    } else {
        format!("{namespace}::{}", action.value)
    };
    match full.parse::<ActionName>() {
        Ok(name) => (
            Some(UndoSpec {
                action: name,
                from_captured,
            }),
            action.span,
        ),
        Err(error) => {
            page.mistake(
                "C014",
                action.span.clone(),
                error.to_string(),
                "name another action of this manifest",
            );
            (None, action.span)
        }
    }
}

/// HTTP statuses: a list of numbers from 400 to 599.
fn statuses(page: &mut Page<'_>, table: &mut Table<'_, '_>, key: &'static str) -> Vec<u16> {
    let Some((_, value, span)) = table.take(key) else {
        return Vec::new();
    };
    let Some(list) = value.as_array() else {
        page.wrong(key, "a list of statuses", value, span);
        return Vec::new();
    };
    let mut statuses = Vec::new();
    for item in list.iter() {
        let number = item
            .get_ref()
            .as_integer()
            .and_then(|number| number.as_str().parse::<u16>().ok())
            .filter(|number| (400..600).contains(number));
        match number {
            Some(number) => statuses.push(number),
            None => page.wrong(key, "a status from 400 to 599", item.get_ref(), item.span()),
        }
    }
    statuses
}

fn read_args(page: &mut Page<'_>, table: Table<'_, '_>) -> BTreeMap<String, bool> {
    let mut args = BTreeMap::new();
    for (name, word) in table.every_text(page) {
        let name = name.value;
        let required = match word.value.as_str() {
            "required" => true,
            "optional" => false,
            other => {
                page.mistake(
                    "C004",
                    word.span,
                    format!("`{other}` does not say whether `{name}` has to be given"),
                    "write \"required\" or \"optional\"",
                );
                continue;
            }
        };
        if name == KEY_ARGUMENT || name == NOW_ARGUMENT {
            page.mistake(
                "C005",
                word.span,
                format!("`{name}` cannot name an argument: every action is given one by that name"),
                "choose another name",
            );
            continue;
        }
        args.insert(name, required);
    }
    args
}

/// `secret = ["result.password"]`: each names a part of the result, by member names from `result` on.
fn read_secrets(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for text in table.texts(page, "secret") {
        let mut parts = text.value.split('.').map(str::to_owned);
        let begins = parts.next().as_deref() == Some("result");
        let rest: Vec<String> = parts.collect();
        if begins && !rest.is_empty() && rest.iter().all(|part| !part.trim().is_empty()) {
            paths.push(rest);
        } else {
            page.mistake(
                "C022",
                text.span,
                format!("`{}` names no part of the result", text.value),
                "write the path from `result` on, such as \"result.password\"",
            );
        }
    }
    paths
}
