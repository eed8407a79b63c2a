//! What is left when the incidents are over: what people were told, what is held and its undo, and the witness.

use std::collections::BTreeMap;

use super::desk::{Desk, Shown, expect, members, say, wait_for};
use super::estate::{ACCOUNT, LEAKED_KEY};
use super::parts::status;
use crate::action::Outcome;
use crate::containment::Contained;
use crate::id::RunId;
use crate::journal::{End, Event};
use crate::range::{IdentityKind, KeyStatus, LedgerLine, RunningRange, UserStatus};

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
    let told = range.messages().len();
    for (run, end) in [
        (host, End::Succeeded),
        (account, End::Kept),
        (key, End::Succeeded),
    ] {
        say(&undone(&desk.undo(run, "the incident is over", end).await?));
    }
    // That keys did not come back is an alarm, and people hear of it.
    let heard = async || Ok(range.messages().into_iter().nth(told));
    let alarm = wait_for("the alarm about what did not come back", heard).await?;
    let line = alarm.text.lines().next().unwrap_or_default();
    say(&format!("\n   Slack #{}: {line}\n", alarm.channel));
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
