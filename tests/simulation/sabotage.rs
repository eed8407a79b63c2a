//! Rules broken on purpose, to see that the judge notices.

use std::any::Any;

use cordon::store::{Appended, Result};

use crate::time::Sim;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    None,
    /// The store says that it appended, and now and then did not: effects without an intent.
    ForgetsAppends,
    /// Locks are not given back.
    KeepsLocks,
    /// Holds are not dropped.
    KeepsHolds,
    /// The store does what comes after the claim it was asked for under.
    TakesLate,
    /// A lost answer is taken for "not done": a blind repeat.
    RepeatsBlindly,
    /// A change that was taken is said to have been refused: a containment nobody knows of.
    Disowns,
}

impl Sabotage {
    /// What is answered instead of doing it.
    pub fn instead<T: 'static>(self, sim: &Sim, operation: &str) -> Option<Result<T>> {
        let feigned: Box<dyn Any> = match (self, operation) {
            (Sabotage::ForgetsAppends, "append") if sim.in_thousand(100) => Box::new(Appended::New),
            (Sabotage::KeepsLocks, "unlock") | (Sabotage::KeepsHolds, "hold_drop" | "hold_give_up") => {
                Box::new(())
            }
            _ => return None,
        };
        feigned.downcast::<T>().ok().map(|answer| Ok(*answer))
    }
}
