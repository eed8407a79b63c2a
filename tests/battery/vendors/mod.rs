//! One file per connector: a double that holds state, and the rows of its actions.

mod crowdstrike;
mod matrix;
mod okta;
mod scim;
mod slack;
mod synapse;

use crate::row::Row;

/// Every row there is.
pub fn rows() -> Vec<Row> {
    [
        crowdstrike::rows(),
        matrix::rows(),
        okta::rows(),
        scim::rows(),
        slack::rows(),
        synapse::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
