//! `cordon notifications`: what people were told and how that went. `cordon notify test`: a message that proves
//! that messages arrive. `cordon oncall`: who is on call.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::alerts::member;
use super::client::Reach;
use super::content::Place;
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::clock::{Clock as _, SystemClock, Time};
use crate::notify::{Duty, Trial, View, duties};

/// Arguments of `notifications`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon notifications
  cordon notifications --state failed
  cordon notifications --json

States: new, waiting, delivered, detoured (by another way than the first), failed, counted (part of another one's
count).")]
pub struct Notifications {
    /// Only of this state
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Older than this moment, or the `next` of the page before
    #[arg(long)]
    before: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `notifications`.
///
/// # Errors
/// The server said no.
pub async fn notifications(args: Notifications) -> Done {
    let query = [
        ("state", args.state),
        ("limit", Some(args.limit.to_string())),
        ("before", args.before),
    ];
    let answer: Value = args.reach.client()?.get("/api/notifications", &query).await?;
    if args.json {
        return output::json(&answer);
    }
    let views: Vec<View> = member(&answer, "notifications")?;
    if views.is_empty() {
        output::say("nobody was told anything");
    }
    let rows: Vec<Vec<String>> = views.iter().map(row).collect();
    output::data(&output::table(
        &["AT", "STATE", "ABOUT", "TO", "BY", "SUBJECT"],
        &rows,
    ))?;
    for view in &views {
        for to in &view.to {
            if let Some(trouble) = to.troubles.last().filter(|_| to.failed || to.next.is_some()) {
                let word = if to.failed { "NOT TOLD" } else { "waits" };
                output::say(&output::printable(&format!(
                    "{word}: {} by {} at {}: {}",
                    to.name, trouble.by, trouble.at, trouble.why
                )));
            }
        }
        if let Some(problem) = &view.problem {
            output::say(&output::printable(&format!("{}: {problem}", view.key)));
        }
    }
    if let Some(next) = answer.get("next").and_then(Value::as_str) {
        output::say(&format!("more: --before {next}"));
    }
    Ok(())
}

fn row(view: &View) -> Vec<String> {
    let list = |texts: Vec<String>| texts.join(", ");
    let by = view.to.iter().map(|to| match (to.failed, to.at) {
        (true, _) => "(failed)".to_owned(),
        (false, Some(_)) => to.by.clone(),
        (false, None) => format!("({})", to.by),
    });
    let count = if view.counts > 0 {
        format!("{} (+{})", view.subject, view.counts)
    } else {
        view.subject.clone()
    };
    vec![
        view.at.to_string(),
        view.state.word().to_owned(),
        view.about.clone(),
        list(view.to.iter().map(|to| to.name.clone()).collect()),
        list(by.collect()),
        count,
    ]
}

/// Arguments of `notify`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon notify test
  cordon notify test --to person:ana --to channel:soc")]
pub struct Notify {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends a test message by every way of everybody named
    Test(Test),
}

/// Arguments of `notify test`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon notify test
  cordon notify test --to person:ana --to channel:soc --to oncall

Without --to it goes to those who get what no route takes. Exit code 1 says that a way failed.")]
struct Test {
    /// `channel:NAME`, `person:NAME`, `team:NAME`, `oncall`, `oncall:ROTA`
    #[arg(long, value_name = "WHOM")]
    to: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `notify`.
///
/// # Errors
/// The server said no, or a way failed.
pub async fn run(args: Notify) -> Done {
    let Command::Test(args) = args.command;
    let answer: Value = args
        .reach
        .client()?
        .post("/api/notifications/test", &json!({ "to": args.to }))
        .await?;
    let trials: Vec<Trial> = member(&answer, "trials")?;
    if args.json {
        output::json(&answer)?;
    } else {
        let rows: Vec<Vec<String>> = trials
            .iter()
            .map(|trial| {
                let word = if trial.delivered { "delivered" } else { "FAILED" };
                vec![
                    trial.to.clone(),
                    trial.by.clone(),
                    word.to_owned(),
                    trial.why.clone(),
                ]
            })
            .collect();
        output::data(&output::table(&["TO", "BY", "RESULT", "WHY"], &rows))?;
    }
    if trials.iter().all(|trial| trial.delivered) {
        Ok(())
    } else {
        Err(Failure::said(Exit::Failed))
    }
}

/// Arguments of `oncall`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon oncall
  cordon oncall --at 2026-12-24T20:00:00+01:00
  cordon oncall --offline --config /etc/cordon/cordon.toml --json")]
pub struct Oncall {
    /// At this moment instead of now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Read the configuration here instead of asking the server
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `oncall`.
///
/// # Errors
/// The moment makes no sense, the configuration has mistakes, or the server said no.
pub async fn oncall(args: Oncall) -> Done {
    let at = match args.at.as_deref() {
        None => None,
        Some(text) => Some(Time::parse(text).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!("`{text}` is not a moment"),
                "write it like `2026-11-23T16:45:46Z`, or with an offset",
            )
        })?),
    };
    let answer = if args.offline {
        let config = args.place.config()?;
        let (rotas, first) = config.rotas();
        let at = at.unwrap_or_else(|| SystemClock.now());
        json!({ "at": at, "oncall": duties(rotas, first, at) })
    } else {
        let query = [("at", at.map(|at| at.to_string()))];
        args.reach.client()?.get("/api/oncall", &query).await?
    };
    if args.json {
        return output::json(&answer);
    }
    let duties: Vec<Duty> = member(&answer, "oncall")?;
    if duties.is_empty() {
        output::say("nobody is on call: there is no `[notify.oncall.NAME]` in the configuration");
    }
    let rows: Vec<Vec<String>> = duties
        .into_iter()
        .map(|duty| {
            let stands_in = if duty.stands_in { " (stands in)" } else { "" };
            vec![
                duty.rota,
                format!("{}{stands_in}", duty.person),
                duty.until.to_string(),
                duty.until_local,
                duty.next,
            ]
        })
        .collect();
    output::data(&output::table(
        &["ROTA", "ON CALL", "UNTIL", "LOCAL", "NEXT"],
        &rows,
    ))
}
