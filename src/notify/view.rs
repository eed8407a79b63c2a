//! Notices as they are listed: what was told, to whom, by which way, and what went wrong.

use serde::{Deserialize, Serialize};

use super::record::{Record, Trouble};
use crate::clock::Time;
use crate::finding::SeverityId;
use crate::id::RunId;
use crate::store::{Notice, NoticeState};

/// A notice in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its key.
    pub key: String,
    /// When the journal said it.
    pub at: Time,
    /// How it stands.
    pub state: NoticeState,
    /// What it is about, in a word.
    pub about: String,
    /// How severe, in a word.
    pub severity: String,
    /// The run.
    pub run: Option<RunId>,
    /// What it says, one line.
    pub subject: String,
    /// To whom, and how that went.
    pub to: Vec<To>,
    /// How many of its group came since it, in the window that is open.
    pub counts: u64,
    /// The notice it is counted under.
    pub counted_under: Option<String>,
    /// Why it cannot be told.
    pub problem: Option<String>,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct To {
    /// `person ana`.
    pub name: String,
    /// When it was delivered.
    pub at: Option<Time>,
    /// By which way it was delivered, or is tried; empty when every way has failed.
    pub by: String,
    /// True when every way has failed.
    pub failed: bool,
    /// When it is tried next.
    pub next: Option<Time>,
    /// What went wrong, the latest last.
    pub troubles: Vec<Trouble>,
}

impl View {
    /// The view of a row. One that cannot be read is shown as that.
    pub fn of(notice: &Notice) -> View {
        match serde_json::from_value::<Record>(notice.content.clone()) {
            Ok(record) => View::read(notice, record),
            Err(error) => View {
                key: notice.key.clone(),
                at: notice.at,
                state: notice.state,
                about: String::new(),
                severity: SeverityId::UNKNOWN.word().to_owned(),
                run: None,
                subject: String::new(),
                to: Vec::new(),
                counts: 0,
                counted_under: None,
                problem: Some(format!("what is kept of it cannot be read: {error}")),
            },
        }
    }

    fn read(notice: &Notice, record: Record) -> View {
        let to = record.deliveries.iter().map(|delivery| To {
            name: delivery.to.clone(),
            at: delivery.got.as_ref().map(|got| got.at),
            by: match (&delivery.got, delivery.way()) {
                (Some(got), _) => got.by.clone(),
                (None, Some(way)) => way.to_string(),
                (None, None) => String::new(),
            },
            failed: delivery.failed(),
            next: delivery.due,
            troubles: delivery.troubles.clone(),
        });
        View {
            key: notice.key.clone(),
            at: notice.at,
            state: notice.state,
            about: record.about.word().to_owned(),
            severity: record.severity.word().to_owned(),
            run: record.run,
            subject: record.letter.subject.clone(),
            to: to.collect(),
            counts: record.window.as_ref().map_or(0, |window| window.count),
            counted_under: record.counted_under,
            problem: record.problem,
        }
    }
}
