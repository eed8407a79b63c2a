//! One trigger, loaded: a Sigma detection rule over findings, the playbook it starts, and what makes two matches
//! the same case. Never reads a file: the text comes in as an argument.

use std::collections::HashMap;

use rsigma_eval::{CompiledRule, JsonEvent, compile_rule, evaluate_rule};
use rsigma_parser::{Detections, LogSource, SigmaRule};
use serde_json::Value;

use super::report::Report;
use super::{detection, settings, yaml};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::finding::{Activity, Finding, SeverityId};

/// A rule that starts a playbook. Comes only out of [`Trigger::load`], so it is known to be sound.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Sigma's `id`, where the author gave one.
    pub id: Option<String>,
    /// What it is for, in the author's words.
    pub title: String,
    /// Sigma's `level`, unknown where there is none.
    pub level: SeverityId,
    /// Id of the playbook it starts.
    pub playbook: String,
    /// Finding fields whose values tell one case from another; `uid` where the author names none.
    pub key: Vec<String>,
    /// How long matches with equal key values are the same case, ms; an hour where the author says nothing.
    pub window_ms: u64,
    /// What may have happened to the finding; never `Close`.
    pub on: Vec<Activity>,
    /// The file as its author knows it.
    pub file: String,
    /// Digest of the file's bytes.
    pub digest: Digest,
    pub(super) rule: CompiledRule,
    pub(super) detection: Detections,
}

impl Trigger {
    /// Reads a `trigger.yml`. `file` is the name for messages; `playbook` the id of the playbook beside it.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in its order, each with a place and what to do: codes `T001` to
    /// `T017` of `docs/errors`.
    pub fn load(file: &str, source: &str, playbook: &str) -> Result<Trigger, Vec<Diagnostic>> {
        let mut report = Report::new(file, source);
        let loaded = read(file, source, playbook, &mut report);
        match loaded {
            Some(trigger) if !report.has_errors() => Ok(trigger),
            _ => Err(report.into_errors()),
        }
    }

    /// True when this finding starts the playbook: its activity is one of `on` and its event satisfies the rule.
    /// `event` is `finding.as_event()`, made once for all triggers.
    pub(super) fn is_met_by(&self, finding: &Finding, event: &Value) -> bool {
        self.on.contains(&finding.activity) && evaluate_rule(&self.rule, &JsonEvent::borrow(event)).is_some()
    }
}

fn read(file: &str, source: &str, playbook: &str, report: &mut Report<'_>) -> Option<Trigger> {
    let root = yaml::read(source, report)?;
    let Some(members) = root.members() else {
        report.error(
            "T006",
            &root.span,
            "the trigger is not a map",
            "begin with `title:`",
        );
        return None;
    };
    let head = settings::read(members, report);
    let Some((key, node)) = root.get("detection") else {
        report.whole(
            "T005",
            "the trigger has no `detection`",
            "add named searches and a `condition` under `detection:`",
        );
        return None;
    };
    let detection = detection::read((key, node), report)?;
    let rule = SigmaRule {
        title: head.title.clone(),
        logsource: LogSource::default(),
        detection: detection.clone(),
        sigma_version: None,
        id: head.id.clone(),
        name: None,
        related: Vec::new(),
        taxonomy: None,
        status: None,
        description: None,
        license: None,
        author: None,
        references: Vec::new(),
        date: None,
        modified: None,
        fields: Vec::new(),
        falsepositives: Vec::new(),
        level: None,
        tags: Vec::new(),
        scope: Vec::new(),
        custom_attributes: HashMap::new(),
    };
    match compile_rule(&rule) {
        Ok(rule) => Some(Trigger {
            id: head.id,
            title: head.title,
            level: head.level,
            playbook: playbook.to_owned(),
            key: head.key,
            window_ms: head.window_ms,
            on: head.on,
            file: file.to_owned(),
            digest: Digest::of(source.as_bytes()),
            rule,
            detection,
        }),
        Err(error) => {
            report.error(
                "T006",
                &key.span,
                format!("the detection cannot be evaluated: {error}"),
                "see the page of this error",
            );
            None
        }
    }
}
