//! What is kept of a notice until it is delivered, and how it moves on: by which way each recipient is tried, what
//! came of it, when to try again. Pure; the store keeps it as JSON.

use serde::{Deserialize, Serialize};

use super::letter::Letter;
use super::message::{About, Meant};
use super::plan::Way;
use crate::clock::Time;
use crate::finding::SeverityId;
use crate::id::RunId;
use crate::limits::{
    NOTIFY_BACKOFF_FIRST_MS, NOTIFY_BACKOFF_MS_MAX, NOTIFY_DETOUR_MS, NOTIFY_THROTTLED_MAX, NOTIFY_TRIES_MAX,
};
use crate::store::NoticeState;

/// Failures of one delivery that are kept, the latest.
const TROUBLES_MAX: usize = 10;
/// Lines of a storm's count that are kept, the first.
const LINES_MAX: usize = 20;

/// What is kept of a notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The run it is about; `None` for one that could not be read.
    pub run: Option<RunId>,
    /// Its playbook.
    pub playbook: String,
    /// What it is about.
    pub about: About,
    /// Whom it is meant for.
    pub meant: Meant,
    /// How severe.
    pub severity: SeverityId,
    /// What repeats of it have in common.
    pub kind: Vec<String>,
    /// Whom it is about.
    pub subject: String,
    /// It in one line, for a count.
    pub line: String,
    /// Its words.
    pub letter: Letter,
    /// To whom it goes; empty until it is planned.
    #[serde(default)]
    pub deliveries: Vec<Delivery>,
    /// What came since, while it leads its group.
    #[serde(default)]
    pub window: Option<Window>,
    /// The notice it is counted under.
    #[serde(default)]
    pub counted_under: Option<String>,
    /// Why it cannot be told at all.
    #[serde(default)]
    pub problem: Option<String>,
}

/// The time in which repeats are collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it began.
    pub since: Time,
    /// When it ends.
    pub until: Time,
    /// How many came in it.
    pub count: u64,
    /// The first of them, a line each.
    pub lines: Vec<String>,
    /// How many came since the group began, in windows before this one.
    pub before: u64,
    /// How many updates were told.
    pub updates: u64,
}

impl Window {
    /// A window that begins now.
    pub fn open(now: Time, window_ms: u64) -> Window {
        Window {
            since: now,
            until: now.plus_ms(window_ms),
            count: 0,
            lines: Vec::new(),
            before: 0,
            updates: 0,
        }
    }

    /// One more.
    pub fn count(&mut self, line: &str) {
        self.count += 1;
        if self.lines.len() < LINES_MAX {
            self.lines.push(line.to_owned());
        }
    }

    /// The window after this one.
    pub fn next(&self, now: Time, window_ms: u64) -> Window {
        Window {
            before: self.before + self.count,
            updates: self.updates + 1,
            ..Window::open(now, window_ms)
        }
    }
}

/// One recipient's copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// `person ana`, `channel soc`, `log`.
    pub to: String,
    /// The same for every try, by whatever way.
    pub key: String,
    /// The ways, in the order they are tried; none is the log.
    pub ways: Vec<Way>,
    /// Where in an earlier conversation it goes, by instance.
    #[serde(default)]
    pub thread: Option<Thread>,
    /// The way that is tried, counted from 0.
    pub turn: usize,
    /// Tries by it that failed.
    pub tries: u32,
    /// When it is tried next; `None` when it is over.
    pub due: Option<Time>,
    /// Set when it was delivered.
    pub got: Option<Got>,
    /// What went wrong, the latest last.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
}

/// A conversation at one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The instance.
    pub instance: String,
    /// Its name there.
    pub thread: String,
}

/// How it was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// When.
    pub at: Time,
    /// By which way, in words; `log` for the log.
    pub by: String,
    /// The instance; empty for the log.
    pub instance: String,
    /// The vendor's id of the message.
    pub id: String,
    /// The conversation it began or went to, where the vendor has such.
    pub thread: Option<String>,
}

/// One failed try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When.
    pub at: Time,
    /// By which way.
    pub by: String,
    /// Why.
    pub why: String,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It is delivered.
    Got(Got),
    /// Not now; perhaps later. Whether it arrived may be unknown, and the next try has the same key.
    Again(String),
    /// The vendor says to come back after so many ms.
    AfterMs(u64, String),
    /// Never by this way.
    Refused(String),
}

impl Delivery {
    /// A copy that is due at once.
    pub fn new(to: String, key: String, ways: Vec<Way>, now: Time) -> Delivery {
        Delivery {
            to,
            key,
            ways,
            thread: None,
            turn: 0,
            tries: 0,
            due: Some(now),
            got: None,
            troubles: Vec::new(),
        }
    }

    /// The way that is tried now; `None` when none is left, which leaves the log.
    pub fn way(&self) -> Option<&Way> {
        self.ways.get(self.turn)
    }

    /// True when it ended without being delivered by a way.
    pub fn failed(&self) -> bool {
        self.due.is_none() && self.got.is_none()
    }

    /// Moves on after a try.
    pub fn after(&mut self, tried: Tried, now: Time) {
        let by = self.way().map_or_else(|| "log".to_owned(), ToString::to_string);
        let mut trouble = |why: String| {
            self.troubles.push(Trouble {
                at: now,
                by: by.clone(),
                why,
            });
            let over = self.troubles.len().saturating_sub(TROUBLES_MAX);
            self.troubles.drain(..over);
        };
        match tried {
            Tried::Got(got) => {
                self.got = Some(got);
                self.due = None;
            }
            Tried::Refused(why) => {
                trouble(why);
                self.next_way(now);
            }
            Tried::Again(why) => {
                trouble(why);
                self.tries += 1;
                if self.tries >= NOTIFY_TRIES_MAX {
                    self.next_way(now);
                } else {
                    let doubled = NOTIFY_BACKOFF_FIRST_MS.saturating_mul(1 << self.tries.min(16));
                    self.due = Some(now.plus_ms(doubled.min(NOTIFY_BACKOFF_MS_MAX)));
                }
            }
            Tried::AfterMs(ms, why) => {
                trouble(why);
                self.tries += 1;
                let another = self.ways.len() > self.turn + 1;
                if (another && ms > NOTIFY_DETOUR_MS) || self.tries >= NOTIFY_THROTTLED_MAX {
                    self.next_way(now);
                } else {
                    self.due = Some(now.plus_ms(ms));
                }
            }
        }
    }

    fn next_way(&mut self, now: Time) {
        self.turn += 1;
        self.tries = 0;
        // Without a further way it is over: failed, and in the log.
        self.due = self.way().map(|_| now);
    }
}

impl Record {
    /// How the whole notice stands, from its deliveries.
    pub fn state(&self) -> NoticeState {
        if self.counted_under.is_some() {
            return NoticeState::Counted;
        }
        if self.problem.is_some() {
            return NoticeState::Failed;
        }
        if self.deliveries.is_empty() {
            return NoticeState::New;
        }
        if self.deliveries.iter().any(|one| one.due.is_some()) {
            return NoticeState::Waiting;
        }
        if self.deliveries.iter().any(Delivery::failed) {
            return NoticeState::Failed;
        }
        if self.deliveries.iter().any(|one| one.turn > 0) {
            return NoticeState::Detoured;
        }
        NoticeState::Delivered
    }

    /// When to look at it next.
    pub fn due_at(&self) -> Option<Time> {
        let deliveries = self.deliveries.iter().filter_map(|one| one.due);
        deliveries
            .chain(self.window.as_ref().map(|window| window.until))
            .min()
    }
}
