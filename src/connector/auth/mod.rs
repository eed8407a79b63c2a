//! How requests prove who sends them. Credentials are attached to the request here, at the last moment; nothing
//! hands them to scripts, errors or logs.

mod oauth2;
mod token;

pub(super) use oauth2::{Issuer, Token, Tokens};
pub(super) use token::{attach, credential};
