//! Whether an effect may happen. Pure: what is halted, protected and asked comes in, a verdict goes out. A
//! rule that cannot be evaluated answers no, and deny wins.

mod demand;
mod evaluate;
mod policy;
mod protected;
mod verdict;

#[cfg(test)]
mod demand_tests;

pub use demand::{APPROVAL, ApprovalRule, Approvers, Consent, Demand, Mode, demands};
pub use evaluate::{Weighing, evaluate};
pub use policy::{Groups, Halt, Policy};
pub use protected::{BadPattern, Protected, is_like};
pub use verdict::{Decision, Reason, Verdict};
