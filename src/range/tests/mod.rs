//! The range over real HTTP: what a connector would see, and what the ledger says happened.

mod caller;
mod containment;
mod faults;
mod killed;
mod persistence;
