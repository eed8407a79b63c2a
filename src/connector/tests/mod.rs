//! Connectors against a vendor on the loopback interface.

mod crowdstrike;
mod given;
mod signed;
mod transport;
mod vendor;

pub(in crate::connector) use vendor::catalog;
