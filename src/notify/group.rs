//! A storm is one message with a count: the first of a group goes out at once and leads it; those that follow within
//! the window are counted under it; when the window ends, one update says how many, and the next window begins.
//! Pure: takes notices as they are kept and says how they are to be kept.

use super::letter::Letter;
use super::record::{Delivery, Record, Thread, Window};
use crate::clock::{Time, duration_text};
use crate::store::{Notice, NoticeState};

/// A notice with what is kept of it, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The row.
    pub notice: Notice,
    /// Its content.
    pub record: Record,
}

impl Kept {
    /// Reads a row.
    ///
    /// # Errors
    /// Why its content is not one of ours.
    pub fn read(notice: Notice) -> Result<Kept, String> {
        let record = serde_json::from_value(notice.content.clone()).map_err(|error| error.to_string())?;
        Ok(Kept { notice, record })
    }

    /// The row to be saved: what follows from the record is made to.
    pub fn row(mut self) -> Notice {
        self.notice.state = self.record.state();
        self.notice.leads = self.record.window.is_some();
        self.notice.due_at = self.record.due_at();
        // A record of plain texts and numbers always has a JSON form.
        self.notice.content = serde_json::to_value(&self.record).unwrap_or_default();
        self.notice
    }

    /// Counts a new notice under this one.
    pub fn count(&mut self, other: &mut Kept) {
        if let Some(window) = &mut self.record.window {
            window.count(&other.record.line);
        }
        other.record.counted_under = Some(self.notice.key.clone());
    }

    /// Ends a window that is over: with nothing counted the group is closed, else there is an update to tell and the
    /// next window begins. `None` where no window is over.
    pub fn close_window(&mut self, now: Time, window_ms: u64) -> Option<Option<Kept>> {
        let window = self
            .record
            .window
            .as_ref()
            .filter(|window| window.until <= now)?
            .clone();
        if window.count == 0 {
            self.record.window = None;
            return Some(None);
        }
        let next = window.next(now, window_ms);
        let update = self.update(&window, next.updates, now);
        self.record.window = Some(next);
        Some(Some(update))
    }

    /// The message that says how many came, to those who got the first, where they got it.
    fn update(&self, window: &Window, number: u64, now: Time) -> Kept {
        let key = format!("{}/update-{number}", self.notice.key);
        let deliveries = self.record.deliveries.iter().map(|first| {
            let mut ways = first.ways.clone();
            // The way that worked goes first; those before it failed a while ago and may be tried again after it.
            if let Some(got) = &first.got
                && let Some(at) = ways.iter().position(|way| way.instance == got.instance)
            {
                ways.rotate_left(at);
            }
            let mut copy = Delivery::new(first.to.clone(), format!("{}-{number}", first.key), ways, now);
            copy.thread = first.got.as_ref().and_then(|got| {
                let thread = got.thread.clone()?;
                Some(Thread {
                    instance: got.instance.clone(),
                    thread,
                })
            });
            copy
        });
        let took = duration_text(window.until.since_ms(window.since));
        let mut letter = Letter::new(&format!(
            "{} more in {took}: {}",
            window.count, self.record.letter.subject
        ));
        let total = window.before + window.count + 1;
        letter.part(
            "What happened",
            [
                format!(
                    "{} more of the same within {took}, {total} since the first",
                    window.count
                ),
                format!("the first said: {}", self.record.letter.subject),
            ],
        );
        let mut lines = window.lines.clone();
        let left = window.count.saturating_sub(lines.len() as u64);
        if left > 0 {
            let _ = lines.pop();
            lines.push(format!("and {} more", left + 1));
        }
        letter.part("Which", lines);
        letter.part(
            "To see them",
            [format!("cordon runs --playbook {}", self.record.playbook)],
        );
        letter.places = self.record.letter.places.clone();
        Kept {
            notice: Notice {
                key,
                group: self.notice.group,
                at: now,
                state: NoticeState::Waiting,
                leads: false,
                due_at: Some(now),
                content: serde_json::Value::Null,
            },
            record: Record {
                line: letter.subject.clone(),
                letter,
                deliveries: deliveries.collect(),
                window: None,
                counted_under: None,
                ..self.record.clone()
            },
        }
    }

    /// Begins to lead its group.
    pub fn lead(&mut self, now: Time, window_ms: u64) {
        if window_ms > 0 {
            self.record.window = Some(Window::open(now, window_ms));
        }
    }
}
