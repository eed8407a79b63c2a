use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::action::{ActionSpec, Class, Target, UndoSpec};
use crate::finding::EntityType;
use crate::id::{ApprovalId, RunId};

fn spec(name: &str, provides: &str, class: Class, undo: bool) -> ActionSpec {
    ActionSpec {
        name: name.parse().unwrap(),
        title: name.into(),
        class,
        provides: Some(provides.parse().unwrap()),
        targets: vec![EntityType::AccessKey],
        args: BTreeMap::new(),
        facet: undo.then(|| "active".to_owned()),
        resolve: None,
        capture: None,
        verify: None,
        undo: undo.then(|| UndoSpec {
            action: "aws::back".parse().unwrap(),
            from_captured: BTreeMap::new(),
        }),
        permission: String::new(),
        propagation_ms: 0,
        in_flight_ms: 0,
        d3fend: None,
        unseen: None,
    }
}

fn delete() -> ActionSpec {
    spec("aws::delete_key", "cloud::delete_key", Class::Set, false)
}

fn deactivate() -> ActionSpec {
    spec("aws::deactivate_key", "cloud::deactivate_key", Class::Set, true)
}

fn mail() -> ActionSpec {
    ActionSpec {
        targets: vec![],
        ..spec("email::send", "mail::send", Class::Opaque, false)
    }
}

fn approvers(by: &str) -> Approvers {
    Approvers {
        by: by.into(),
        quorum: 1,
        within_ms: 1,
    }
}

fn rule(actions: &[&str], types: &[EntityType], names: &[&str], irreversible: bool) -> ApprovalRule {
    ApprovalRule {
        which: Which {
            actions: actions.iter().map(|text| (*text).to_owned()).collect(),
            types: types.to_vec(),
            names: names.iter().map(|text| (*text).to_owned()).collect(),
            irreversible,
        },
        approvers: approvers("leads"),
        why: "ours".into(),
    }
}

fn approval(n: &str) -> ApprovalId {
    ApprovalId::of_run(RunId::derive(&["r"]), &[n])
}

struct Case {
    policy: Policy,
    spec: ActionSpec,
    restores: bool,
    already: bool,
    own: Option<Demand>,
}

impl Case {
    fn new(rules: Vec<ApprovalRule>, spec: ActionSpec) -> Case {
        Case {
            policy: Policy {
                approvals: rules,
                ..Policy::default()
            },
            spec,
            restores: false,
            already: false,
            own: None,
        }
    }

    fn weigh(&self, consent: &dyn Fn(&Demand) -> Consent) -> Verdict {
        let target = Target {
            instance: "aws".into(),
            kind: EntityType::AccessKey,
            id: "AKIA1".into(),
            name: "AKIA1".into(),
            aliases: vec!["svc-payroll".into()],
        };
        evaluate(&Weighing {
            policy: &self.policy,
            halt: Ok(None),
            action: &self.spec,
            target: (!self.spec.targets.is_empty()).then_some(&target),
            entity: None,
            restores: self.restores,
            already: self.already,
            own: self.own.clone(),
            spent: &[],
            consent,
        })
    }

    fn unasked(&self) -> Decision {
        self.weigh(&|_| Consent::Unasked).decision
    }
}

#[test]
fn a_rule_holds_what_it_names_and_nothing_else() {
    let key = EntityType::AccessKey;
    for (rule, delete_is, deactivate_is) in [
        (
            rule(&["cloud::delete_key"], &[], &[], false),
            Decision::Hold,
            Decision::Allow,
        ),
        (rule(&["aws::*"], &[], &[], false), Decision::Hold, Decision::Hold),
        (
            rule(&["okta::*"], &[], &[], false),
            Decision::Allow,
            Decision::Allow,
        ),
        (rule(&[], &[], &[], true), Decision::Hold, Decision::Allow),
        (rule(&[], &[key], &[], false), Decision::Hold, Decision::Hold),
        (
            rule(&[], &[EntityType::Host], &[], false),
            Decision::Allow,
            Decision::Allow,
        ),
        (rule(&[], &[], &["SVC-*"], false), Decision::Hold, Decision::Hold),
        (
            rule(&[], &[], &["other"], false),
            Decision::Allow,
            Decision::Allow,
        ),
        (
            rule(&["cloud::*"], &[key], &["akia*"], true),
            Decision::Hold,
            Decision::Allow,
        ),
    ] {
        assert_eq!(
            Case::new(vec![rule.clone()], delete()).unasked(),
            delete_is,
            "{rule:?}"
        );
        assert_eq!(
            Case::new(vec![rule.clone()], deactivate()).unasked(),
            deactivate_is,
            "{rule:?}"
        );
    }
}

#[test]
fn restoring_and_what_is_so_already_needs_no_approval() {
    let mut case = Case::new(vec![rule(&["*"], &[], &[], false)], deactivate());
    case.policy.mode = Mode::Approve;
    case.policy.approvers = Some(approvers("leads"));
    assert_eq!(case.unasked(), Decision::Hold);
    case.already = true;
    assert_eq!(case.unasked(), Decision::Allow);
    case.already = false;
    case.restores = true;
    assert_eq!(case.unasked(), Decision::Allow);
    case.policy.mode = Mode::Observe;
    assert_eq!(
        case.unasked(),
        Decision::Allow,
        "what is contained is let go in every mode"
    );
}

#[test]
fn a_message_is_held_only_by_a_rule_that_names_it() {
    let mut case = Case::new(vec![rule(&[], &[], &[], true)], mail());
    case.policy.mode = Mode::Approve;
    case.policy.approvers = Some(approvers("leads"));
    assert_eq!(case.unasked(), Decision::Allow);
    case.policy.approvals = vec![rule(&["mail::send"], &[], &[], false)];
    assert_eq!(case.unasked(), Decision::Hold);
}

#[test]
fn the_mode_asks_for_everything_or_refuses_everything() {
    let mut case = Case::new(vec![], deactivate());
    assert_eq!(case.unasked(), Decision::Allow);
    case.policy.mode = Mode::Approve;
    case.policy.approvers = Some(approvers("leads"));
    let verdict = case.weigh(&|_| Consent::Unasked);
    assert!(verdict.waits_for_people(), "{}", verdict.why());
    case.policy.mode = Mode::Observe;
    let verdict = case.weigh(&|_| Consent::Given(approval("1")));
    assert_eq!(verdict.decision, Decision::Deny);
    assert_eq!(verdict.why(), "mode: the mode is `observe`: nothing is changed");
    case.spec.class = Class::Read;
    assert_eq!(case.unasked(), Decision::Allow);
}

#[test]
fn every_demand_has_to_be_met_and_a_no_wins() {
    let mut case = Case::new(vec![rule(&["aws::*"], &[], &[], false)], delete());
    case.own = Some(Demand {
        rule: "the playbook asked for it".into(),
        approvers: approvers("owners"),
    });
    let seen = RefCell::new(Vec::new());
    let verdict = case.weigh(&|demand| {
        seen.borrow_mut().push(demand.approvers.by.clone());
        Consent::Given(approval(&demand.approvers.by))
    });
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!(verdict.approvals, [approval("leads"), approval("owners")]);
    assert_eq!(*seen.borrow(), ["leads", "owners"]);

    let half = |demand: &Demand| match demand.approvers.by.as_str() {
        "leads" => Consent::Awaited(approval("leads")),
        _ => Consent::Given(approval("owners")),
    };
    let verdict = case.weigh(&half);
    assert!(verdict.waits_for_people());
    assert_eq!(
        verdict.approvals,
        [approval("leads")],
        "a hold waits for what is not given"
    );
    let refused = |demand: &Demand| match demand.approvers.by.as_str() {
        "leads" => Consent::Refused("ana denied it: no".into()),
        other => half(&Demand {
            approvers: approvers(other),
            ..demand.clone()
        }),
    };
    let verdict = case.weigh(&refused);
    assert_eq!(
        (verdict.decision, verdict.waits_for_people()),
        (Decision::Deny, false)
    );
}

#[test]
fn a_group_is_its_members_and_a_member_is_alone() {
    let members: BTreeSet<String> = ["ana", "ben"].map(str::to_owned).into();
    let groups = Groups(BTreeMap::from([("leads".to_owned(), members.clone())]));
    assert_eq!(groups.members("leads"), Some(members));
    assert_eq!(groups.members("ben"), Some(BTreeSet::from(["ben".to_owned()])));
    assert_eq!(groups.members("zoe"), None);
    assert_eq!(groups.names().collect::<Vec<_>>(), ["leads", "ana", "ben"]);
}
