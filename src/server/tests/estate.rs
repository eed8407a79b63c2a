//! One vendor that isolates hosts at once and tells the truth about it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::action::{
    ActionName, ActionSpec, Class, Done, Fault, Outcome, ReadBack, Reading, Target, UndoSpec,
};
use crate::connector::{Acted, Looked};
use crate::finding::{Entity, EntityType};
use crate::playbook::Loaded;
use crate::run::{Binding, Vendors};

pub const ISOLATE: &str = "crowdstrike::contain_host";
const LIFT: &str = "crowdstrike::lift_containment";

#[derive(Default)]
pub struct Estate {
    /// Vendor id to state, `normal` where nothing is said.
    states: Mutex<BTreeMap<String, String>>,
}

impl Estate {
    pub fn state(&self, id: &str) -> String {
        self.states
            .lock()
            .unwrap()
            .get(id)
            .cloned()
            .unwrap_or_else(|| "normal".into())
    }
}

fn spec(name: &str) -> ActionSpec {
    let (wanted, other) = if name == ISOLATE {
        ("contained", LIFT)
    } else {
        ("normal", ISOLATE)
    };
    ActionSpec {
        name: name.parse().unwrap(),
        title: name.into(),
        class: Class::Set,
        provides: None,
        targets: vec![EntityType::Host],
        args: BTreeMap::new(),
        facet: Some("network".into()),
        resolve: Some("find_host".into()),
        capture: None,
        verify: Some(ReadBack {
            read: "host_state".into(),
            in_force: vec![wanted.into()],
            pending: vec![],
            lag_ms: 1_000,
        }),
        undo: Some(UndoSpec {
            action: other.parse().unwrap(),
            from_captured: BTreeMap::new(),
        }),
        permission: "hosts:write".into(),
        propagation_ms: 1_000,
        in_flight_ms: 1_000,
        unseen: None,
        d3fend: None,
    }
}

#[async_trait]
impl Vendors for Estate {
    fn bind(&self, loaded: &Loaded, action: &ActionName, _: Option<&Entity>) -> Result<Vec<Binding>, Fault> {
        self.binding(loaded, "crowdstrike", action)
            .map(|binding| vec![binding])
    }

    fn binding(&self, _: &Loaded, instance: &str, action: &ActionName) -> Result<Binding, Fault> {
        match action.to_string().as_str() {
            name @ (ISOLATE | LIFT) => Ok(Binding {
                instance: instance.into(),
                spec: spec(name),
            }),
            other => Err(Fault::new("no-connector", format!("nothing does {other}"))),
        }
    }

    async fn resolve(&self, _: &Loaded, binding: &Binding, entity: &Entity) -> Looked<Target> {
        let target = Target {
            instance: binding.instance.clone(),
            kind: entity.kind,
            id: format!("id-of-{}", entity.name),
            name: entity.name.clone(),
            aliases: vec![],
        };
        Looked {
            result: Ok(target),
            requests: vec![],
        }
    }

    async fn read(
        &self,
        _: &Loaded,
        _: &Binding,
        _: &str,
        target: &Target,
        _: &Map<String, Value>,
    ) -> Looked<Reading> {
        let reading = Reading {
            state: self.state(&target.id),
            fields: Value::Null,
        };
        Looked {
            result: Ok(reading),
            requests: vec![],
        }
    }

    async fn act(
        &self,
        _: &Loaded,
        binding: &Binding,
        target: Option<&Target>,
        _: &Map<String, Value>,
        _: &str,
    ) -> Acted {
        let wanted = binding.spec.verify.as_ref().unwrap().in_force[0].clone();
        self.states
            .lock()
            .unwrap()
            .insert(target.unwrap().id.clone(), wanted);
        let outcome = Outcome::Done {
            how: Done::Acted,
            result: Value::Null,
        };
        Acted {
            outcome,
            requests: vec![],
        }
    }
}
