//! What a playbook may ask for: the one argument of `approve`, read strictly. Says what is wrong with it in the
//! author's words; who is in a group, and whether the effects exist, is for whoever asks.

use serde_json::{Map, Value};

use crate::action::ActionName;
use crate::clock::{duration_ms, duration_text};
use crate::diagnostic::nearest;
use crate::limits::{
    APPROVAL_ASK_CHARS_MAX, APPROVAL_COVERS_MAX, APPROVAL_MS, APPROVAL_MS_MAX, APPROVAL_QUORUM_MAX,
};

/// Who decides, how many of them, and within what time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A group, or a member of one.
    pub by: String,
    /// How many have to agree, from 1.
    pub quorum: usize,
    /// How long they have, ms.
    pub within_ms: u64,
}

/// One effect that is to be covered, as the playbook names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Covered {
    /// An action or capability.
    pub action: ActionName,
    /// The entity; `Null` for an action without a target.
    pub target: Value,
    /// Its options, as the call will give them.
    pub args: Map<String, Value>,
}

/// What `approve` was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The question.
    pub ask: String,
    /// The effects; `None` for a question that grants nothing.
    pub covers: Option<Vec<Covered>>,
    /// Who decides.
    pub terms: Terms,
}

/// The argument of `approve` makes no sense; for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAsked(pub String);

fn no<T>(why: impl Into<String>) -> Result<T, NotAsked> {
    Err(NotAsked(why.into()))
}

impl Terms {
    /// The keys of the argument that name terms.
    pub const KEYS: [&'static str; 3] = ["by", "quorum", "within"];

    /// How many have to agree, as it was written.
    ///
    /// # Errors
    /// It is not a whole number from 1 on, or nobody would live to see it.
    pub fn quorum(written: &Value) -> Result<usize, NotAsked> {
        match written.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) if (1..=APPROVAL_QUORUM_MAX).contains(&n) => Ok(n),
            _ => no(format!(
                "`quorum` is how many have to agree, a whole number from 1 to {APPROVAL_QUORUM_MAX}, not `{written}`"
            )),
        }
    }

    /// How long they have, as it was written, ms.
    ///
    /// # Errors
    /// It is not a duration, or a longer one than an approval may wait.
    pub fn within(written: &Value) -> Result<u64, NotAsked> {
        match written.as_str().and_then(duration_ms) {
            Some(ms) if (1..=APPROVAL_MS_MAX).contains(&ms) => Ok(ms),
            _ => no(format!(
                "`within` is a duration such as `\"8h\"`, at most `\"{}\"`, not `{written}`",
                duration_text(APPROVAL_MS_MAX)
            )),
        }
    }
}

impl Covered {
    /// The keys of one covered effect.
    pub const KEYS: [&'static str; 3] = ["action", "target", "args"];

    fn read(value: &Value) -> Result<Covered, NotAsked> {
        let Value::Object(map) = value else {
            return no(format!(
                "each of `covers` is a map `#{{ action, target, args? }}`, not `{value}`"
            ));
        };
        only(map, &Covered::KEYS, "a covered effect")?;
        let Some(written) = map.get("action").and_then(Value::as_str) else {
            return no("a covered effect names its `action`, such as `\"cloud::delete_key\"`");
        };
        let action = written
            .parse()
            .map_err(|error: crate::action::NotAnActionName| NotAsked(error.to_string()))?;
        let args = match map.get("args") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(args)) => args.clone(),
            Some(other) => return no(format!("`args` of a covered effect is a map, not `{other}`")),
        };
        Ok(Covered {
            action,
            target: map.get("target").cloned().unwrap_or_default(),
            args,
        })
    }
}

impl Wanted {
    /// The keys of the argument.
    pub const KEYS: [&'static str; 5] = ["ask", "covers", "by", "quorum", "within"];

    /// Reads the arguments of `approve`.
    ///
    /// # Errors
    /// An unknown key, a missing one, or a value that cannot be what it should.
    pub fn read(args: &[Value]) -> Result<Wanted, NotAsked> {
        let [Value::Object(map)] = args else {
            return no("`approve` takes one map: `approve(#{ ask, covers, by, quorum, within })`");
        };
        only(map, &Wanted::KEYS, "`approve`")?;
        let ask = text(map, "ask", "what is asked, in a sentence")?;
        let chars = ask.chars().count();
        if chars > APPROVAL_ASK_CHARS_MAX {
            return no(format!(
                "`ask` has {chars} characters, and nobody reads more than {APPROVAL_ASK_CHARS_MAX}"
            ));
        }
        let by = text(map, "by", "the group or person who decides")?;
        let covers = match map.get("covers") {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) if list.len() > APPROVAL_COVERS_MAX => {
                return no(format!(
                    "`covers` has {} effects, and one approval covers at most {APPROVAL_COVERS_MAX}: ask in parts",
                    list.len()
                ));
            }
            Some(Value::Array(list)) => Some(list.iter().map(Covered::read).collect::<Result<_, _>>()?),
            Some(other) => return no(format!("`covers` is a list of effects, not `{other}`")),
        };
        Ok(Wanted {
            ask,
            covers,
            terms: Terms {
                by,
                quorum: map.get("quorum").map_or(Ok(1), Terms::quorum)?,
                within_ms: map.get("within").map_or(Ok(APPROVAL_MS), Terms::within)?,
            },
        })
    }
}

fn only(map: &Map<String, Value>, known: &[&'static str], of: &str) -> Result<(), NotAsked> {
    for key in map.keys() {
        if !known.contains(&key.as_str()) {
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it takes {}", known.join(", ")),
            };
            return no(format!("{of} takes no `{key}`: {hint}"));
        }
    }
    Ok(())
}

fn text(map: &Map<String, Value>, key: &str, what: &str) -> Result<String, NotAsked> {
    match map.get(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Some(other) => no(format!("`{key}` is {what}, not `{other}`")),
        None => no(format!("`approve` needs `{key}`: {what}")),
    }
}
