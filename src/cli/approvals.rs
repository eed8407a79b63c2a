//! `cordon approvals`, `cordon approve` and `cordon deny`: what people are asked, and their answers.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::alerts::{member, more, segment};
use super::client::{Client, Reach};
use super::failure::Done;
use super::output;
use crate::approval::{Decided, Request, Vote};
use crate::clock::Time;
use crate::digest::Digest;
use crate::evidence::approval::{asked_more, who};
use crate::id::ApprovalId;

/// Arguments of `approvals`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon approvals
  cordon approvals approval_…
  cordon approvals --all --json

Looking decides nothing: `cordon approve ID` and `cordon deny ID` do.")]
pub struct Approvals {
    /// Only this one, in full
    approval: Option<String>,
    /// Also those that are decided
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Only those asked before this moment (RFC 3339), or on from the end of a page
    #[arg(long, value_name = "PLACE")]
    before: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Arguments of `approve`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon approve approval_…
  cordon approve approval_… --reason 'INC-4711, seen the plan' --digest 3f2a…

Prints what is asked, then agrees to exactly that. With --digest it agrees only to what had that digest when you
saw it. Exit code 3 says that it was refused: decided already, changed since, or not yours to decide.")]
pub struct Approve {
    /// The approval
    approval: String,
    /// Why, for the journal
    #[arg(long, default_value = "")]
    reason: String,
    #[command(flatten)]
    answer: Answer,
}

/// Arguments of `deny`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon deny approval_… --reason 'wrong account'

One no ends it: what was asked for is not done.")]
pub struct Deny {
    /// The approval
    approval: String,
    /// Why, for whoever asked
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args, Debug)]
struct Answer {
    /// Digest of the request as you saw it; as it is now where left out
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Deserialize)]
struct Shown {
    id: ApprovalId,
    asked_at: Time,
    open: bool,
    digest: Digest,
    request: Request,
    votes: Vec<Vote>,
    decided: Option<Decided>,
}

impl Shown {
    fn stands(&self) -> String {
        match &self.decided {
            None => format!("{} of {} agreed", self.votes.len(), self.request.quorum),
            Some(decided) if decided.granted => format!("granted: {}", decided.why),
            Some(decided) => format!("denied: {}", decided.why),
        }
    }

    fn lines(&self) -> String {
        let mut lines = vec![
            self.request.ask.clone(),
            format!(
                "  {} ({}), {}",
                self.request.title, self.request.subject, self.request.run
            ),
        ];
        lines.extend(
            asked_more(&self.request)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
        lines.push(format!("  {}", self.stands()));
        lines.push(format!("  digest {}", self.digest));
        let lines: Vec<String> = lines.iter().map(|line| output::printable(line)).collect();
        lines.join("\n")
    }
}

/// Runs `approvals`.
///
/// # Errors
/// The server said no, or there is no such approval.
pub async fn run(args: Approvals) -> Done {
    let client = args.reach.client()?;
    if let Some(approval) = &args.approval {
        let answer: Value = client.get(&path(approval, "")?, &[]).await?;
        if args.json {
            return output::json(&answer);
        }
        let shown: Shown = member(&answer, "approval")?;
        return output::data(&shown.lines());
    }
    let query = [
        ("open", (!args.all).then(|| "true".to_owned())),
        ("limit", Some(args.limit.to_string())),
        ("before", args.before),
    ];
    let answer: Value = client.get("/api/approvals", &query).await?;
    if args.json {
        return output::json(&answer);
    }
    let shown: Vec<Shown> = member(&answer, "approvals")?;
    if shown.is_empty() {
        output::say("nothing waits for an approval");
    }
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    output::data(&output::table(
        &["ASKED", "APPROVAL", "ASK", "COVERS", "WHO", "UNTIL", "STANDS"],
        &rows,
    ))?;
    more(&answer);
    Ok(())
}

fn row(shown: &Shown) -> Vec<String> {
    let request = &shown.request;
    let covers = match request.covers.as_slice() {
        [] => "nothing: a question".to_owned(),
        [one] => one.label.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.label, rest.len()),
    };
    vec![
        shown.asked_at.to_string(),
        shown.id.to_string(),
        request.ask.clone(),
        covers,
        if shown.open { who(request) } else { String::new() },
        request.until.to_string(),
        shown.stands(),
    ]
}

/// Runs `approve`.
///
/// # Errors
/// The server refused it.
pub async fn approve(args: Approve) -> Done {
    answer(&args.approval, "/approve", &args.reason, &args.answer).await
}

/// Runs `deny`.
///
/// # Errors
/// The server refused it.
pub async fn deny(args: Deny) -> Done {
    answer(&args.approval, "/deny", &args.reason, &args.answer).await
}

async fn answer(approval: &str, word: &str, reason: &str, args: &Answer) -> Done {
    let client = args.reach.client()?;
    let digest = match args.digest {
        Some(digest) => digest,
        None => seen(&client, approval).await?,
    };
    let body = json!({ "reason": reason, "digest": digest });
    let answer: Value = client.post(&path(approval, word)?, &body).await?;
    if args.json {
        return output::json(&answer);
    }
    let shown: Shown = member(&answer, "approval")?;
    if answer.get("counted") != Some(&Value::Bool(true)) {
        output::say("your answer is kept, and counts when the run's worker comes to it");
    }
    output::data(&output::printable(&shown.stands()))
}

/// Shows what is asked now, and takes its digest.
async fn seen(client: &Client, approval: &str) -> Result<Digest, super::failure::Failure> {
    let answer: Value = client.get(&path(approval, "")?, &[]).await?;
    let shown: Shown = member(&answer, "approval")?;
    output::say(&shown.lines());
    Ok(shown.digest)
}

fn path(approval: &str, word: &str) -> Result<String, super::failure::Failure> {
    Ok(format!("/api/approvals/{}{word}", segment(approval)?))
}
