//! Our own playbooks: restoring, and one action by hand. They run on the same path as everybody's.

use super::bundle::{Bundle, Parts};
use super::input::InputSpecs;
use crate::connector::Catalog;
use crate::journal::{OnFailure, PlaybookKind};
use crate::limits::LEASE_MS_MAX;
use crate::script::Program;

/// Restores each effect in the order given, and fails at the end if any could not be restored: one that is
/// stuck does not keep the others from being restored.
const REVERT: &str = r#"let failed = [];
for effect in effects {
    try {
        cordon::undo(effect);
    } catch (error) {
        failed.push(`${effect.effect}: ${error.message}`);
    }
}
if failed.len() > 0 {
    throw #{ code: "undo-failed", message: `${failed.len()} of ${effects.len()} could not be undone: ${failed}` };
}
"#;

const ACT: &str = "cordon::act(action, target, options)\n";

fn bundle(id: &str, title: &str, name: &str, text: &str, connectors: &Catalog) -> Bundle {
    let script = Program::new(name, text);
    let parts = Parts {
        playbook: id,
        title,
        kind: PlaybookKind::Internal,
        on_failure: OnFailure::Keep,
        ask: None,
        // A restoration is not given up because it takes long.
        deadline_ms: LEASE_MS_MAX,
        inputs: &InputSpecs::new(),
        script: &script,
    };
    Bundle::of(&parts, connectors)
}

/// Restores what the effects in its input `effects` changed, last first.
pub fn revert(connectors: &Catalog) -> Bundle {
    bundle(
        "cordon/revert",
        "Restore the prior state",
        "cordon/revert.rhai",
        REVERT,
        connectors,
    )
}

/// Does the action in its inputs `action`, `target`, `options`.
pub fn act(connectors: &Catalog) -> Bundle {
    bundle(
        "cordon/act",
        "One action by hand",
        "cordon/act.rhai",
        ACT,
        connectors,
    )
}
