//! The one place where an effect is weighed. Every effect of every origin comes through here, after its
//! target is resolved, so that an alias cannot walk past a rule.

use super::budget::Spent;
use super::demand::{self, Consent, Demand, Mode};
use super::policy::{Halt, Policy};
use super::verdict::{Decision, Reason, Verdict};
use crate::action::{ActionSpec, Target};
use crate::finding::{Entity, EntityType};

/// What is weighed.
pub struct Weighing<'a> {
    /// The standing rules.
    pub policy: &'a Policy,
    /// The switch: `Ok(None)` when nothing is halted, `Err` when nobody can say.
    pub halt: Result<Option<&'a Halt>, &'a str>,
    /// What is to be done.
    pub action: &'a ActionSpec,
    /// To what, as the vendor knows it; `None` for an action without a target.
    pub target: Option<&'a Target>,
    /// To what, as the finding or person named it.
    pub entity: Option<&'a Entity>,
    /// True when it restores a captured prior state. Restoring is held by the switch alone.
    pub restores: bool,
    /// True when it is so already, so that nothing would be sent.
    pub already: bool,
    /// The approval that its own run demands, because it asked for it.
    pub own: Option<Demand>,
    /// The budgets that have no place for it; empty while nobody has asked them yet.
    pub spent: &'a [Spent],
    /// What people said to a demand.
    pub consent: &'a dyn Fn(&Demand) -> Consent,
}

/// Weighs one effect. Reading (class `read`) is weighed too: it is held by nothing but still recorded.
pub fn evaluate(weighing: &Weighing<'_>) -> Verdict {
    let mut reasons = Vec::new();
    if weighing.action.changes() {
        reasons.extend(halted(weighing));
        if !weighing.restores {
            reasons.extend(protected(weighing));
            reasons.extend(without_target(weighing));
            reasons.extend(observed(weighing));
            reasons.extend(weighing.spent.iter().filter_map(Spent::refusal));
        }
    }
    let (held, approvals) = demand::reasons(weighing);
    reasons.extend(held);
    Verdict {
        approvals,
        ..Verdict::join(reasons)
    }
}

/// In the mode `observe` nothing is changed; what would have been is on record.
fn observed(weighing: &Weighing<'_>) -> Option<Reason> {
    (weighing.policy.mode == Mode::Observe).then(|| Reason {
        rule: "mode".into(),
        decision: Decision::Deny,
        why: "the mode is `observe`: nothing is changed".into(),
    })
}

fn halted(weighing: &Weighing<'_>) -> Option<Reason> {
    let why = match weighing.halt {
        Ok(None) => return None,
        Ok(Some(halt)) => format!("{} halted all effects at {}: {}", halt.by, halt.at, halt.reason),
        Err(problem) => format!("it cannot be told whether effects are halted: {problem}"),
    };
    Some(Reason {
        rule: "halt".into(),
        decision: Decision::Hold,
        why,
    })
}

/// What it is done to, under every name it is known by; `None` for an action without a target.
pub(super) fn names<'a>(weighing: &Weighing<'a>) -> Option<(EntityType, Vec<&'a str>)> {
    let kind = weighing
        .target
        .map(|target| target.kind)
        .or(weighing.entity.map(|entity| entity.kind))?;
    let mut names: Vec<&str> = Vec::new();
    if let Some(target) = weighing.target {
        names.extend([target.name.as_str(), target.id.as_str()]);
        names.extend(target.aliases.iter().map(String::as_str));
    }
    if let Some(entity) = weighing.entity {
        names.extend([entity.name.as_str(), entity.uid.as_str()]);
        names.extend(entity.ids.values().map(String::as_str));
        names.extend(entity.known_as());
    }
    Some((kind, names))
}

fn protected(weighing: &Weighing<'_>) -> Vec<Reason> {
    let Some((kind, names)) = names(weighing) else {
        return Vec::new();
    };
    weighing
        .policy
        .protected
        .iter()
        .filter(|pattern| pattern.fits(kind, names.iter().copied()))
        .map(|pattern| Reason {
            rule: "protected".into(),
            decision: Decision::Deny,
            why: if pattern.why.is_empty() {
                format!("`{}` is protected", pattern.name)
            } else {
                format!("`{}` is protected: {}", pattern.name, pattern.why)
            },
        })
        .collect()
}

/// An action that takes a target and has none would act on everything or nothing.
fn without_target(weighing: &Weighing<'_>) -> Option<Reason> {
    let missing = !weighing.action.targets.is_empty()
        && weighing.target.is_none_or(|target| target.id.trim().is_empty());
    missing.then(|| Reason {
        rule: "unresolved-target".into(),
        decision: Decision::Deny,
        why: "the action needs exactly one resolved target and has none".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Class;
    use crate::clock::Time;
    use crate::finding::Role;
    use crate::guardrail::Protected;

    fn contain() -> ActionSpec {
        ActionSpec {
            name: "crowdstrike::contain_host".parse().unwrap(),
            title: "Contain".into(),
            class: Class::Set,
            provides: None,
            targets: vec![EntityType::Host],
            args: Default::default(),
            facet: Some("network".into()),
            resolve: None,
            capture: None,
            verify: None,
            undo: None,
            permission: String::new(),
            propagation_ms: 0,
            in_flight_ms: 0,
            unseen: None,
            d3fend: None,
        }
    }

    fn host(name: &str) -> Target {
        Target {
            instance: "crowdstrike".into(),
            kind: EntityType::Host,
            id: "6f1a".into(),
            name: name.into(),
            aliases: vec![],
        }
    }

    fn policy() -> Policy {
        Policy {
            protected: vec![Protected::new(Some(EntityType::Host), "dc-*", "domain controllers").unwrap()],
            ..Policy::default()
        }
    }

    fn weigh(
        target: Option<&Target>,
        halt: Result<Option<&Halt>, &str>,
        restores: bool,
        class: Class,
    ) -> Verdict {
        let mut action = contain();
        action.class = class;
        let entity = Entity::new(EntityType::Host, Role::Affected, "alias-of-it").unwrap();
        evaluate(&Weighing {
            policy: &policy(),
            halt,
            action: &action,
            target,
            entity: Some(&entity),
            restores,
            already: false,
            own: None,
            spent: &[],
            consent: &|_| Consent::Unasked,
        })
    }

    #[test]
    fn an_ordinary_target_is_allowed() {
        assert_eq!(
            weigh(Some(&host("web-07")), Ok(None), false, Class::Set).decision,
            Decision::Allow
        );
    }

    #[test]
    fn a_protected_target_is_denied_under_its_resolved_name_but_may_be_restored() {
        let verdict = weigh(Some(&host("dc-01")), Ok(None), false, Class::Set);
        assert_eq!(verdict.decision, Decision::Deny);
        assert_eq!(
            verdict.why(),
            "protected: `dc-*` is protected: domain controllers"
        );
        assert_eq!(
            weigh(Some(&host("dc-01")), Ok(None), true, Class::Set).decision,
            Decision::Allow
        );
    }

    #[test]
    fn a_protected_name_protects_under_every_alias() {
        let policy = Policy {
            protected: vec![Protected::new(None, "svc-idp", "runs the identity provider").unwrap()],
            ..Policy::default()
        };
        let decision = |name: &str| {
            let mut entity = Entity::new(EntityType::Host, Role::Affected, "00u1").unwrap();
            entity
                .attributes
                .insert(crate::finding::IDENTITY.into(), name.into());
            entity.attributes.insert(
                crate::finding::ALIASES.into(),
                serde_json::json!(["idp@corp.example"]),
            );
            evaluate(&Weighing {
                policy: &policy,
                halt: Ok(None),
                action: &contain(),
                target: Some(&host("web-07")),
                entity: Some(&entity),
                restores: false,
                already: false,
                own: None,
                spent: &[],
                consent: &|_| Consent::Unasked,
            })
            .decision
        };
        assert_eq!(decision("svc-idp"), Decision::Deny);
        assert_eq!(decision("svc-other"), Decision::Allow);
    }

    #[test]
    fn halt_holds_everything_that_changes_and_so_does_not_knowing() {
        let halt = Halt {
            by: "ana".into(),
            at: Time(0),
            reason: "storm".into(),
        };
        assert_eq!(
            weigh(Some(&host("web-07")), Ok(Some(&halt)), false, Class::Set).decision,
            Decision::Hold
        );
        assert_eq!(
            weigh(Some(&host("web-07")), Ok(Some(&halt)), true, Class::Set).decision,
            Decision::Hold
        );
        assert_eq!(
            weigh(Some(&host("web-07")), Err("the store is away"), false, Class::Set).decision,
            Decision::Hold
        );
        assert_eq!(
            weigh(Some(&host("web-07")), Ok(Some(&halt)), false, Class::Read).decision,
            Decision::Allow
        );
        assert_eq!(
            weigh(Some(&host("dc-01")), Ok(Some(&halt)), false, Class::Set).decision,
            Decision::Deny,
            "deny wins"
        );
    }

    #[test]
    fn no_target_or_an_empty_one_is_denied() {
        assert_eq!(weigh(None, Ok(None), false, Class::Set).decision, Decision::Deny);
        let mut empty = host("web-07");
        empty.id = " ".into();
        assert_eq!(
            weigh(Some(&empty), Ok(None), false, Class::Set).decision,
            Decision::Deny
        );
    }
}
