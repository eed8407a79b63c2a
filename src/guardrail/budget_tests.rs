use super::*;
use crate::action::{ActionSpec, Class, Target};
use crate::clock::Time;
use crate::finding::EntityType;
use crate::id::{ApprovalId, RunId};

fn contain() -> ActionSpec {
    ActionSpec {
        name: "crowdstrike::contain_host".parse().unwrap(),
        title: "Contain".into(),
        class: Class::Set,
        provides: Some("endpoint::isolate".parse().unwrap()),
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

fn budget(actions: &[&str], each: Each, approvers: Option<Approvers>) -> Budget {
    Budget {
        name: "isolations".into(),
        which: Which {
            actions: actions.iter().map(|text| (*text).to_owned()).collect(),
            ..Which::default()
        },
        limit: 20,
        window_ms: 3_600_000,
        each,
        approvers,
        why: String::new(),
    }
}

fn leads() -> Option<Approvers> {
    Some(Approvers {
        by: "leads".into(),
        quorum: 1,
        within_ms: 1,
    })
}

struct Case {
    policy: Policy,
    action: ActionSpec,
    restores: bool,
    already: bool,
}

impl Case {
    fn new(budgets: Vec<Budget>) -> Case {
        Case {
            policy: Policy {
                budgets,
                ..Policy::default()
            },
            action: contain(),
            restores: false,
            already: false,
        }
    }

    fn with<T>(
        &self,
        spent: &[Spent],
        consent: &dyn Fn(&Demand) -> Consent,
        what: impl FnOnce(&Weighing<'_>) -> T,
    ) -> T {
        let target = Target {
            instance: "edr-eu".into(),
            kind: EntityType::Host,
            id: "6f1a".into(),
            name: "web-07".into(),
            aliases: vec![],
        };
        what(&Weighing {
            policy: &self.policy,
            halt: Ok(None),
            action: &self.action,
            target: Some(&target),
            entity: None,
            restores: self.restores,
            already: self.already,
            own: None,
            spent,
            consent,
        })
    }

    fn scopes(&self) -> Vec<String> {
        let origin = Origin {
            playbook: "beacon",
            run: RunId::derive(&["r"]),
            instance: "edr-eu",
        };
        let places = self.with(&[], &|_| Consent::Unasked, |weighing| places(weighing, origin));
        places.into_iter().map(|place| place.scope).collect()
    }

    fn weigh_spent(&self, consent: &dyn Fn(&Demand) -> Consent) -> Verdict {
        let spent: Vec<Spent> = self
            .policy
            .budgets
            .iter()
            .map(|budget| Spent {
                budget: budget.clone(),
                used: 20,
                free_at: Some(Time(0)),
            })
            .collect();
        self.with(&spent, consent, evaluate)
    }
}

#[test]
fn a_budget_counts_what_it_names_and_nothing_else() {
    for (actions, counts) in [
        (&["crowdstrike::contain_host"][..], true),
        (&["endpoint::isolate"], true),
        (&["*::contain_host"], true),
        (&[], true),
        (&["okta::*"], false),
    ] {
        let scopes = Case::new(vec![budget(actions, Each::All, None)]).scopes();
        assert_eq!(!scopes.is_empty(), counts, "{actions:?}");
    }
}

#[test]
fn it_is_counted_for_each_of_what_it_says() {
    let run = RunId::derive(&["r"]).to_string();
    for (each, expected) in [
        (Each::All, "isolations/".to_owned()),
        (Each::Action, "isolations/crowdstrike::contain_host".to_owned()),
        (Each::Instance, "isolations/edr-eu".to_owned()),
        (Each::Playbook, "isolations/beacon".to_owned()),
        (Each::Run, format!("isolations/{run}")),
    ] {
        let scopes = Case::new(vec![budget(&[], each, None)]).scopes();
        assert_eq!(scopes, [expected], "{each:?}");
    }
    let scopes = Case::new(vec![budget(&[], Each::Target, None)]).scopes();
    assert!(
        scopes[0].starts_with("isolations/") && scopes[0].contains("6f1a"),
        "{scopes:?}"
    );
}

#[test]
fn reading_restoring_and_what_is_so_already_need_no_place() {
    let budgets = || vec![budget(&[], Each::All, None)];
    let mut reading = Case::new(budgets());
    reading.action.class = Class::Read;
    let mut restoring = Case::new(budgets());
    restoring.restores = true;
    let mut already = Case::new(budgets());
    already.already = true;
    for case in [reading, restoring, already] {
        assert!(case.scopes().is_empty());
    }
}

#[test]
fn a_spent_budget_refuses_and_says_when_a_place_is_free() {
    let verdict = Case::new(vec![budget(&[], Each::All, None)]).weigh_spent(&|_| Consent::Unasked);
    assert_eq!(verdict.decision, Decision::Deny);
    assert_eq!(
        verdict.why(),
        "budget: all 20 of `isolations` in 1h are used; the next is free at 1970-01-01T00:00:00.000Z"
    );
}

#[test]
fn a_spent_budget_with_approvers_waits_for_them() {
    let case = Case::new(vec![budget(&[], Each::Playbook, leads())]);
    let verdict = case.weigh_spent(&|_| Consent::Unasked);
    assert_eq!(verdict.decision, Decision::Hold);
    assert!(verdict.waits_for_people());
    let approval = ApprovalId::of_run(RunId::derive(&["r"]), &["1"]);
    let verdict = case.weigh_spent(&|demand| {
        assert_eq!(demand.approvers.by, "leads");
        assert!(demand.rule.contains("for each playbook"), "{}", demand.rule);
        Consent::Given(approval)
    });
    assert_eq!(verdict.decision, Decision::Allow);
    assert_eq!(verdict.approvals, [approval]);
    let verdict = case.weigh_spent(&|_| Consent::Refused("ben said no".into()));
    assert_eq!(verdict.decision, Decision::Deny);
}

#[test]
fn one_of_two_spent_budgets_is_enough_to_refuse() {
    let case = Case::new(vec![
        budget(&[], Each::All, leads()),
        budget(&["endpoint::isolate"], Each::All, None),
    ]);
    assert_eq!(case.scopes().len(), 2);
    let approval = ApprovalId::of_run(RunId::derive(&["r"]), &["1"]);
    assert_eq!(
        case.weigh_spent(&|_| Consent::Given(approval)).decision,
        Decision::Deny
    );
}
