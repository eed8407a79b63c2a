//! Playbooks: folders of a manifest, a trigger and a script, checked before they can run, and stored whole by
//! digest when a run starts. Knows nothing of runs.

mod builtins;
mod bundle;
mod words;

pub use builtins::{act, revert};
pub use bundle::{Bundle, Loaded, NotABundle, Parts};
pub use words::vocabulary;
