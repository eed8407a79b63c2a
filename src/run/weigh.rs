//! Weighs an effect: what the guardrails say, what people said, and whether its budgets have a place for it. The places
//! are taken last and before the intent, under the effect's own name, so that a crash in between takes none twice.

use super::approve;
use super::consent::{self, Doing};
use super::context::HaltSwitch;
use super::prepare::Preparing;
use crate::action::{Fault, Outcome, Reading, Retry, Standing, Target};
use crate::guardrail::{self, Decision, Demand, Origin, Place, Spent, Verdict, Weighing};
use crate::id::Partition;
use crate::journal::Event;
use crate::store::{Error, Reserved};

/// Whether places in budgets are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// They are.
    Take,
    /// It is only looked whether there are some.
    Look,
}

impl Preparing<'_> {
    /// Weighs, takes the places that its budgets have for it, records the verdict, and asks people where that is what
    /// it waits for. Answers the budgets it draws on when it may go on.
    pub(super) async fn weigh(
        &self,
        target: Option<&Target>,
        prior: Option<(&Reading, Standing)>,
        taking: Taking,
        events: &mut Vec<Event>,
    ) -> Result<Option<Vec<String>>, Error> {
        let halt = self.context.halt.borrow().clone();
        let bound = &self.effect.bound;
        let origin = Origin {
            playbook: &self.state.header.playbook,
            run: self.state.header.run,
            instance: &bound.instance,
        };
        let (mut verdict, places) = self.weighed(target, prior, &halt, &[], |weighing, _| {
            (guardrail::evaluate(weighing), guardrail::places(weighing, origin))
        });
        let mut budgets = Vec::new();
        let mut spent = Vec::new();
        if verdict.decision == Decision::Allow {
            // Places are taken last, so that nothing that waits or is refused anyway uses one up.
            spent = self.reserve(&places, taking).await?;
            if !spent.is_empty() {
                verdict = self.weighed(target, prior, &halt, &spent, |weighing, _| {
                    guardrail::evaluate(weighing)
                });
                self.beyond(&places, &verdict, taking).await?;
            }
            budgets = places.into_iter().map(|place| place.scope).collect();
        }
        let mut asked = Vec::new();
        if verdict.waits_for_people() && verdict.approvals.is_empty() {
            let request = self.weighed(target, prior, &halt, &spent, |weighing, doing| {
                let demand = consent::unasked(weighing)?;
                Some(approve::about_effect(self.context, self.state, doing, &demand))
            });
            if let Some((approval, request)) = request {
                verdict.approvals.push(approval);
                asked = request;
            }
        }
        let id = bound.effect;
        let decision = verdict.decision;
        let why = verdict.why();
        events.push(Event::EffectWeighed { effect: id, verdict });
        events.extend(asked);
        if decision == Decision::Deny {
            let fault = Fault::new(
                "denied",
                format!("the guardrails refuse {}: {why}", self.effect.bound.spec.name),
            );
            events.push(self.ended(
                0,
                Outcome::NotDone {
                    fault,
                    retry: Retry::Never,
                },
                Vec::new(),
                0,
            ));
        }
        Ok((decision == Decision::Allow).then_some(budgets))
    }

    /// Everything that is weighed, for as long as `what` looks at it.
    fn weighed<T>(
        &self,
        target: Option<&Target>,
        prior: Option<(&Reading, Standing)>,
        halt: &HaltSwitch,
        spent: &[Spent],
        what: impl FnOnce(&Weighing<'_>, &Doing<'_>) -> T,
    ) -> T {
        let bound = &self.effect.bound;
        let policy = &self.context.policy;
        let doing = Doing {
            bound,
            target,
            prior: prior.map(|(reading, _)| reading),
            bundle: self.state.header.bundle,
        };
        let consent = |demand: &Demand| consent::consent(self.state, &policy.groups, &doing, demand);
        let weighing = Weighing {
            policy,
            halt: halt.as_ref().map(Option::as_ref).map_err(String::as_str),
            action: &bound.spec,
            target,
            entity: bound.entity.as_ref(),
            restores: bound.reverts.is_some(),
            already: prior.is_some_and(|(_, standing)| standing != Standing::Absent),
            own: consent::own(self.state, bound, target),
            spent,
            consent: &consent,
        };
        what(&weighing, &doing)
    }

    /// Takes places, or only looks whether they are free. Answers the budgets that have none.
    async fn reserve(&self, places: &[Place], taking: Taking) -> Result<Vec<Spent>, Error> {
        let now = self.context.clock.now();
        let member = self.effect.bound.effect.to_string();
        let store = &self.context.store;
        let mut spent = Vec::new();
        for Place { budget, scope } in places {
            let (partition, window_ms) = (Partition::of_text(scope), budget.window_ms);
            let (used, free_at) = match taking {
                Taking::Take => {
                    let reserved = store
                        .budget_reserve(partition, scope, &member, now, window_ms, budget.limit)
                        .await?;
                    crate::crash::point("prepare.after-budget");
                    match reserved {
                        Reserved::Granted => continue,
                        Reserved::Spent { used, free_at } => (used, Some(free_at)),
                    }
                }
                Taking::Look => match store.budget_used(partition, scope, now, window_ms).await? {
                    used if used < budget.limit => continue,
                    used => (used, None),
                },
            };
            spent.push(Spent {
                budget: budget.clone(),
                used,
                free_at,
            });
        }
        Ok(spent)
    }

    /// After a budget was found spent: what people let happen beyond it is counted all the same, and what does not
    /// happen now gives back what it took elsewhere.
    async fn beyond(&self, places: &[Place], verdict: &Verdict, taking: Taking) -> Result<(), Error> {
        if taking == Taking::Look {
            return Ok(());
        }
        let now = self.context.clock.now();
        let member = self.effect.bound.effect.to_string();
        let store = &self.context.store;
        for Place { budget, scope } in places {
            let partition = Partition::of_text(scope);
            if verdict.decision == Decision::Allow {
                store
                    .budget_reserve(partition, scope, &member, now, budget.window_ms, u32::MAX)
                    .await?;
            } else {
                store.budget_release(partition, scope, &member).await?;
            }
        }
        Ok(())
    }
}
