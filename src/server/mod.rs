//! The HTTP surface: hooks for senders, probes and metrics for operators, the API for people and the command
//! line. Reads requests up to a bound and a deadline, asks the rooms below, and answers; decides nothing about
//! alerts, runs or effects itself.

mod api;
mod auth;
mod body;
mod cursor;
mod error;
mod hooks;
mod pace;
mod probes;
mod router;
mod serve;
mod services;

#[cfg(test)]
mod tests;

pub use auth::{NoToken, bootstrap};
pub use router::router;
pub use serve::serve;
pub use services::Services;
