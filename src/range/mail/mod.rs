//! Stand-in of a mail server on loopback: it takes messages from whoever signed in and keeps them. SMTP as far as
//! submission needs it (RFC 5321, RFC 4954): EHLO, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA, RSET, NOOP, QUIT. There is no
//! TLS, since it listens on loopback only. Each AUTH, RCPT and message goes through the range's world like any
//! vendor's request, so that faults can be scripted for it and the ledger has its line.

mod door;
mod message;
mod session;
mod state;

pub(super) use door::MailDoor;
pub use message::MailMessage;
pub(super) use state::Mail;
pub use state::MailConfig;

/// The vendor's name in the ledger.
const NAME: &str = "mail";
