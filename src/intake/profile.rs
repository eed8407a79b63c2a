//! One configured source: how it authenticates, what tells its deliveries apart, who reads them, and whom the reader
//! may ask.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::signature::Auth;
use crate::connector::{Challenge, DeliveryId};
use crate::script::Program;

/// Who turns a source's alerts into findings.
#[derive(Clone, Debug)]
pub enum Normaliser {
    /// Ours: Cordon's own finding JSON, and OCSF class 2004.
    Builtin,
    /// `normalise(raw, headers)` of a connector.
    Script(Program),
}

/// What a source's script may look up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookUp {
    /// The connector instance that is asked; empty where the source names none.
    pub instance: String,
    /// Members of answers that hold secrets.
    pub secrets: Vec<String>,
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
    /// What the reader is told: the connector's settings, each there, `null` where the source says nothing.
    pub settings: Map<String, Value>,
    /// What the reader may look up, where its connector can.
    pub lookup: Option<LookUp>,
    /// What the sender asks before its first alert.
    pub challenge: Option<Challenge>,
}

impl Profile {
    /// A source of this name and connector, without settings, look-ups or challenge, whose deliveries are told
    /// apart by their bodies.
    pub fn new(
        name: impl Into<String>,
        connector: impl Into<String>,
        auth: Auth,
        normaliser: Normaliser,
    ) -> Profile {
        Profile {
            name: name.into(),
            connector: connector.into(),
            auth,
            delivery: DeliveryId::BodyDigest,
            normaliser,
            finding_window_ms: crate::limits::FINDING_WINDOW_MS,
            settings: Map::new(),
            lookup: None,
            challenge: None,
        }
    }
}

/// All sources, by name.
pub type Profiles = BTreeMap<String, Profile>;
