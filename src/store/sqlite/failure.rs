//! What SQLite says, sorted by how far it reaches: one operation, the group it shares a commit with, or the
//! whole store.

use rusqlite::ErrorCode;

use crate::store::error::Error;

/// Why an operation on the database did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// We refused it, before its first write.
    Refused(Error),
    /// SQLite failed.
    Sql(rusqlite::Error),
}

/// Answer of everything that touches the database.
pub(super) type Fallible<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Sql(error)
    }
}

/// Something stored that cannot be what was written.
pub(super) fn unreadable(why: impl std::fmt::Display) -> Failure {
    Failure::Refused(Error::Corrupt { why: why.to_string() })
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This operation.
    Operation,
    /// The transaction; the next one may go well.
    Group,
    /// Every write from now on. After a failed write or sync nobody knows what is on the disk, and the
    /// kernel reports a failed sync only once, so trying again would turn a loss into a success.
    Store,
}

impl Failure {
    /// How far it reaches.
    pub(super) fn reach(&self) -> Reach {
        match self {
            Failure::Refused(_) => Reach::Operation,
            Failure::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Reach::Store
                }
                Some(
                    ErrorCode::DiskFull
                    | ErrorCode::OutOfMemory
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::FileLockingProtocolFailed
                    | ErrorCode::OperationInterrupted,
                ) => Reach::Group,
                _ => Reach::Operation,
            },
        }
    }

    /// What the caller is told.
    pub(super) fn into_error(self) -> Error {
        let error = match self {
            Failure::Refused(error) => return error,
            Failure::Sql(error) => error,
        };
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full { why },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt { why },
            Some(_) => Error::Unavailable { why },
            None if is_about_a_value(&error) => Error::Corrupt { why },
            None => Error::Unavailable { why },
        }
    }
}

/// True when a stored value has another shape than it was written with.
fn is_about_a_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
