//! Connectors against a vendor on the loopback interface.

mod crowdstrike;
mod transport;
mod vendor;
