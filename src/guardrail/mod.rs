//! Whether an effect may happen. Pure: what is halted, protected and asked comes in, a verdict goes out. A
//! rule that cannot be evaluated answers no, and deny wins.

mod budget;
mod demand;
mod evaluate;
mod policy;
mod protected;
mod verdict;

#[cfg(test)]
mod budget_tests;
#[cfg(test)]
mod demand_tests;

pub use budget::{BUDGET, Budget, Each, Origin, Place, Spent, places};
pub use demand::{APPROVAL, ApprovalRule, Approvers, Consent, Demand, Mode, Which, demands};
pub use evaluate::{Weighing, evaluate};
pub use policy::{Groups, Halt, Policy};
pub use protected::{BadPattern, Protected, is_like};
pub use verdict::{Decision, Reason, Verdict};
