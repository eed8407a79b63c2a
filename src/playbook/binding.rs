//! The calls of a playbook, held against the connector instances of an estate: those that nothing here would do, and
//! those that several could do while nothing decides. What an alert carries may still decide, so both are warnings.

use std::ops::Range;

use super::catalog::Playbook;
use super::text::Text;
use crate::action::ActionName;
use crate::connector::{CAPABILITIES, Catalog, Instances};
use crate::diagnostic::Diagnostic;
use crate::script::{Call, Program};

/// A call of an action or a capability, and where it stands.
#[derive(Clone, Debug)]
pub struct Acting {
    pub(super) action: ActionName,
    program: Program,
    span: Range<usize>,
}

/// Every call of an action or a capability that stands in a script.
pub(super) fn acting(program: &Program, text: &Text<'_>, calls: &[Call]) -> Vec<Acting> {
    let named = calls
        .iter()
        .filter_map(|call| Some((call, call.name.parse().ok()?)));
    named
        .map(|(call, action)| {
            let start = text.offset(call.at);
            Acting {
                action,
                program: program.clone(),
                span: start..start + call.name.len(),
            }
        })
        .collect()
}

/// What of a playbook nothing here would do, as far as it can be told before there is a target.
pub fn unbound(playbook: &Playbook, connectors: &Catalog, instances: &Instances) -> Vec<Diagnostic> {
    let held = playbook
        .acts
        .iter()
        .filter(|acting| playbook.reaches.contains(&acting.action));
    held.filter_map(|acting| {
        let (message, help) = judge(&acting.action, connectors, instances)?;
        let (file, text) = (acting.program.name(), acting.program.text());
        Some(Diagnostic::error("P031", message, file, text, acting.span.clone(), help).as_warning())
    })
    .collect()
}

fn judge(action: &ActionName, connectors: &Catalog, instances: &Instances) -> Option<(String, String)> {
    let is_capability = CAPABILITIES.contains(&action.namespace());
    let doers: Vec<&str> = if is_capability {
        connectors
            .providers(action)
            .map(|(one, _)| one.manifest.name.as_str())
            .collect()
    } else {
        vec![action.namespace()]
    };
    let able: Vec<_> = instances
        .all
        .iter()
        .filter(|instance| doers.contains(&instance.connector.as_str()))
        .collect();
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let decided = [action.to_string(), action.namespace().to_owned()]
        .iter()
        .any(|key| instances.bind.contains_key(key));
    match able.as_slice() {
        [] => Some((
            format!("no connector instance here does `{action}`"),
            format!("add `[connectors.NAME]` with `use` one of {}", quoted(&doers)),
        )),
        [_] => None,
        _ if decided || able.iter().any(|instance| !instance.when.is_empty()) => None,
        several => {
            let names: Vec<&str> = several.iter().map(|instance| instance.name.as_str()).collect();
            Some((
                format!("{} could each do `{action}`, and nothing decides", quoted(&names)),
                format!(
                    "say which entities each owns with `when`, or write `\"{action}\" = \"NAME\"` under `[bind]`"
                ),
            ))
        }
    }
}
