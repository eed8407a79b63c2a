//! Amazon SNS as a sender: its envelope, what of it is signed, the certificate it is signed with, and the answer to
//! the question whether we want a topic's messages. Signs nothing, sends nothing but that answer, and never goes to
//! a host that a message names unless it is the one that the topic's region has.

mod certificate;
mod certificates;
mod confirm;
mod message;
mod place;
mod subscription;
#[cfg(test)]
mod tests;
mod verify;

pub use certificates::Certificates;
pub use subscription::Subscription;

pub(super) use confirm::{Handshake, NotConfirmed, handshake};
pub(super) use verify::{NotProven, verify};
