//! What a sender found, in our words: the fields of an OCSF Detection Finding we rely on, and the entities it
//! names with the role each plays. Knows nothing of senders, triggers or vendors.

mod entity;
#[allow(clippy::module_inception, reason = "the room is named for its noun")]
mod finding;
mod severity;

pub use entity::{ALIASES, Entity, EntityType, IDENTITY, Role, is_placeholder};
pub use finding::{Activity, Attack, Finding, Rule};
pub use severity::SeverityId;
