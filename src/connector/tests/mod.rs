//! Connectors against a vendor on the loopback interface.

mod crowdstrike;
mod directory;
mod given;
mod mail_server;
mod okta;
mod signed;
mod slack;
mod ssrf;
mod transport;
mod vendor;

pub(in crate::connector) use vendor::catalog;
