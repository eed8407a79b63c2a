//! Sequences of operations over a store and over the reference at once.

mod answers;
mod draw;
pub mod found;
mod machine;
mod op;
mod reference;
mod stores;
mod things;

pub use machine::{answers, compare, differs};
pub use stores::Any;
