//! A follower over a real store, with channels that do as they are told and a clock that is moved: what reaches
//! people, how often, by which way, and under which key.

mod delivery;
mod office;
mod storm;
mod told;
