//! The real vendors: connectors of the run's bundle, with the instances of this node's configuration.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::vendors::{Binding, Vendors};
use crate::action::{ActionName, Fault, Outcome, Reading, Retry, Target};
use crate::connector::{Acted, Bound, Instances, Invoker, Looked, bind, bind_at, identify};
use crate::finding::Entity;
use crate::playbook::Loaded;

/// Vendors over HTTP.
pub struct Connected {
    invoker: Invoker,
    instances: Arc<Instances>,
}

impl Connected {
    /// Vendors of these instances.
    pub fn new(invoker: Invoker, instances: Arc<Instances>) -> Connected {
        Connected { invoker, instances }
    }

    /// The connector's side of a binding. The action is kept as it was bound: a manifest that changed since
    /// does not change a run under way.
    fn bound(&self, loaded: &Loaded, binding: &Binding) -> Result<Bound, Fault> {
        let instance = self.instances.named(&binding.instance).ok_or_else(|| {
            let message = format!(
                "the connector instance `{}` is not configured on this node: add `[connectors.{}]`",
                binding.instance, binding.instance
            );
            Fault::new("unbound", message)
        })?;
        let connector = loaded.connectors.connector(&instance.connector).ok_or_else(|| {
            Fault::new(
                "unbound",
                format!("the run's bundle has no connector `{}`", instance.connector),
            )
        })?;
        Ok(Bound {
            instance: instance.clone(),
            connector: connector.clone(),
            spec: binding.spec.clone(),
        })
    }
}

fn nothing<T>(fault: Fault) -> Looked<T> {
    Looked {
        result: Err((fault, Retry::Never)),
        requests: Vec::new(),
    }
}

#[async_trait]
impl Vendors for Connected {
    fn identify(&self, entity: Entity) -> Result<Entity, Fault> {
        identify(&self.instances.identities, entity)
    }

    fn bind(
        &self,
        loaded: &Loaded,
        action: &ActionName,
        entity: Option<&Entity>,
    ) -> Result<Vec<Binding>, Fault> {
        let bound = bind(&loaded.connectors, &self.instances, action, entity, None)?;
        Ok(bound
            .into_iter()
            .map(|bound| Binding {
                instance: bound.instance.name,
                spec: bound.spec,
            })
            .collect())
    }

    fn binding(&self, loaded: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        let bound = bind_at(&loaded.connectors, &self.instances, instance, action)?;
        Ok(Binding {
            instance: bound.instance.name,
            spec: bound.spec,
        })
    }

    async fn resolve(&self, loaded: &Loaded, binding: &Binding, entity: &Entity) -> Looked<Target> {
        match self.bound(loaded, binding) {
            Ok(bound) => self.invoker.resolve(&bound, entity).await,
            Err(fault) => nothing(fault),
        }
    }

    async fn read(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        function: &str,
        target: &Target,
        args: &Map<String, Value>,
    ) -> Looked<Reading> {
        match self.bound(loaded, binding) {
            Ok(bound) => self.invoker.read(&bound, function, target, args).await,
            Err(fault) => nothing(fault),
        }
    }

    async fn act(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        args: &Map<String, Value>,
        key: &str,
    ) -> Acted {
        match self.bound(loaded, binding) {
            Ok(bound) => {
                let changes = binding.spec.changes();
                if changes {
                    crate::crash::point("act.before-request");
                }
                let acted = self.invoker.act(&bound, target, args, key).await;
                if changes {
                    crate::crash::point("act.after-answer");
                }
                acted
            }
            Err(fault) => Acted {
                outcome: Outcome::NotDone {
                    fault,
                    retry: Retry::Never,
                },
                requests: Vec::new(),
            },
        }
    }
}
