//! `cordon plan`: what a playbook would do, without doing it.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::client::Reach;
use super::failure::{Done, Exit, Failure};
use super::output;
use super::run::About;
use crate::clock::{Time, duration_text};

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon plan malware-on-host --finding finding.json
  cordon plan compromised-service-account --alert alert_… --json
  cordon plan timed-grant --input account=ana --input group=db-admins

Walks the whole playbook over the state of now: targets are found and read, guardrails weigh, and nothing is changed, held or
journalled. Where something would be changed the plan goes on as if it had been; where people would be asked, as if they had
agreed; waits are over at once. Exit code 1 says that the playbook would not come to its end, or that something in it
would be refused.")]
pub struct Plan {
    /// Id of the playbook
    playbook: String,
    #[command(flatten)]
    about: About,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs it.
///
/// # Errors
/// The server said no, or something in the plan would be refused.
pub async fn run(args: Plan) -> Done {
    let body = args.about.body(&args.playbook)?;
    let client = args.reach.client()?;
    let answer: Value = client.post("/api/plan", &Value::Object(body)).await?;
    if args.json {
        output::json(&answer)?;
    }
    let outlook: Outlook = serde_json::from_value(answer).map_err(|error| {
        let help = "server and command line may be of different versions: compare `cordon --version`";
        Failure::new(Exit::Failed, format!("the answer makes no sense: {error}"), help)
    })?;
    if !args.json {
        output::data(&outlook.text())?;
    }
    if outlook.is_refused() {
        Err(Failure::said(Exit::Failed))
    } else {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Outlook {
    playbook: String,
    subject: String,
    at: Time,
    reads: usize,
    steps: Vec<Step>,
    end: Value,
}

#[derive(Deserialize)]
struct Step {
    line: u32,
    file: Option<String>,
    call: String,
    args: Vec<Value>,
    kind: String,
    #[serde(default)]
    effects: Vec<Effect>,
    asks: Option<Asking>,
    fault: Option<String>,
    child: Option<Box<Outlook>>,
}

#[derive(Deserialize)]
struct Effect {
    action: String,
    instance: String,
    entity: Option<String>,
    target: Option<Target>,
    present: Option<Present>,
    would: String,
    undo: Option<Undo>,
    lease_ms: Option<u64>,
    verdict: Option<Verdict>,
    #[serde(default)]
    approvals: Vec<Asking>,
    fault: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Present {
    state: String,
}

#[derive(Deserialize)]
struct Undo {
    action: String,
    args: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Verdict {
    decision: String,
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    rule: String,
    why: String,
}

#[derive(Deserialize)]
struct Asking {
    ask: String,
    by: String,
    quorum: usize,
    covers: usize,
    rule: Option<String>,
}

impl Outlook {
    /// True when the playbook would fail, or an effect would be refused.
    fn is_refused(&self) -> bool {
        let refused = |step: &Step| {
            step.child.as_ref().is_some_and(|child| child.is_refused())
                || step.fault.is_some()
                || step.effects.iter().any(|effect| effect.would == "not_done")
        };
        self.end != "returned" || self.steps.iter().any(refused)
    }

    /// The steps, and how it would end.
    fn text(&self) -> String {
        let mut page = format!(
            "Plan of {} for {}, read at {} with {} request(s). Nothing was changed.\n\n{}",
            self.playbook,
            self.subject,
            self.at,
            self.reads,
            self.course()
        );
        let changes = self.count("change");
        let already = self.count("already_so");
        let refused = self.count("not_done");
        page.push_str(&format!(
            "\n{changes} change(s), {already} already so, {refused} not done. {}\n",
            self.ending()
        ));
        page
    }

    fn course(&self) -> String {
        let mut page = String::new();
        for step in &self.steps {
            let place = match &step.file {
                Some(file) => format!("{file}:{}", step.line),
                None => format!("line {}", step.line),
            };
            page.push_str(&format!("{place:<10} {}\n", step.headline()));
            for line in step.lines() {
                page.push_str(&format!("{:<10}   {}\n", "", output::printable(&line)));
            }
            if let Some(child) = &step.child {
                page.push_str(&format!(
                    "{:<10}   would run {}:\n",
                    "",
                    output::printable(&child.playbook)
                ));
                for line in child.course().lines() {
                    page.push_str(&format!("{:<10}     {line}\n", ""));
                }
            }
        }
        page
    }

    fn count(&self, would: &str) -> usize {
        let own = self.steps.iter().flat_map(|step| &step.effects);
        let children = self.steps.iter().filter_map(|step| step.child.as_ref());
        own.filter(|effect| effect.would == would).count()
            + children.map(|child| child.count(would)).sum::<usize>()
    }

    fn ending(&self) -> String {
        match (self.end.as_str(), self.end.get("failed")) {
            (Some("returned"), _) => "The playbook would come to its end.".to_owned(),
            (_, Some(failed)) => {
                let text = |name: &str| failed.get(name).and_then(Value::as_str).unwrap_or_default();
                let line = failed.get("line").and_then(Value::as_u64).unwrap_or_default();
                format!(
                    "The playbook would fail at line {line}: {} ({})",
                    output::printable(text("message")),
                    text("code")
                )
            }
            _ => "The playbook was not walked to its end.".to_owned(),
        }
    }
}

impl Step {
    fn headline(&self) -> String {
        let said = self.args.first().and_then(Value::as_str);
        let text = match (self.kind.as_str(), said) {
            ("wait", Some(time)) => format!("waits {time}"),
            ("tell", Some(text)) => format!("{}: {text}", self.call),
            ("tell", None) => {
                let subject = self.args.last().and_then(|args| args.get("subject"));
                format!(
                    "{}: {}",
                    self.call,
                    subject.and_then(Value::as_str).unwrap_or_default()
                )
            }
            _ => self.call.clone(),
        };
        output::printable(&text)
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.effects.iter().flat_map(Effect::lines).collect();
        lines.extend(self.asks.as_ref().map(Asking::line));
        if self.effects.iter().all(|effect| effect.fault.is_none()) {
            lines.extend(self.fault.as_ref().map(|fault| format!("FAILS: {fault}")));
        }
        lines
    }
}

impl Effect {
    fn lines(&self) -> Vec<String> {
        let whom = match (&self.target, &self.entity) {
            (Some(target), _) if target.id == target.name => format!(" {}", target.name),
            (Some(target), _) => format!(" {} ({})", target.name, target.id),
            (None, Some(entity)) => format!(" {entity}"),
            (None, None) => String::new(),
        };
        let now = match &self.present {
            Some(present) if !present.state.is_empty() => format!(", now `{}`", present.state),
            _ => String::new(),
        };
        let would = match self.would.as_str() {
            "change" => "would change",
            "already_so" => "is so already",
            "read" => "was read",
            _ => "would NOT be done",
        };
        let mut lines = vec![format!(
            "{} at {}:{whom}{now}: {would}",
            self.action, self.instance
        )];
        lines.extend(self.fault.as_ref().map(|fault| format!("  {fault}")));
        match &self.undo {
            Some(undo) if undo.args.is_empty() => lines.push(format!("  undone by {}", undo.action)),
            Some(undo) => lines.push(format!(
                "  undone by {} {}",
                undo.action,
                Value::Object(undo.args.clone())
            )),
            None if self.would == "change" => lines.push("  cannot be undone".to_owned()),
            None => {}
        }
        if let Some(ms) = self.lease_ms {
            lines.push(format!("  ends by itself after {}", duration_text(ms)));
        }
        if let Some(verdict) = self
            .verdict
            .as_ref()
            .filter(|verdict| !verdict.reasons.is_empty())
        {
            let why: Vec<String> = verdict
                .reasons
                .iter()
                .map(|reason| format!("{}: {}", reason.rule, reason.why))
                .collect();
            lines.push(format!(
                "  guardrails say {}: {}",
                verdict.decision,
                why.join("; ")
            ));
        }
        lines.extend(self.approvals.iter().map(|asking| format!("  {}", asking.line())));
        lines
    }
}

impl Asking {
    fn line(&self) -> String {
        let rule = self
            .rule
            .as_ref()
            .map(|rule| format!(", by the rule {rule}"))
            .unwrap_or_default();
        format!(
            "would ask {} of {}: {} ({} effect(s)){rule}",
            self.quorum, self.by, self.ask, self.covers
        )
    }
}
