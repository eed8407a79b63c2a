//! Keeping a store in order: copies of it, into files and other stores; forgetting what is past its time; looking for
//! what must not be; and whether there is room. Never decides about alerts, runs or effects.

mod codes;
mod contents;
mod copy;
mod file;
mod invariants;
mod keeper;
mod retention;
mod room;
#[cfg(test)]
mod tests;

pub use codes::NOT_SERVED;
pub use contents::{Contents, Part, Unsound};
pub use copy::{CannotCopy, Told, contents, copy, end_copy, fill, fingerprint_of_nothing, move_all};
pub use file::{BackupFile, Form, NotABackup, stream};
pub use invariants::{Violation, violations};
pub use keeper::{Keeper, Shown, Standing};
pub use retention::{Collected, Keep, pass};
pub use room::{Level, level};
