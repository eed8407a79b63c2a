//! Stand-in of AWS, as far as containing a key, a user or a role needs it: IAM and STS (Query protocol, XML) and
//! the two calls of Secrets Manager that rotate (JSON). Every request's signature is verified with the secret of
//! the key that signed it; inactive and deleted keys are refused, and a policy that denies everything is obeyed, so
//! that the effect of a containment can be tried and not only read. Shapes follow our notes on vendor APIs
//! (2026-11-23) and general knowledge, never compared with a real account; where the notes are silent we chose:
//!
//! - the configured key may do everything, a session of a role too, a user's own key may only read;
//! - of policies it understands `Deny` of `*`, with `DateLessThan` of `aws:TokenIssueTime` or without a condition;
//! - putting what is there already succeeds and changes nothing; everything is consistent at once.

mod call;
mod iam;
mod identity;
mod policy;
mod secrets;
mod sigv4;
mod state;
mod sts;
mod who;
mod xml;

pub use identity::{AccessKey, Identity, IdentityKind, KeyStatus, StoredSecret};
pub use sigv4::{Signer, sign};
pub(super) use state::Aws;
pub use state::AwsConfig;

/// The vendor's name in the ledger.
const NAME: &str = "aws";
/// The account everything is in; one of the numbers AWS uses in examples.
const ACCOUNT: &str = "111122223333";
