//! Whether an effect may happen. Pure: what is halted, protected and asked comes in, a verdict goes out. A
//! rule that cannot be evaluated answers no, and deny wins.

mod evaluate;
mod policy;
mod protected;
mod verdict;

pub use evaluate::{Weighing, evaluate};
pub use policy::{Halt, Policy};
pub use protected::{BadPattern, Protected};
pub use verdict::{Decision, Reason, Verdict};
