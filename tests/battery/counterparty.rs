//! What a double has to be able to do for the battery, whatever it stands for.

use async_trait::async_trait;
use cordon::connector::Instance;
use serde_json::Value;

/// What goes wrong with the next request that matters: for an action that changes something the next change, for
/// one that reads the next reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Carried out; then the connection is cut without an answer.
    LoseAnswer,
    /// Not carried out; told to come back in a second.
    TooMany,
    /// The connection is cut without an answer; carried out [`LATE_MS`] later, without anyone being told.
    Late,
    /// Not carried out; the token is no longer good. Where tokens are issued, a new one is.
    EndToken,
}

/// How late a late change is, ms.
pub const LATE_MS: u64 = 1_500;

/// The other side of an action.
#[async_trait]
pub trait Counterparty: Send + Sync {
    /// How it is reached.
    fn instance(&self) -> Instance;
    /// Lays out one trouble.
    fn trouble(&self, trouble: Trouble);
    /// How often it was made to change something; repeats that changed nothing count too.
    fn changes(&self) -> usize;
    /// How many requests it got, tokens aside.
    fn requests(&self) -> usize;
    /// How often, to whoever knows a repeat by its key; none where the other side is told no keys.
    fn told_apart(&self) -> Option<usize> {
        None
    }
    /// Everything that can be changed, to be compared.
    fn state(&self) -> Value;
}
