//! Every path and refusal, over real HTTP on the loopback, against a store in memory.

mod acting;
mod api;
mod estate;
mod flaky;
mod hooks;
mod house;
mod slow;
