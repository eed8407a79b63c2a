//! What people said about an effect, read off the run's state. Pure: which grant fits, whether it is used up, what
//! is still to be asked, and what votes come to.

use crate::action::{Reading, Target};
use crate::approval::{Granted, Request, Tally, Vote, Voters, granted, tally};
use crate::clock::Time;
use crate::digest::Digest;
use crate::guardrail::{Approvers, Consent, Decision, Demand, Groups, Policy, Weighing};
use crate::id::{ApprovalId, EffectId};
use crate::journal::{ApprovalState, Bound, EffectState, Event, RunState};
use crate::limits::APPROVAL_AGAIN_MAX;

/// The word of playbooks that asks people.
pub const APPROVE: &str = "approve";

/// Code of the alarm where nobody is left who may decide.
pub const NO_APPROVER: &str = "no-approver";

/// Why an effect's own run demands an approval for it.
const OWN: &str = "the playbook asks people about this";

/// An effect as it is about to be done.
#[derive(Clone, Copy)]
pub struct Doing<'a> {
    /// The binding.
    pub bound: &'a Bound,
    /// The resolved target.
    pub target: Option<&'a Target>,
    /// The captured state, where one is read.
    pub prior: Option<&'a Reading>,
    /// The run's bundle.
    pub bundle: Digest,
}

impl Doing<'_> {
    /// What a grant of exactly this has as its digest.
    pub fn digest(&self) -> Digest {
        granted(&Granted {
            action: &self.bound.spec.name,
            instance: &self.bound.instance,
            target: self.target,
            args: &self.bound.args,
            lease_ms: self.bound.lease_ms,
            bundle: self.bundle,
            prior: self
                .prior
                .map(|reading| reading.state.as_str())
                .filter(|state| !state.is_empty()),
        })
    }
}

/// The target as it was named; empty for an action without one.
pub fn named(bound: &Bound) -> String {
    bound
        .entity
        .as_ref()
        .map(|entity| entity.label())
        .unwrap_or_default()
}

/// The approval that a run demands for an effect because it asked people about it: by the terms it asked under.
/// What the effect is done to may have changed since, so it is known by its name too.
pub fn own(state: &RunState, bound: &Bound, target: Option<&Target>) -> Option<Demand> {
    let key = target.map(Target::key);
    let about = |approval: &&ApprovalState| {
        approval.effect.is_none()
            && approval.request.covers.iter().any(|cover| {
                cover.action == bound.spec.name
                    && cover.instance == bound.instance
                    && (cover.named == named(bound) || cover.target.as_ref().map(Target::key) == key)
            })
    };
    let approval = state.approvals_in_order().rev().find(about)?;
    Some(Demand {
        rule: OWN.to_owned(),
        approvers: Approvers {
            by: approval.request.by.clone(),
            quorum: approval.request.quorum,
            within_ms: approval.request.until.since_ms(approval.at),
        },
    })
}

/// What people said to a demand about exactly this.
pub fn consent(state: &RunState, groups: &Groups, doing: &Doing<'_>, demand: &Demand) -> Consent {
    let Some(members) = groups.members(&demand.approvers.by) else {
        return Consent::Refused(unknown_group(groups, &demand.approvers.by));
    };
    let digest = doing.digest();
    let covers = |approval: &ApprovalState| {
        let covers = approval.request.covers.iter();
        covers.filter(|cover| cover.digest == digest).count()
    };
    for approval in state.approvals_in_order().rev() {
        let places = covers(approval);
        if places == 0 {
            continue;
        }
        let id = approval.request.approval;
        match &approval.decided {
            None if approval.request.by == demand.approvers.by
                && approval.request.quorum >= demand.approvers.quorum =>
            {
                return Consent::Awaited(id);
            }
            None => {}
            Some((_, decided)) if decided.granted => {
                let agreed = decided.by.iter().filter(|name| members.contains(*name)).count();
                if agreed >= demand.approvers.quorum && uses(state, id, doing.bound, doing.target) < places {
                    return Consent::Given(id);
                }
            }
            Some((_, decided)) => return Consent::Refused(decided.why.clone()),
        }
    }
    let times = asked(state, doing.bound.effect, demand);
    if times > APPROVAL_AGAIN_MAX {
        return Consent::Refused(format!(
            "it was different each of the {times} times that people had decided about it"
        ));
    }
    Consent::Unasked
}

/// How often people were asked about this effect because of this demand.
pub fn asked(state: &RunState, effect: EffectId, demand: &Demand) -> usize {
    let by_rule = state
        .approvals
        .values()
        .filter(|one| one.effect == Some(effect) && one.request.rule.as_deref() == Some(demand.rule.as_str()))
        .count();
    by_rule + usize::from(demand.rule == OWN)
}

/// Places of a grant that other effects have taken: a grant is for one doing.
fn uses(state: &RunState, approval: ApprovalId, bound: &Bound, target: Option<&Target>) -> usize {
    let key = target.map(Target::key);
    state
        .effects
        .values()
        .filter(|other| {
            let rests = other.verdict.as_ref().is_some_and(|(_, verdict)| {
                verdict.decision == Decision::Allow && verdict.approvals.contains(&approval)
            });
            rests
                && other.bound.effect != bound.effect
                && other.bound.spec.name == bound.spec.name
                && other.bound.instance == bound.instance
                && other.bound.args == bound.args
                && other.bound.lease_ms == bound.lease_ms
                && other.target.as_ref().map(Target::key) == key
        })
        .count()
}

/// True when these events, found by a task that began a while ago, rest on a grant that has been used meanwhile.
pub fn is_used_meanwhile(state: &RunState, events: &[Event]) -> bool {
    events.iter().any(|event| {
        let Event::EffectWeighed { effect, verdict } = event else {
            return false;
        };
        let Some(effect) = state
            .effects
            .get(effect)
            .filter(|_| verdict.decision == Decision::Allow)
        else {
            return false;
        };
        verdict.approvals.iter().any(|id| {
            let places = state.approvals.get(id).map_or(0, |approval| {
                let same = |cover: &&crate::approval::Cover| {
                    cover.action == effect.bound.spec.name
                        && cover.instance == effect.bound.instance
                        && cover.args == effect.bound.args
                        && cover.lease_ms == effect.bound.lease_ms
                        && cover.target.as_ref().map(Target::key) == effect.target.as_ref().map(Target::key)
                };
                approval.request.covers.iter().filter(same).count()
            });
            uses(state, *id, &effect.bound, effect.target.as_ref()) >= places
        })
    })
}

/// What is to be said where a name in `by` means nobody.
pub fn unknown_group(groups: &Groups, by: &str) -> String {
    let hint = crate::diagnostic::nearest(by, groups.names())
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    format!("`{by}` is neither a group of `[groups]` nor a member of one{hint}")
}

/// Those who are named as deciding a request, as the groups are now.
fn with_voters<T>(groups: &Groups, request: &Request, then: impl FnOnce(&Voters<'_>) -> T) -> T {
    let members = groups.members(&request.by).unwrap_or_default();
    then(&Voters {
        members: &members,
        requester: request.requester.as_deref(),
        author: &request.author,
    })
}

/// Whether a principal may decide a request now.
///
/// # Errors
/// Why not.
pub fn may(groups: &Groups, request: &Request, principal: &str) -> Result<(), crate::approval::Refusal> {
    with_voters(groups, request, |voters| voters.may(principal))
}

/// True when those who may decide a request are too few, whatever they say.
pub fn is_nobody_left(groups: &Groups, request: &Request) -> bool {
    let nobody = |voters: &Voters<'_>| crate::approval::missing(voters, &request.by, request.quorum);
    with_voters(groups, request, nobody).is_some()
}

/// What the votes in the store come to: each that counts, in their order, and the decision that ends it. The first
/// decision stands; what comes after it is left.
pub fn count(state: &RunState, policy: &Policy, votes: &[(ApprovalId, Vote)]) -> Vec<Event> {
    let mut events = Vec::new();
    for approval in state.approvals_in_order().filter(|approval| approval.is_open()) {
        let request = &approval.request;
        let mut counted = approval.votes.clone();
        let mut is_decided = false;
        let ours = votes.iter().filter(|(id, _)| *id == request.approval);
        for (_, vote) in ours {
            let there = |known: &Vote| known.principal == vote.principal && known.approve == vote.approve;
            let fits = vote.digest == request.digest
                && vote.at < request.until
                && may(&policy.groups, request, &vote.principal).is_ok();
            if !fits || counted.iter().any(there) {
                continue;
            }
            counted.push(vote.clone());
            events.push(Event::ApprovalVoted {
                approval: request.approval,
                vote: vote.clone(),
            });
            let stands = with_voters(&policy.groups, request, |voters| {
                tally(&counted, voters, request.quorum)
            });
            if let Tally::Decided(decided) = stands {
                events.push(Event::ApprovalDecided {
                    approval: request.approval,
                    decided,
                });
                is_decided = true;
                break;
            }
        }
        // Those who may decide can have become too few since it was asked: said now, and not when its time is over.
        let nobody = with_voters(&policy.groups, request, |voters| {
            crate::approval::missing(voters, &request.by, request.quorum)
        });
        if let Some(why) = nobody.filter(|_| !is_decided) {
            events.push(Event::Alarmed {
                code: NO_APPROVER.into(),
                message: format!("\"{}\": {why}", request.ask),
                effect: approval.effect,
            });
            events.push(denied(approval, why));
        }
    }
    events
}

/// Without the votes and decisions about requests that were decided while a task looked.
pub fn still_open(state: &RunState, mut events: Vec<Event>) -> Vec<Event> {
    events.retain(|event| match event {
        Event::ApprovalVoted { approval, .. } | Event::ApprovalDecided { approval, .. } => state
            .approvals
            .get(approval)
            .is_none_or(|approval| approval.is_open()),
        _ => true,
    });
    events
}

/// The denial of a request whose time is over.
pub fn expired(approval: &ApprovalState) -> Event {
    let request = &approval.request;
    let agreed: Vec<&str> = approval
        .votes
        .iter()
        .map(|vote| vote.principal.as_str())
        .collect();
    let why = if agreed.is_empty() {
        format!("nobody of `{}` answered before {}", request.by, request.until)
    } else {
        format!(
            "only {} of {} approved it before {}: {}",
            agreed.len(),
            request.quorum,
            request.until,
            agreed.join(", ")
        )
    };
    denied(approval, why)
}

/// A denial by nobody in particular.
pub fn denied(approval: &ApprovalState, why: impl Into<String>) -> Event {
    Event::ApprovalDecided {
        approval: approval.request.approval,
        decided: crate::approval::Decided {
            granted: false,
            by: Vec::new(),
            why: why.into(),
        },
    }
}

/// The end of every request that is still open when its run goes no further.
pub fn closing(state: &RunState, why: &str) -> Vec<Event> {
    state
        .approvals_in_order()
        .filter(|approval| approval.is_open())
        .map(|approval| denied(approval, why))
        .collect()
}

/// True while an effect waits for people, and for nothing else.
pub fn is_awaited(state: &RunState, effect: &EffectState) -> bool {
    effect.verdict.as_ref().is_some_and(|(_, verdict)| {
        let open = |id: &ApprovalId| state.approvals.get(id).is_some_and(ApprovalState::is_open);
        verdict.waits_for_people() && verdict.approvals.iter().any(open)
    })
}

/// The first demand nobody was asked about yet.
pub fn unasked(weighing: &Weighing<'_>) -> Option<Demand> {
    crate::guardrail::demands(weighing)
        .into_iter()
        .find(|demand| (weighing.consent)(demand) == Consent::Unasked)
}

/// When a request that is asked now ends: within its time, and not later than its run.
pub fn until(state: &RunState, now: Time, within_ms: u64) -> Time {
    now.plus_ms(within_ms).min(state.header.deadline)
}
