//! Look-ups for scripts of senders: reads alone, with an instance's hosts, credentials and pauses, by the rules that
//! hold for the reads of actions. Whether to ask again later is for whoever asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::bind::{Bound, Instance};
use super::catalog::Connector;
use super::invoke::Invoker;
use super::settle::Stop;
use super::transport::Attempt;
use crate::action::{ActionName, ActionSpec, Class, Fault, Retry};
use crate::script::Asked;

/// Where look-ups go: an instance of a connector that sends.
#[derive(Clone, Debug)]
pub struct LookUpTarget(Bound);

impl LookUpTarget {
    /// Look-ups at this instance; `None` where the connector has none, or its name makes no namespace.
    pub fn new(connector: &Arc<Connector>, instance: &Instance) -> Option<LookUpTarget> {
        let spec = connector.manifest.source.as_ref()?.lookup.as_ref()?;
        let name = ActionName::new(&connector.manifest.name, "look_up").ok()?;
        Some(LookUpTarget(Bound {
            instance: instance.clone(),
            connector: connector.clone(),
            spec: read_only(name, spec.permission.clone()),
        }))
    }
}

/// The read that a look-up is, in the words of actions.
fn read_only(name: ActionName, permission: String) -> ActionSpec {
    ActionSpec {
        name,
        title: "Look up what an alert names only by number".into(),
        class: Class::Read,
        provides: None,
        targets: Vec::new(),
        args: BTreeMap::new(),
        facet: None,
        resolve: None,
        capture: None,
        verify: None,
        undo: None,
        unseen: None,
        permission,
        propagation_ms: 0,
        in_flight_ms: 0,
        d3fend: None,
    }
}

impl Invoker {
    /// Answers one `http::get` of a sender's script.
    ///
    /// # Errors
    /// Why there is no answer, and whether to ask again.
    pub async fn look_up(&self, target: &LookUpTarget, asked: &Asked) -> Result<Value, (Fault, Retry)> {
        let mut attempt = Attempt::to_read(self, &target.0);
        attempt.perform(asked).await.map_err(|stop| match stop {
            Stop::NotDone(fault, retry) => (fault, retry),
            // Reads are never in doubt; should one say so, it may be read again.
            Stop::Unknown(fault) => (fault, Retry::Backoff),
        })
    }
}
