//! What a run needs of the systems it acts on. Connectors give it for real (`connected`); `cordon test` gives it from
//! a case (`simulate::world`).

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::action::{ActionName, ActionSpec, Fault, Reading, Target};
use crate::connector::{Acted, Looked};
use crate::finding::Entity;
use crate::playbook::Loaded;

/// One action of one connector instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The instance.
    pub instance: String,
    /// The action.
    pub spec: ActionSpec,
}

/// The systems a run acts on.
#[async_trait]
pub trait Vendors: Send + Sync {
    /// The entity with the ids that the systems here know it by. Two answers are a fault.
    fn identify(&self, entity: Entity) -> Result<Entity, Fault> {
        Ok(entity)
    }

    /// The instances that do `action` for this entity, each once. None, or no telling which, is a fault.
    fn bind(
        &self,
        loaded: &Loaded,
        action: &ActionName,
        entity: Option<&Entity>,
    ) -> Result<Vec<Binding>, Fault>;

    /// One action of one named instance.
    fn binding(&self, loaded: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault>;

    /// Finds exactly one target for an entity.
    async fn resolve(&self, loaded: &Loaded, binding: &Binding, entity: &Entity) -> Looked<Target>;

    /// Reads a target's state with a function of the connector, for an effect with these arguments. Changes nothing.
    async fn read(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        function: &str,
        target: &Target,
        args: &Map<String, Value>,
    ) -> Looked<Reading>;

    /// Does it, with at most one request that changes anything. `key` is the same for every attempt.
    async fn act(
        &self,
        loaded: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        args: &Map<String, Value>,
        key: &str,
    ) -> Acted;
}
