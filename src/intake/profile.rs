//! One configured source: how it authenticates, what tells its deliveries apart, and who reads them.

use std::collections::BTreeMap;

use super::signature::Auth;
use crate::connector::DeliveryId;
use crate::script::Program;

/// Who turns a source's alerts into findings.
#[derive(Clone, Debug)]
pub enum Normaliser {
    /// Ours: Cordon's own finding JSON, and OCSF class 2004.
    Builtin,
    /// `normalise(raw, headers)` of a connector.
    Script(Program),
}

/// One source.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name, as in `POST /hooks/NAME`.
    pub name: String,
    /// The connector it uses.
    pub connector: String,
    /// How deliveries prove themselves.
    pub auth: Auth,
    /// What tells one delivery from another, where the authentication does not.
    pub delivery: DeliveryId,
    /// Who reads them.
    pub normaliser: Normaliser,
    /// How long a finding is remembered, ms.
    pub finding_window_ms: u64,
}

/// All sources, by name.
pub type Profiles = BTreeMap<String, Profile>;
