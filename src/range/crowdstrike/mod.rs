//! Stand-in of the CrowdStrike Falcon hosts API, as far as containment needs it: token, search by name,
//! details, contain and lift. Shapes follow our notes on vendor APIs and general knowledge of the vendor
//! (2026-11-23), never compared with a real tenant; where the notes are silent we chose:
//!
//! - containing a contained host answers 202 and changes nothing, and so does lifting a free one;
//! - an unknown id is an entry in `errors` with code 404 beside a 202 (actions) or 200 (details);
//! - both a wrong client id and a wrong secret answer 401;
//! - search understands no filter, or one comparison of `hostname` or `device_id`, and refuses the rest.
//!
//! It decides and holds state; it writes no ledger and reads no clock.

mod call;
mod envelope;
mod filter;
mod host;
mod hosts;
mod token;

pub(super) use call::no_such_path;
pub use host::{Host, HostChange, Status};
pub(super) use hosts::CrowdStrike;

/// The vendor's name in the ledger.
const NAME: &str = "crowdstrike";
/// What it says to a token it does not know.
const REFUSED: &str = "access denied, invalid bearer token";
