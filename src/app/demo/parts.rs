//! What the demo shows, part by part, in the order it is shown.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::desk::{Desk, Shown, expect, members, say, text, wait_for};
use super::estate::{ACCOUNT, CLOUD_LEAD, HOST, IDENTITY_LEAD, LEAKED_KEY, LEAVER, STOLEN_KEY};
use super::thief;
use crate::action::Outcome;
use crate::containment::Contained;
use crate::id::RunId;
use crate::journal::{End, Event};
use crate::range::{IdentityKind, KeyStatus, LedgerLine, RunningRange, UserStatus};

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

fn status(range: &RunningRange) -> String {
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

/// 6. What people were told.
pub(super) async fn messages(desk: &Desk, range: &RunningRange) -> anyhow::Result<()> {
    say("6. What else people were told, as it arrived:");
    let left = async |state: &str| {
        let answer = desk.get(&format!("/api/notifications?state={state}")).await?;
        anyhow::Ok(members(&answer, "notifications").len())
    };
    let delivered = async || {
        let waiting = left("new").await? + left("waiting").await?;
        let mails = range.mails();
        // The leaver came last.
        let all = waiting == 0 && mails.iter().any(|mail| mail.subject().contains("Kim leaves"));
        Ok(all.then_some(mails))
    };
    let mails = wait_for("the messages", delivered).await?;
    expect(left("failed").await? == 0, "a message was delivered to nobody")?;
    // The first was shown with its alert.
    for message in range.messages().into_iter().skip(1) {
        say(&format!("\n   Slack #{}:", message.channel));
        message.text.lines().for_each(|line| say(&format!("     {line}")));
    }
    for mail in mails {
        say(&format!(
            "\n   mail to {}: {}",
            mail.to.join(", "),
            mail.subject()
        ));
        mail.text().lines().for_each(|line| say(&format!("     {line}")));
    }
    Ok(())
}

/// 7. What is held, and its end.
pub(super) async fn back(
    desk: &Desk,
    range: &RunningRange,
    [host, account, key]: [RunId; 3],
) -> anyhow::Result<()> {
    say("\n7. What Cordon holds now:");
    let answer = desk.get("/api/contained").await?;
    let held: Vec<Contained> = serde_json::from_value(answer.get("contained").cloned().unwrap_or_default())?;
    for one in held {
        let until = one
            .until
            .map_or_else(|| "somebody ends it".to_owned(), |at| at.to_string());
        say(&format!(
            "   {}, {}: in force {}, until {until}",
            one.label, one.facet, one.verified
        ));
    }
    say(
        "\n   The incidents are over. Undo restores what was captured before; it cannot bring deleted keys back, and says so:\n",
    );
    for (run, end) in [
        (host, End::Succeeded),
        (account, End::Kept),
        (key, End::Succeeded),
    ] {
        say(&undone(&desk.undo(run, "the incident is over", end).await?));
    }
    say("");
    expect(status(range) == "normal", "the host is still contained")?;
    let user = range.user(ACCOUNT).map(|user| user.status);
    expect(user == Some(UserStatus::Active), "the account is still suspended")?;
    let policies = range
        .identity(IdentityKind::User, ACCOUNT)
        .map(|it| it.policies.len());
    expect(policies == Some(0), "the deny policy is still there")?;
    let key = range.key(LEAKED_KEY).map(|key| key.status);
    expect(
        key == Some(KeyStatus::Active),
        "the key that was not deleted is still inactive",
    )
}

/// What an undo restored, what it left alone and why, and how it ended.
fn undone(shown: &Shown) -> String {
    let mut lines = vec![format!("   {} ({})", shown.run.subject, shown.run.id)];
    let mut labels = BTreeMap::new();
    for event in shown.events() {
        match event {
            Event::EffectBound(bound) => {
                let target = bound.entity.as_ref().map_or("", |entity| entity.name.as_str());
                labels.insert(bound.effect, format!("{} {target}", bound.spec.name));
            }
            Event::EffectVerified { effect, reading, .. } => {
                let reads = reading.as_ref().map_or("?", |reading| reading.state.as_str());
                let label = labels.get(effect).map_or("?", String::as_str);
                lines.push(format!("     {label}: reads `{reads}`"));
            }
            Event::EffectEnded {
                effect,
                outcome: Outcome::NotDone { fault, .. },
                ..
            } => {
                let label = labels.get(effect).map_or("?", String::as_str);
                lines.push(format!("     NOT restored: {label}: {}", fault.message));
            }
            // The alarm about the run as a whole says the same again.
            Event::Alarmed {
                effect: Some(_),
                message,
                ..
            } => lines.push(format!("     NOT restored: {message}")),
            _ => {}
        }
    }
    lines.join("\n")
}

/// 8. The witness.
pub(super) fn ledger(range: &RunningRange) -> anyhow::Result<()> {
    say("8. What reached the vendors and changed something, by the range's own ledger:\n");
    let ledger = range.ledger();
    let by_vendor =
        |line: &&LedgerLine| !line.method.is_empty() && line.changed_state() && line.action != "settle";
    let mut changes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in ledger.lines().iter().filter(by_vendor) {
        let id = line.target.as_deref().unwrap_or_default();
        // At AWS a key is known by its id, and the name beside it is its owner's or the policy's.
        let name = line
            .target_name
            .as_deref()
            .filter(|_| line.vendor != "aws")
            .unwrap_or(id);
        let word = |state: &Option<String>| state.clone().unwrap_or_default();
        say(&format!(
            "   {:<12} {:<18} {name:<24} {} -> {}",
            line.vendor,
            line.action,
            word(&line.state_before),
            word(&line.state_after)
        ));
        *changes.entry((line.action.as_str(), id)).or_default() += 1;
    }
    // What was carried out and found everything done already would be one more than the changes.
    let twice = changes
        .iter()
        .find(|((action, id), count)| ledger.applied(action, id) != **count);
    expect(
        twice.is_none() && !changes.is_empty(),
        &format!("{twice:?} was carried out more often than it changed something"),
    )?;
    say(&format!(
        "\n   {} changes, each carried out once. Messages: {} in Slack, {} by mail.",
        changes.values().sum::<usize>(),
        range.messages().len(),
        range.mails().len()
    ));
    Ok(())
}
