//! A draft is what a normaliser says of a finding, as JSON: `{ uid | uid_parts, title, message, severity,
//! severity_id, activity, time, rule, product, attack, url, entities, raw }`. This turns it into a `Finding` that
//! keeps its bounds. Never guesses what would start a containment: an unknown activity or role is an error.

use serde_json::{Map, Value, json};

use super::entities::Entities;
use super::instant;
use super::unreadable::{Unreadable, shown};
use crate::clock::Time;
use crate::diagnostic::nearest;
use crate::digest::{Digest, canonical};
use crate::finding::{Activity, Attack, EntityType, Finding, Role, Rule, SeverityId, is_placeholder};
use crate::limits::ALERT_TEXT_CHARS_MAX;

/// What a draft may say.
const KEYS: [&str; 14] = [
    "uid",
    "uid_parts",
    "title",
    "message",
    "severity",
    "severity_id",
    "activity",
    "time",
    "rule",
    "product",
    "attack",
    "url",
    "entities",
    "raw",
];
/// What an entity of a draft may say.
const ENTITY_KEYS: [&str; 6] = ["type", "role", "name", "uid", "ids", "attributes"];
/// Most ATT&CK references one finding keeps.
const ATTACK_MAX: usize = 50;

/// What a normaliser needs to know besides the alert.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// When the alert came; the time of a finding whose sender gives none that can be read.
    pub received: Time,
    /// The alert as it came, for `raw` where there is a single draft that brings none of its own.
    pub alert: &'a Value,
}

/// Whether a draft may say more than we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    /// A connector's script: a name we do not know is a spelling mistake that would lose something.
    Refused,
    /// A sender that writes our format: what we do not know is kept in `raw`.
    Kept,
}

/// The finding a draft describes.
pub(super) fn finding(
    source: &str,
    draft: &Value,
    raw: &Value,
    received: Time,
    extra: Extra,
) -> Result<Finding, Unreadable> {
    let members = draft
        .as_object()
        .ok_or_else(|| Unreadable::because("a draft is not an object"))?;
    if extra == Extra::Refused {
        known_keys(members, &KEYS, "a finding")?;
    }
    let uid = uid(members, draft, raw)?;
    let (entities, entities_left_out) = entities(members.get("entities"), extra)?.finish();
    let title = text(members.get("title"), "title")?;
    if is_placeholder(&title) {
        return Err(Unreadable::because("a finding has no title"));
    }
    let severity = severity_text(members.get("severity"))?;
    Ok(Finding {
        id: Finding::id_for(source, &uid),
        source: source.to_owned(),
        uid,
        title,
        message: text(members.get("message"), "message")?,
        severity_id: severity_id(members.get("severity_id"), &severity)?,
        severity,
        activity: activity(members.get("activity"))?,
        time: members.get("time").and_then(instant::read).unwrap_or(received),
        rule: rule(members.get("rule"))?,
        product: text(members.get("product"), "product")?,
        attack: attack(members.get("attack"))?,
        url: url(&text(members.get("url"), "url")?),
        entities,
        entities_left_out,
        raw: raw.clone(),
    })
}

fn known_keys(members: &Map<String, Value>, known: &[&'static str], of: &str) -> Result<(), Unreadable> {
    for name in members.keys() {
        if !known.contains(&name.as_str()) {
            let hint = nearest(name, known.iter().copied())
                .map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            return Err(Unreadable::because(format!(
                "{of} has no `{}`{hint}",
                shown(name)
            )));
        }
    }
    Ok(())
}

/// The sender's id; else a digest of the parts that tell one finding from another; else of all it says.
fn uid(members: &Map<String, Value>, draft: &Value, raw: &Value) -> Result<String, Unreadable> {
    let given = scalar(members.get("uid"), "uid")?;
    if !is_placeholder(&given) {
        // Cut short, two ids could become one.
        return Ok(
            if given.chars().count() > ALERT_TEXT_CHARS_MAX || given.chars().any(char::is_control) {
                Digest::of(given.as_bytes()).to_string()
            } else {
                given.trim().to_owned()
            },
        );
    }
    match members.get("uid_parts") {
        Some(Value::Array(parts)) if !parts.is_empty() => {
            let parts: Vec<String> = parts.iter().map(canonical).collect();
            Ok(Digest::of_parts(&parts).to_string())
        }
        None | Some(Value::Null) => Ok(Digest::of_parts(&[canonical(draft), canonical(raw)]).to_string()),
        Some(_) => Err(Unreadable::because(
            "`uid_parts` is not a list of at least one part",
        )),
    }
}

/// A text for people: control characters and those that reorder a line are removed, and it is cut at the bound.
pub(super) fn clean(text: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let spaced = text
        .chars()
        .map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c });
    let kept: String = spaced
        .filter(|c| !c.is_control() && !reorders(*c))
        .take(ALERT_TEXT_CHARS_MAX)
        .collect();
    kept.trim().to_owned()
}

fn text(value: Option<&Value>, name: &str) -> Result<String, Unreadable> {
    scalar(value, name).map(|text| clean(&text))
}

/// A text or number as text; nothing as empty text.
fn scalar(value: Option<&Value>, name: &str) -> Result<String, Unreadable> {
    match value {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(Unreadable::because(format!("`{name}` is not text"))),
    }
}

fn severity_text(value: Option<&Value>) -> Result<String, Unreadable> {
    text(value, "severity")
}

fn severity_id(value: Option<&Value>, word: &str) -> Result<SeverityId, Unreadable> {
    match value {
        None | Some(Value::Null) => Ok(SeverityId::from_word(word)),
        Some(given) => match given.as_u64().and_then(|n| u8::try_from(n).ok()) {
            Some(n @ (0..=6 | 99)) => Ok(SeverityId(n)),
            _ => Err(Unreadable::because(
                "`severity_id` is not a number from 0 to 6, or 99",
            )),
        },
    }
}

fn activity(value: Option<&Value>) -> Result<Activity, Unreadable> {
    match value {
        None | Some(Value::Null) => Ok(Activity::Create),
        Some(Value::String(word)) => match word.as_str() {
            "create" => Ok(Activity::Create),
            "update" => Ok(Activity::Update),
            "close" => Ok(Activity::Close),
            _ => Err(Unreadable::because(
                "`activity` is not `create`, `update` or `close`",
            )),
        },
        Some(_) => Err(Unreadable::because(
            "`activity` is not `create`, `update` or `close`",
        )),
    }
}

fn rule(value: Option<&Value>) -> Result<Rule, Unreadable> {
    let (uid, name) = match value {
        None | Some(Value::Null) => (String::new(), String::new()),
        Some(Value::Object(members)) => (
            text(members.get("uid"), "rule.uid")?,
            text(members.get("name"), "rule.name")?,
        ),
        Some(Value::String(name)) => (String::new(), clean(name)),
        Some(_) => {
            return Err(Unreadable::because(
                "`rule` is not an object with `uid` and `name`",
            ));
        }
    };
    let real = |text: String| {
        if is_placeholder(&text) {
            String::new()
        } else {
            text
        }
    };
    let (uid, name) = (real(uid), real(name));
    Ok(Rule {
        uid: if uid.is_empty() { name.clone() } else { uid },
        name,
    })
}

fn attack(value: Option<&Value>) -> Result<Vec<Attack>, Unreadable> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut found: Vec<Attack> = Vec::new();
    for item in items {
        let one = match item {
            Value::String(word) => reference(&clean(word)),
            Value::Object(members) => Attack {
                technique: reference(&text(members.get("technique"), "attack.technique")?).technique,
                tactic: text(members.get("tactic"), "attack.tactic")?,
            },
            _ => {
                return Err(Unreadable::because(
                    "`attack` is not a list of technique ids or objects",
                ));
            }
        };
        let says_something = !is_placeholder(&one.technique) || !is_placeholder(&one.tactic);
        if says_something && !found.contains(&one) && found.len() < ATTACK_MAX {
            found.push(one);
        }
    }
    Ok(found)
}

/// `T1078.004`, also inside `TA0043-T1595`, `attack.t1059` and `T1111 - Name`; a tactic id alone is a tactic; any
/// other word stays as the sender's.
pub(super) fn reference(word: &str) -> Attack {
    let parts = word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    let mut found = Attack::default();
    for part in parts.map(|part| part.strip_prefix("attack.").unwrap_or(part)) {
        let upper = part.to_ascii_uppercase();
        if is_technique(&upper) {
            found.technique = upper;
        } else if upper
            .strip_prefix("TA")
            .is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))
        {
            found.tactic = upper;
        }
    }
    if found == Attack::default() {
        found.technique = word.to_owned();
    }
    found
}

fn is_technique(word: &str) -> bool {
    let Some(rest) = word.strip_prefix('T') else {
        return false;
    };
    let (main, sub) = rest
        .split_once('.')
        .map_or((rest, None), |(main, sub)| (main, Some(sub)));
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(main, 4) && sub.is_none_or(|sub| digits(sub, 3))
}

/// Only a web address becomes a link: `javascript:` in a console is somebody else's script.
fn url(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => text.to_owned(),
        _ => String::new(),
    }
}

fn entities(value: Option<&Value>, extra: Extra) -> Result<Entities, Unreadable> {
    let mut found = Entities::default();
    let items = match value {
        None | Some(Value::Null) => return Ok(found),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Unreadable::because("`entities` is not a list")),
    };
    for item in items {
        let members = item
            .as_object()
            .ok_or_else(|| Unreadable::because("an entity is not an object"))?;
        if extra == Extra::Refused {
            known_keys(members, &ENTITY_KEYS, "an entity")?;
        }
        let word = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or("");
        let kind = EntityType::from_word(word("type")).ok_or_else(|| {
            let hint = nearest(word("type"), EntityType::ALL.iter().map(|kind| kind.word()));
            let hint = hint.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            Unreadable::because(format!("`{}` is no type of entity{hint}", shown(word("type"))))
        })?;
        let role = match word("role") {
            "actor" => Role::Actor,
            "affected" => Role::Affected,
            "observed" => Role::Observed,
            other => {
                return Err(Unreadable::because(format!(
                    "`{}` is no role of an entity, which is `actor`, `affected` or `observed`",
                    shown(other)
                )));
            }
        };
        let (Ok(name), Ok(uid)) = (
            scalar(members.get("name"), "name"),
            scalar(members.get("uid"), "uid"),
        ) else {
            found.leave_out();
            continue;
        };
        let attributes = members
            .get("attributes")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let ids = members
            .get("ids")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let ids = ids.filter_map(|(system, id)| Some((system.clone(), id.as_str()?.to_owned())));
        found.add_with(kind, role, &name, Some(uid.as_str()), attributes, ids);
    }
    Ok(found)
}

/// What of a sender's object is not ours, for `raw`.
pub(super) fn rest(members: &Map<String, Value>) -> Value {
    match members.get("raw") {
        Some(raw) => raw.clone(),
        None => {
            let extra = members.iter().filter(|(name, _)| !KEYS.contains(&name.as_str()));
            let extra: Map<String, Value> =
                extra.map(|(name, value)| (name.clone(), value.clone())).collect();
            if extra.is_empty() {
                json!({})
            } else {
                Value::Object(extra)
            }
        }
    }
}
