//! How a range is set up, and why it would not start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::aws::AwsConfig;
use super::crowdstrike::Host;
use super::ledger_file::LedgerError;
use super::mail::MailConfig;
use super::okta::OktaConfig;
use super::slack::SlackConfig;
use super::world::ControlError;
use crate::clock::{Clock, SystemClock};
use crate::secret::Secret;

/// How long an online host's sensor takes to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// So many readings of details still show the pending status; the next one shows the end. 0: the first
    /// reading already does.
    AfterReads(u32),
    /// The first reading at least so many ms (of the range's clock) after the request shows the end.
    AfterMs(u64),
}

/// How a range is set up. Take [`RangeConfig::default`] and change what matters.
#[derive(Clone)]
pub struct RangeConfig {
    /// Where to listen: loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// File of the effect ledger. State is rebuilt from it; `None` keeps everything in memory.
    pub ledger: Option<PathBuf>,
    /// CrowdStrike: hosts there are from the start. What the ledger already has, here and at every vendor, is left
    /// as the ledger says.
    pub seed: Vec<Host>,
    /// CrowdStrike: client id and secret the token endpoint accepts.
    pub credentials: (String, Secret),
    /// CrowdStrike: when pending hosts that are online reach their end state.
    pub settle: Settle,
    /// Whether plain readings and searches are written to the ledger too. They cost an fsync each.
    pub log_reads: bool,
    /// CrowdStrike: how long a token holds, ms.
    pub token_ms: u64,
    /// Okta.
    pub okta: OktaConfig,
    /// AWS.
    pub aws: AwsConfig,
    /// Slack.
    pub slack: SlackConfig,
    /// The mail server.
    pub mail: MailConfig,
    /// Where the present comes from. Pauses of faults are real time all the same.
    pub clock: Arc<dyn Clock>,
}

impl Default for RangeConfig {
    /// A free loopback port, no file, no hosts, `range-client` / `range-secret`, hosts that settle at the
    /// first reading, no reads in the ledger, tokens of 30 minutes, empty other vendors with their own default
    /// credentials, the machine's clock.
    fn default() -> RangeConfig {
        RangeConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ledger: None,
            seed: Vec::new(),
            credentials: ("range-client".to_owned(), Secret::new("range-secret")),
            settle: Settle::AfterReads(0),
            log_reads: false,
            token_ms: 30 * 60_000,
            okta: OktaConfig::default(),
            aws: AwsConfig::default(),
            slack: SlackConfig::default(),
            mail: MailConfig::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// The range cannot start, or cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// Anyone who reaches a range may change it, so it stays on this machine.
    #[error("`{0}` is not a loopback address; the range listens on 127.0.0.1 or ::1 only")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on `{address}`; choose another port, or 0 for a free one")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A control call that makes no sense; says what to do.
    #[error("{0}")]
    Refused(String),
}

impl From<ControlError> for RangeError {
    fn from(error: ControlError) -> RangeError {
        match error {
            ControlError::Ledger(error) => RangeError::Ledger(error),
            refused => RangeError::Refused(refused.to_string()),
        }
    }
}
