//! What happened at the vendors, as lines that can be counted: the oracle of the crash tests. Only nouns and
//! questions here; writing and reading the file is `ledger_file`'s.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that happened. A request that names several targets is several lines with the same `request`.
/// Credentials are not in it, and bodies only where the vendor's state is one: a message, a policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Number of the line, from 1 without gaps, over the whole file.
    pub n: u64,
    /// Wall-clock time, ms since 1970.
    pub at_ms: i64,
    /// Number of the request this belongs to; a late effect keeps the number of the request that caused it.
    pub request: u64,
    /// `crowdstrike`, `okta`, `aws`, `slack`, `mail`, or `range` for what the range itself did (seed, control calls).
    pub vendor: String,
    /// HTTP method or SMTP command; empty where no request was involved.
    pub method: String,
    /// Path of the request, without the query.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// What was asked, in the vendor's words (`contain`, `suspend`, `UpdateAccessKey`, `chat.postMessage`, `send`,
    /// `unknown`); or what the vendor did by itself: `settle`; or what the range was told: `reset`,
    /// `expire_tokens`, or the kind of thing that was put there: `host`, `user`, `key`.
    pub action: String,
    /// The vendor's id of what was acted on.
    pub target: Option<String>,
    /// The name people know the target by, where the vendor has it.
    pub target_name: Option<String>,
    /// The vendor accepted it and carried it out. A repeat that changed nothing is applied all the same, so
    /// that a blind repeat is seen; see [`Ledger::changed`].
    pub applied: bool,
    /// State of the target before.
    pub state_before: Option<String>,
    /// State of the target after; the same as before where nothing changed.
    pub state_after: Option<String>,
    /// Name of the scripted fault the request ran into.
    pub fault: Option<String>,
    /// HTTP status or SMTP code of the answer as it was meant to leave; none where no answer was meant to.
    pub status: Option<u16>,
    /// SHA-256 of the request's body, where there was one.
    pub body_digest: Option<String>,
    /// `Idempotency-Key` header of the request.
    pub idempotency_key: Option<String>,
    /// `X-Request-Id` header of the request.
    pub request_id: Option<String>,
    /// The whole of what was put there or changed (a host, a user, a message), from which state is rebuilt.
    #[serde(default, alias = "host", skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
}

impl LedgerLine {
    /// Whether this line is about `target`: by the vendor's id, or by name without regard to case.
    pub fn is_about(&self, target: &str) -> bool {
        self.target.as_deref() == Some(target)
            || self
                .target_name
                .as_deref()
                .is_some_and(|name| name.eq_ignore_ascii_case(target))
    }

    /// The record, where it was made true and is one of this vendor's.
    pub(super) fn kept<T: DeserializeOwned>(&self) -> Option<T> {
        let record = self.record.as_ref().filter(|_| self.applied)?;
        // Another vendor's record, or one of a newer range, is not ours to read.
        T::deserialize(record).ok()
    }

    /// Whether a target that was there before has another state after this line.
    pub fn changed_state(&self) -> bool {
        self.applied && self.state_before.is_some() && self.state_before != self.state_after
    }
}

/// A copy of the effect ledger at one moment, from the last reset on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    lines: Vec<LedgerLine>,
}

impl Ledger {
    pub(super) fn new(lines: Vec<LedgerLine>) -> Ledger {
        Ledger { lines }
    }

    /// Every line, oldest first.
    pub fn lines(&self) -> &[LedgerLine] {
        &self.lines
    }

    /// How often the vendor carried out `action` on `target` (id or name), repeats that changed nothing
    /// included: the number a test of "never a blind repeat" asserts on.
    pub fn applied(&self, action: &str, target: &str) -> usize {
        self.about(action, target).filter(|line| line.applied).count()
    }

    /// How often `action` on `target` left another state than it found.
    pub fn changed(&self, action: &str, target: &str) -> usize {
        self.about(action, target)
            .filter(|line| line.changed_state())
            .count()
    }

    /// How often `action` was asked of `target`, whatever came of it.
    pub fn asked(&self, action: &str, target: &str) -> usize {
        let mut requests: Vec<u64> = self.about(action, target).map(|line| line.request).collect();
        // A late effect's second line may stand far from its first.
        requests.sort_unstable();
        requests.dedup();
        requests.len()
    }

    /// How often any target had `action` carried out on it: 0 proves that nobody was touched.
    pub fn applied_anywhere(&self, action: &str) -> usize {
        self.lines
            .iter()
            .filter(|line| line.action == action && line.applied)
            .count()
    }

    /// Lines with this action about this target, oldest first.
    pub fn about<'a>(
        &'a self,
        action: &'a str,
        target: &'a str,
    ) -> impl Iterator<Item = &'a LedgerLine> + 'a {
        self.lines
            .iter()
            .filter(move |line| line.action == action && line.is_about(target))
    }

    /// The states `target` came to, oldest first, whoever brought it there.
    pub fn walk(&self, target: &str) -> Vec<&str> {
        let changes = self
            .lines
            .iter()
            .filter(|line| line.is_about(target) && line.changed_state());
        changes.filter_map(|line| line.state_after.as_deref()).collect()
    }
}

impl IntoIterator for Ledger {
    type Item = LedgerLine;
    type IntoIter = std::vec::IntoIter<LedgerLine>;

    fn into_iter(self) -> Self::IntoIter {
        self.lines.into_iter()
    }
}
