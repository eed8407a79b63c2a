//! Playbooks: folders of a manifest, a trigger and a script, checked before they can run, and stored whole by
//! digest when a run starts. `folder` finds them, `manifest` reads what they say of themselves, `check` holds
//! them against the actions there are, `catalog` keeps what passed, `bundle` is what a run is made of. Knows
//! nothing of runs.

mod approving;
mod binding;
mod branches;
mod builtins;
mod bundle;
mod calls;
mod capability;
mod catalog;
mod check;
mod fields;
mod folder;
mod habits;
mod input;
mod manifest;
mod permission;
mod reach;
mod shapes;
mod starting;
mod target;
mod telling;
mod text;
mod words;

pub use approving::Estate;
pub use binding::{Acting, unbound};
pub use builtins::{act, revert};
pub use bundle::{Bundle, Loaded, NotABundle, Parts};
pub use catalog::{Catalog, Playbook};
pub use check::{check, check_in};
pub use input::{BadInputs, Input, InputSpecs, with_defaults};
pub use manifest::Manifest;
pub use permission::{Need, Needs, Reason, needs};
pub use telling::{Addressed, TELLING_KEYS};
pub use words::{RUN_PLAYBOOK, vocabulary};

#[cfg(test)]
mod tests;
