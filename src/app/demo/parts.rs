//! The incidents, part by part, in the order they are shown.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::desk::{Desk, Shown, expect, members, say, text, wait_for};
use super::estate::{ACCOUNT, CLOUD_LEAD, HOST, IDENTITY_LEAD, LEAKED_KEY, LEAVER, STOLEN_KEY};
use super::thief;
use crate::id::RunId;
use crate::journal::End;
use crate::range::{KeyStatus, RunningRange, UserStatus};

/// A Splunk Enterprise Security notable, as its webhook action posts it.
const RANSOMWARE: &str = include_str!("ransomware.json");
/// Findings in Cordon's own format.
const UNUSUAL_PLACE: &str = include_str!("account.json");
const LEAK: &str = include_str!("key.json");
const LEAVES: &str = include_str!("leaver.json");
/// How many repeats make the storm.
const STORM: usize = 500;

/// 1. An alert about a host.
pub(super) async fn host(desk: &Desk, range: &RunningRange) -> anyhow::Result<RunId> {
    say(&format!(
        "\n1. Splunk posts an alert: ransomware behavior on {HOST}."
    ));
    let alert = desk.deliver("splunk", RANSOMWARE).await?;
    say(&format!(
        "   202 Accepted: {alert} is durable. The run it started:\n"
    ));
    let run = desk.only_run("malware-on-host").await?;
    let shown = desk.ended(run, End::Succeeded).await?;
    say(&shown.timeline());
    expect(status(range) == "contained", "the host is not contained")?;
    let arrived = async || Ok(range.messages().pop());
    let message = wait_for("the message about it", arrived).await?;
    say(&format!("   In Slack #{}:\n", message.channel));
    message.text.lines().for_each(|line| say(&format!("     {line}")));
    say("");
    Ok(run)
}

/// The containment status of the host.
pub(super) fn status(range: &RunningRange) -> String {
    let host = range.host(HOST);
    host.map(|host| host.status.to_string()).unwrap_or_default()
}

/// 2. The same thing, five hundred times.
pub(super) async fn storm(desk: &Desk, range: &RunningRange) -> anyhow::Result<()> {
    say(&format!(
        "2. A storm: the same alert {STORM} times, half of them redelivered, half of them found anew."
    ));
    let before = desk.counts().await?;
    let told = range.messages().len() + range.mails().len();
    let mut alert: Value = serde_json::from_str(RANSOMWARE)?;
    for n in 0..STORM {
        if n % 2 == 0 {
            desk.deliver("splunk", RANSOMWARE).await?;
            continue;
        }
        if let Some(id) = alert.pointer_mut("/result/event_id") {
            *id = json!(format!("storm-{n}@@notable@@91c2"));
        }
        desk.deliver("splunk", &alert.to_string()).await?;
    }
    let looked = async || {
        let counts = desk.counts().await?;
        let pending = counts.alerts.get("pending").copied().unwrap_or_default();
        Ok((pending == 0).then_some(counts))
    };
    let after = wait_for("the storm to be looked at", looked).await?;
    let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let (new, runs) = (
        total(&after.alerts) - total(&before.alerts),
        total(&after.runs) - total(&before.runs),
    );
    let again = range.messages().len() + range.mails().len() - told;
    say(&format!(
        "   {} were counted as repeats of an alert, {new} kept as alerts of their own: {runs} further runs,\n   \
         {again} further messages, and {HOST} was asked to be contained {} time.",
        after.repeats - before.repeats,
        range.ledger().asked("contain", HOST),
    ));
    expect(
        (after.repeats - before.repeats + new, runs, again) == (STORM as u64, 0, 0),
        "the storm did not stay one incident",
    )
}

/// 3. An account that two systems know, and an approval.
pub(super) async fn account(desk: &Desk, range: &RunningRange) -> anyhow::Result<RunId> {
    say(&format!(
        "\n3. The SIEM posts an alert: {ACCOUNT} is used from an unusual place. Okta knows it, and AWS.\n   \
         Whoever stole its key {STOLEN_KEY} tries it: {}.",
        thief::tries(range, STOLEN_KEY).await?
    ));
    desk.deliver("siem", UNUSUAL_PLACE).await?;
    let run = desk.only_run("compromised-service-account").await?;
    let asked = asked(desk, run).await?;
    say(&format!(
        "   Contained at once, in each. The thief tries again: {}.\n   \
         Deleting cannot be undone, so people are asked:\n",
        thief::tries(range, STOLEN_KEY).await?
    ));
    for line in members(&asked, "text") {
        say(&format!("     {}", line.as_str().unwrap_or_default()));
    }
    let lead = desk.as_somebody(IDENTITY_LEAD).await?;
    decide(&lead, &asked, "approve", "seen with the build team: both keys go").await?;
    say(&format!("\n   {IDENTITY_LEAD} approves. The whole run:\n"));
    let shown = desk.ended(run, End::Succeeded).await?;
    say(&shown.timeline());
    report(&shown);
    let user = range.user(ACCOUNT).map(|user| user.status);
    expect(
        user == Some(UserStatus::Suspended),
        "the account is not suspended",
    )?;
    let keys = range.keys().into_iter().filter(|key| key.user == ACCOUNT);
    let all_gone = keys.into_iter().all(|key| key.status == KeyStatus::Deleted);
    expect(all_gone, "a key of the account is still there")?;
    Ok(run)
}

/// 4. A key that strangers can read, and a no.
pub(super) async fn key(desk: &Desk, range: &RunningRange) -> anyhow::Result<RunId> {
    say(&format!(
        "4. The code scanner posts an alert: {LEAKED_KEY} stands in a public repository."
    ));
    desk.deliver("scanner", LEAK).await?;
    let run = desk.only_run("leaked-access-key").await?;
    let asked = asked(desk, run).await?;
    let lead = desk.as_somebody(CLOUD_LEAD).await?;
    decide(&lead, &asked, "deny", "the reporting job still needs it tonight").await?;
    let shown = desk.ended(run, End::Succeeded).await?;
    say(&format!(
        "   It is out of use. {CLOUD_LEAD} says no to deleting it, so it stays, and the run {run} ends:\n"
    ));
    report(&shown);
    let status = range.key(LEAKED_KEY).map(|key| key.status);
    expect(
        status == Some(KeyStatus::Inactive),
        "the leaked key is not inactive",
    )?;
    Ok(run)
}

/// What the run asks people, once it does.
async fn asked(desk: &Desk, run: RunId) -> anyhow::Result<Value> {
    let look = async || {
        let shown = desk.run(run).await?;
        if let Some(end) = shown.run.end {
            anyhow::bail!(
                "the demo failed: {run} ended as {end:?} and asked nobody\n{}",
                shown.timeline()
            );
        }
        let answer = desk.get("/api/approvals?open=true").await?;
        let open = members(&answer, "approvals");
        Ok(open.into_iter().find(|one| text(one, "run") == run.to_string()))
    };
    wait_for(&format!("{run} to ask"), look).await
}

async fn decide(desk: &Desk, asked: &Value, how: &str, reason: &str) -> anyhow::Result<()> {
    let path = format!("/api/approvals/{}/{how}", text(asked, "id"));
    let body = json!({ "reason": reason, "digest": text(asked, "digest") });
    desk.post(&path, body).await?;
    Ok(())
}

/// 5. Somebody leaves.
pub(super) async fn leaver(desk: &Desk, range: &RunningRange) -> anyhow::Result<()> {
    say(&format!(
        "5. The personnel system says that {LEAVER} leaves today. The reconciliation of that run:\n"
    ));
    desk.deliver("hr", LEAVES).await?;
    let run = desk.only_run("leaver").await?;
    let shown = desk.ended(run, End::Succeeded).await?;
    report(&shown);
    let user = range.user(LEAVER);
    let out = user.is_some_and(|user| user.status == UserStatus::Suspended && user.tokens.is_empty());
    expect(out, "the leaver can still sign in")?;
    let mut secrets = range
        .secrets()
        .into_iter()
        .filter(|secret| secret.name == "prod/deploy");
    expect(
        secrets.all(|secret| secret.rotations.len() == 1),
        "the shared secret was not rotated once",
    )
}

/// The lists of a report, as the playbook returned it.
fn report(shown: &Shown) {
    let Some(value) = shown.value() else { return };
    for (list, title) in [
        ("verified", "stopped, and seen to be"),
        ("unseen", "stopped, with nothing that could show it"),
        ("absent", "known to no system here"),
        ("left_over", "LEFT OVER"),
    ] {
        let names = members(value, list);
        if names.is_empty() {
            continue;
        }
        say(&format!("   {title}:"));
        for one in names {
            let name = one.as_str().map_or_else(|| text(&one, "what"), str::to_owned);
            say(&format!("     - {name}"));
        }
    }
    say("");
}
