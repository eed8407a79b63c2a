//! What is contained now, by whom, until when, and whether it was seen to be so. Reads the store's holds and
//! changes nothing: ending a hold is a run's work.

mod ledger;

pub use ledger::{Contained, Found, Held, find, holds, ledger};
