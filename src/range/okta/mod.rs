//! Stand-in of the Okta management API, as far as suspending people and revoking what they hold needs it: users,
//! their lifecycle, sessions, OAuth tokens and grants, API tokens, groups and the system log of cleared
//! sessions. Shapes follow our notes on vendor APIs (2026-11-23), never compared with a real tenant; where
//! the notes are silent we chose:
//!
//! - the lifecycle walks only along the arrows of [`person::STEPS`] and answers 400 `E0000001` elsewhere;
//! - `search` and `filter` understand one `eq` comparison and refuse the rest with 400;
//! - putting a member into a group it is in, and taking out one that is not, answer 204 and change nothing.

mod answer;
mod call;
mod envelope;
mod person;
mod state;

pub use person::{ApiToken, Grant, Group, OauthToken, User, UserStatus};
pub(super) use state::Okta;
pub use state::OktaConfig;

/// The vendor's name in the ledger.
const NAME: &str = "okta";
