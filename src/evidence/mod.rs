//! What happened, told to people from the journal alone. Nothing here reads a store or a clock: the journal's
//! entries come in, text goes out, and the same entries always give the same text.

pub mod approval;
mod page;
pub mod timeline;
mod words;

#[cfg(test)]
mod timeline_tests;
