//! What the surface works with, and the little it remembers between requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::auth::Principals;
use crate::clock::Time;
use crate::intake::{Content, Gate, Pipeline};
use crate::notify::Reach;
use crate::run::{self, HaltSwitch};
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::upkeep::Standing;

/// Everything the surface asks.
pub struct Services {
    /// The door for alerts.
    pub gate: Arc<Gate>,
    /// The way from alerts to runs.
    pub pipeline: Arc<Pipeline>,
    /// Starts runs; store and clock come through its context.
    pub handle: run::Handle,
    /// Playbooks and triggers.
    pub content: Arc<Content>,
    /// The switch of this node, set at once when a person halts or resumes here.
    pub halt: watch::Sender<HaltSwitch>,
    /// Metrics.
    pub telemetry: Arc<Telemetry>,
    /// Who can be told, and the means.
    pub notify: Reach,
    /// How the store stands.
    pub upkeep: Arc<Standing>,
    /// The program's version.
    pub version: &'static str,
}

impl Services {
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.handle.context().store
    }

    pub(super) fn now(&self) -> Time {
        self.handle.context().clock.now()
    }
}

/// What every handler gets.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) services: Arc<Services>,
    pub(super) principals: Arc<Principals>,
    /// How long the body of a request may take.
    pub(super) allowed: Duration,
}

impl std::ops::Deref for Shared {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.services
    }
}
