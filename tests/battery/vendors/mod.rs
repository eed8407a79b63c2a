//! One file per connector: a double that holds state, and the rows of its actions.

mod aws;
mod crowdstrike;
mod email;
mod hooks;
mod ldap;
mod matrix;
mod okta;
mod scim;
mod slack;
mod synapse;

use crate::row::Row;

/// Every row there is.
pub fn rows() -> Vec<Row> {
    [
        aws::rows(),
        crowdstrike::rows(),
        email::rows(),
        hooks::rows(),
        ldap::rows(),
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
