//! Connectors: what can be done at a vendor's, as folders of a manifest and scripts, and the one way to do it.
//! `manifest` and `catalog` read folders and refuse what could not be acted with safely; `bind` finds the
//! instance an action goes to; `invoke` does it, through `egress`, `auth` and `throttle`. Attempts are made and
//! reported here; whether to make another is decided above. Nothing here knows runs, stores or journals.

mod action_table;
mod auth;
mod auth_spec;
mod bind;
mod catalog;
mod client;
mod dial;
mod egress;
mod fetch;
mod identity;
mod invoke;
mod lookup;
mod manifest;
mod reference;
mod rules;
mod sender;
mod settings;
mod settle;
mod throttle;
mod tls;
mod transport;
mod wire;
mod words;
mod xml;

pub use action_table::{CAPABILITIES, VERBS};
pub use auth_spec::AuthSpec;
pub use bind::{Bound, Instance, Instances, Overrides, Owns, bind, bind_at};
pub use catalog::{Catalog, Connector};
pub use client::NoClient;
pub use egress::{HostPattern, Refused, check_base_url, is_loopback};
pub use fetch::{Fetcher, NotFetched};
pub use identity::{Identity, identify};
pub use invoke::{Acted, Invoker, Looked};
pub use lookup::LookUpTarget;
pub use manifest::{DeliveryId, HttpSpec, Limits, Manifest, SourceSpec, Transport};
pub use reference::reference;
pub use sender::{Challenge, LookUpSpec, SettingKind, source_vocabulary};
pub use settings::{SettingSpec, Settings, given_settings};
pub use tls::Ca;
pub use wire::{Came, Sent, Wire};
pub use words::vocabulary;

#[cfg(test)]
mod tests;
