//! The network side of one attempt: what a script may send, with whose credentials, and what an answer means
//! before the script sees it. An attempt makes one change at most. What is lost, refused or told to wait ends
//! it here; no script can catch it.

mod attempt;
mod http;
mod ldap;
mod ldap_call;
mod mail;
mod scrub;
mod smtp;
mod smtp_session;
mod wired;

pub(super) use attempt::{Attempt, handle_of};
