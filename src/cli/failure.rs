//! How a command ends when it does not end well: an exit code that scripts can tell apart, what happened, and
//! what to do.

use std::fmt;

/// Exit codes, documented under `cordon --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was tried and failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The server said no, or knows no such thing.
    Refused = 3,
    /// No server answers.
    Unreachable = 4,
    /// Playbooks, triggers, connectors or configuration have errors.
    Content = 5,
}

/// A command that did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened. Empty when everything was said already.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

/// What commands answer.
pub type Done = Result<(), Failure>;

impl Failure {
    /// A failure with a remedy.
    pub fn new(exit: Exit, message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            help: help.into(),
        }
    }

    /// A failure whose reasons have been printed.
    pub fn said(exit: Exit) -> Failure {
        Failure::new(exit, "", "")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(Exit::Failed, format!("{error:#}"), "")
    }
}
