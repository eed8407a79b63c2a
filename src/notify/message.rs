//! What is told: made from one journal entry, never from memory, so that telling again says the same.

use serde_json::Value;

use crate::id::RunId;
use crate::journal::{ChainId, Entry, Event};
use crate::store::RunRow;

/// How much it matters that somebody reads this now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A playbook says something.
    Told,
    /// Something is not as it should be: somebody should get up.
    Alarm,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same however often it is delivered, for channels that drop repeats.
    pub key: String,
    /// The run it is about.
    pub run: RunId,
    /// How much it matters.
    pub urgency: Urgency,
    /// To whom: `oncall`, `team soc`, `person ana`.
    pub to: String,
    /// What it says, one line.
    pub subject: String,
    /// What else there is to say, as the playbook gave it.
    pub body: Value,
}

/// Longest subject, characters.
const SUBJECT_CHARS_MAX: usize = 300;

impl Message {
    /// The message in an entry, if it is one that tells somebody something. `run` gives the words around it.
    pub fn of(entry: &Entry, run: Option<&RunRow>) -> Option<Message> {
        let ChainId::Run(id) = entry.chain else {
            return None;
        };
        let (_, event) = entry.event().ok()?;
        let key = format!("{id}/{}", entry.seq);
        let about = run.map_or(String::new(), |row| format!("{} ({}): ", row.title, row.subject));
        let line = |text: &str| -> String {
            text.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .take(SUBJECT_CHARS_MAX)
                .collect()
        };
        match event {
            Event::Alarmed { code, message, .. } => Some(Message {
                key,
                run: id,
                urgency: Urgency::Alarm,
                to: "oncall".into(),
                subject: line(&format!("{about}{message}")),
                body: Value::from(code),
            }),
            Event::StepTold { name, args, .. } => {
                let whom = name.strip_prefix("notify::")?;
                let (to, body) = match args.as_slice() {
                    [body] => (whom.to_owned(), body.clone()),
                    [who, body] => (
                        format!("{whom} {}", who.as_str().unwrap_or_default()),
                        body.clone(),
                    ),
                    _ => (whom.to_owned(), Value::Null),
                };
                let subject = body
                    .get("subject")
                    .and_then(Value::as_str)
                    .unwrap_or("(no subject)");
                let subject = line(&format!("{about}{subject}"));
                Some(Message {
                    key,
                    run: id,
                    urgency: Urgency::Told,
                    to,
                    subject,
                    body,
                })
            }
            _ => None,
        }
    }

    /// True for kinds of entries that can hold a message, told without reading them.
    pub fn may_be_in(kind: &str) -> bool {
        matches!(kind, "alarmed" | "step_told")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::digest::Digest;
    use crate::journal::seal;
    use serde_json::json;

    fn message(event: &Event) -> Option<Message> {
        let chain = ChainId::Run(RunId::derive(&["m"]));
        let entry = seal(chain, &Digest::ZERO, 3, Time(0), event, [0; 16]).unwrap();
        assert!(Message::may_be_in(&entry.kind) || Message::of(&entry, None).is_none());
        Message::of(&entry, None)
    }

    fn told(name: &str, args: Vec<Value>) -> Event {
        Event::StepTold {
            step: "0".parse().unwrap(),
            name: name.into(),
            args,
            digest: Digest::ZERO,
            line: 1,
            file: None,
        }
    }

    #[test]
    fn notifications_and_alarms_are_messages_and_notes_are_not() {
        let alarm = message(&Event::Alarmed {
            code: "contradicted".into(),
            message: "not in force".into(),
            effect: None,
        });
        let alarm = alarm.unwrap();
        assert_eq!(
            (alarm.urgency, alarm.subject.as_str()),
            (Urgency::Alarm, "not in force")
        );
        let team = message(&told(
            "notify::team",
            vec![json!("soc"), json!({"subject": "look"})],
        ))
        .unwrap();
        assert_eq!((team.to.as_str(), team.subject.as_str()), ("team soc", "look"));
        assert!(message(&told("note", vec![json!("n")])).is_none());
    }

    #[test]
    fn hostile_text_stays_on_one_line_and_short() {
        let subject = format!("a\r\nBcc: x@y\u{1b}[2J{}", "z".repeat(1_000));
        let found = message(&told("notify::oncall", vec![json!({ "subject": subject })])).unwrap();
        assert!(!found.subject.contains(['\r', '\n', '\u{1b}']));
        assert_eq!(found.subject.chars().count(), SUBJECT_CHARS_MAX);
    }
}
