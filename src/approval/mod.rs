//! Approvals, decided purely: what people are asked, who of them may answer, when the answers are enough, and
//! what exactly was granted. Votes and the present come in as arguments; nothing here waits or tells anybody.

mod policy;
mod quorum;
mod request;
mod token;

#[cfg(test)]
mod tests;

pub use policy::{Covered, NotAsked, Terms, Wanted};
pub use quorum::{Refusal, Tally, Voters, missing, tally};
pub use request::{Cover, Decided, Request, Vote};
pub use token::{Granted, granted, of_request};
