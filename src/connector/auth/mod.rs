//! How requests prove who sends them. Credentials are attached to the request here, at the last moment; nothing
//! hands them to scripts, errors or logs.

mod aws_answer;
mod oauth2;
mod sigv4;
mod token;
mod tokens;
mod webhook;

pub(super) use aws_answer::{Meaning, meaning};
pub(super) use sigv4::{Scope, SignFor, sign as sign_sigv4};
pub(super) use token::{attach, credential};
pub(super) use tokens::{Issuer, Proof, Token, Tokens};
pub(super) use webhook::sign as sign_webhook;
