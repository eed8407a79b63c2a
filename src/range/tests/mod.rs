//! The range over real HTTP: what a connector would see, and what the ledger says happened.

mod aws;
mod caller;
mod containment;
mod faults;
mod killed;
mod okta;
mod others;
mod persistence;
mod telling;
