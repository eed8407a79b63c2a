//! Tells people. Follows the journal with a cursor, at least once; has no transport of its own and never keeps
//! a containment waiting. Today there is one channel, the log; mail and chat are connectors to come.

mod follower;
mod message;

pub use follower::{Channel, LogChannel, follow, follow_once};
pub use message::{Message, Urgency};
