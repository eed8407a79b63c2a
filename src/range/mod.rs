//! The range: stateful stand-ins of vendors over real HTTP on loopback, for `cordon demo` and the crash
//! tests. Every request that mattered is one fsynced line of the *effect ledger* before it is answered, so a
//! test can compare what really happened with what the journal says. Faults are scripted per request. It
//! knows nothing of journals, playbooks or connectors, calls nobody, and listens on loopback only.
//!
//! A request goes through once: `server` or the mail's door (bytes) -> `world` (one owner of all state: fault, decide,
//! write the ledger, apply) -> back (deliver, or cut the `wire`). A further vendor is one more folder that
//! implements `vendor::StandIn`, and its lines in `vendors`.

mod aws;
mod config;
mod control;
mod crowdstrike;
mod estate;
mod fault;
mod ledger;
mod ledger_file;
mod mail;
mod okta;
mod running;
mod server;
mod slack;
mod vendor;
mod vendors;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use aws::{AccessKey, AwsConfig, Identity, IdentityKind, KeyStatus, Signer, StoredSecret, sign};
pub use config::{RangeConfig, RangeError, Settle};
pub use crowdstrike::{Host, HostChange, Status};
pub use fault::{Fault, FaultKind, LateAnswer, Match};
pub use ledger::{Ledger, LedgerLine};
pub use ledger_file::LedgerError;
pub use mail::{MailConfig, MailMessage};
pub use okta::{ApiToken, Grant, Group, OauthToken, OktaConfig, User, UserStatus};
pub use running::{Range, RunningRange, serve};
pub use slack::{Channel, ChatMessage, SlackConfig};
