//! How an alert becomes findings: authenticate the raw bytes, read them strictly, open envelopes, normalise.
//! Everything here is a function of its arguments; what is durable, and in which order, is the pipeline's.

mod content;
mod draft;
mod entities;
mod gate;
mod headers;
mod hmac;
mod instant;
mod lookup;
mod normalise;
mod ocsf;
mod pipeline;
mod profile;
mod read;
mod scrub;
mod signature;
mod sns;
mod standard;
mod strict_json;
mod unreadable;
mod unwrap;

#[cfg(test)]
mod signature_tests;
#[cfg(test)]
mod tests;

pub use content::{Content, Loader, Refused as ContentRefused, Reloaded, Standing, Stock};
pub use draft::Context;
pub use gate::{Asked as Challenged, Gate, Kept, Turned};
pub use headers::{Headers, NotOnce};
pub use hmac::{Encoding, Hash, HmacScheme, Keying, TimeUnit, Timestamp};
pub use lookup::{LookUps, NoAnswer, Offline, Vendors};
pub use normalise::{builtin, builtin_findings, from_drafts, is_control, items};
pub use pipeline::{NotProcessed, Pipeline};
pub use profile::{LookUp, Normaliser, Profile, Profiles};
pub use read::{Delivery, NotRead, Reading, read, read_with};
pub use signature::{Auth, BadAuth, Refused, Verified, verify};
pub use sns::{Certificates, Subscription};
pub use strict_json::{parse, parse_several};
pub use unreadable::Unreadable;
pub use unwrap::unwrap;
