//! Stand-in until the script room lands.
use serde::{Deserialize, Serialize};
/// Step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId(pub String);
