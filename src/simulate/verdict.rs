//! What came of one case.

use std::time::Duration;

use serde::Serialize;

use crate::diagnostic::Diagnostic;

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A playbook.
    Playbook,
    /// One call of a connector.
    Call,
    /// One delivery of a source.
    Delivery,
}

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case.
    pub name: String,
    /// Its file.
    pub file: String,
    /// What it is about.
    pub kind: Kind,
    /// What was not as expected; none when it passed.
    pub failures: Vec<Diagnostic>,
    /// What happened, run by run, as `cordon show` tells it; for a case that failed.
    pub timeline: String,
    /// How long it took.
    pub took: Duration,
}

impl Verdict {
    /// True when all was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}
