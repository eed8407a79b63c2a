//! One operation on its way through the writer thread: run inside the group's transaction, answered after it.

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::{Failure, Fallible};
use crate::store::error::{Error, Result};

/// What an operation changes, for the crash points: a test kills where a durable change could be torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It appends to a journal, or changes a hold or a lock.
    Durable,
    /// Anything else.
    Light,
}

/// An operation that waits for the writer.
pub(super) trait Job: Send {
    /// What it changes.
    fn weight(&self) -> Weight;

    /// Does it. `Err` carries what SQLite said; a refusal of ours is kept for the caller and answered
    /// as `Ok(false)`.
    fn run(&mut self, connection: &Connection) -> std::result::Result<bool, Failure>;

    /// Ends it for good with `error`, whatever the group comes to.
    fn fail(&mut self, error: Error);

    /// Answers the caller: with the group's error if it has one, else with its own result.
    fn answer(self: Box<Self>, group: Option<&Error>);
}

/// The one kind of job.
pub(super) struct Operation<F, T> {
    weight: Weight,
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Operation<F, T>
where
    F: FnOnce(&Connection) -> Fallible<T> + Send,
    T: Send,
{
    /// A job that does `work` and answers to `reply`.
    pub(super) fn new(weight: Weight, work: F, reply: oneshot::Sender<Result<T>>) -> Operation<F, T> {
        Operation {
            weight,
            work: Some(work),
            result: None,
            reply,
        }
    }
}

impl<F, T> Job for Operation<F, T>
where
    F: FnOnce(&Connection) -> Fallible<T> + Send,
    T: Send,
{
    fn weight(&self) -> Weight {
        self.weight
    }

    fn run(&mut self, connection: &Connection) -> std::result::Result<bool, Failure> {
        let Some(work) = self.work.take() else {
            return Ok(false);
        };
        match work(connection) {
            Ok(done) => {
                self.result = Some(Ok(done));
                Ok(true)
            }
            Err(Failure::Refused(error)) => {
                self.result = Some(Err(error));
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    fn fail(&mut self, error: Error) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>, group: Option<&Error>) {
        let result = match (group, self.result) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(result)) => result,
            (None, None) => Err(Error::Unavailable {
                why: "the operation was not run".to_owned(),
            }),
        };
        // A caller that went away does not need its answer.
        let _ = self.reply.send(result);
    }
}
