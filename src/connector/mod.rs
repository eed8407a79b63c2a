mod action_table;
pub mod egress;
mod manifest;
mod page;
mod rules;
pub use manifest::*;
