//! Tells people. Follows the journal with a cursor and a claim, makes notices of what it tells, groups a storm into
//! one message with a count, and delivers at least once through connector actions of `page`, `chat` and `mail`; has
//! no transport of its own and never keeps a run waiting. `message` says what is told, `route` and `rota` to whom,
//! `record` and `group` how a notice moves on, `desk` sends.

mod attempt;
mod desk;
mod follower;
mod group;
mod letter;
mod lost;
mod message;
mod plan;
mod record;
mod rota;
mod route;
mod telling;
mod text;
mod trial;
mod view;
mod words;

#[cfg(test)]
mod tests;

pub use attempt::{Reach, Sender};
pub use follower::{FOLLOWER, Follower, Parts};
pub use lost::alarm;
pub use message::About;
pub use plan::{GroupBy, NotWhom, Plan, Route, Way, Whom};
pub use record::Trouble;
pub use rota::{Duty, OnCall, Override, Rota, duties};
pub use trial::{Trial, trial};
pub use view::{To, View};
