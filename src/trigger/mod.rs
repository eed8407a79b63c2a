//! Which findings start which playbook: Sigma detection rules over findings, read strictly and matched fast.
//! Answers questions about one finding at a time and remembers nothing between them; windows and runs are
//! kept by others.

mod condition;
mod detection;
mod explain;
mod index;
mod key;
mod modifier;
mod report;
mod rule;
mod settings;
mod term;
mod value;
mod yaml;

#[cfg(test)]
mod tests;

pub use explain::{Explanation, Miss};
pub use index::{Index, Match};
pub use key::KeyValues;
pub use rule::Trigger;
