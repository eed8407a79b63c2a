//! Stand-in of the Slack Web API, as far as posting needs it: `chat.postMessage`, `chat.update`,
//! `conversations.history`, `conversations.replies` and `auth.test`. Like the vendor it says no with 200 and
//! `ok: false`. Shapes follow our notes on vendor APIs (2026-11-23), never compared with a real workspace; where
//! the notes are silent we chose: a channel is named by id, by name or by `#name`; a thread is the `ts` of its
//! first message and must exist; nothing is found again by a client's
//! key, but an app may attach metadata and read them, as at the vendor.

mod call;
mod message;
mod state;

pub use message::{Channel, ChatMessage};
pub(super) use state::Slack;
pub use state::SlackConfig;

/// The vendor's name in the ledger.
const NAME: &str = "slack";
