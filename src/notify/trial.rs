//! A message that only proves that messages arrive: every way of everybody named is tried once, and what came of
//! each is said. Nothing of it is kept.

use serde::{Deserialize, Serialize};

use super::attempt::{Parcel, Sender};
use super::letter::Letter;
use super::plan::{Plan, Whom};
use super::record::Tried;
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;

/// What came of one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Who: `person ana`.
    pub to: String,
    /// By which way.
    pub by: String,
    /// True when the vendor took it.
    pub delivered: bool,
    /// Why not; empty where it was.
    pub why: String,
}

/// Sends a test message to everybody named, by each of their ways.
pub async fn trial(plan: &Plan, sender: &Sender, whom: &[Whom], by: &str, now: Time) -> Vec<Trial> {
    let mut letter = Letter::new("[TEST] a message of Cordon");
    letter.part(
        "What happened",
        [format!(
            "`{by}` sends this at {now} to see that messages arrive; nothing is asked"
        )],
    );
    let mut trials = Vec::new();
    for one in whom {
        let routed = plan.reached(one, now);
        for note in routed.notes {
            trials.push(Trial {
                to: one.to_string(),
                by: String::new(),
                delivered: false,
                why: note,
            });
        }
        for recipient in routed.recipients {
            if recipient.ways.is_empty() {
                tracing::info!("{}", letter.subject);
                trials.push(Trial {
                    to: recipient.name.clone(),
                    by: "log".to_owned(),
                    delivered: true,
                    why: String::new(),
                });
            }
            for way in &recipient.ways {
                let parts = ["notify test", &recipient.name, &way.to_string(), &now.to_string()];
                let parcel = Parcel {
                    letter: letter.clone(),
                    severity: SeverityId(1),
                    key: Digest::of_parts(&parts).to_string().chars().take(32).collect(),
                    thread: None,
                    public_url: plan.public_url.clone(),
                    may_be_there: false,
                };
                let (delivered, why) = match sender.send(way, &parcel).await {
                    Tried::Got(_) => (true, String::new()),
                    Tried::Again(why) | Tried::Refused(why) => (false, why),
                    Tried::AfterMs(ms, why) => (false, format!("{why}; to be tried after {ms} ms")),
                };
                trials.push(Trial {
                    to: recipient.name.clone(),
                    by: way.to_string(),
                    delivered,
                    why,
                });
            }
        }
    }
    trials
}
