//! Asking people: `approve` of a playbook, and the request that a guardrail makes for an effect it holds. Looks
//! at every covered target first, so that people see, and grant, exactly what would be done. Decides nothing.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::bind;
use super::compensate;
use super::consent::{self, Doing, NO_APPROVER};
use super::context::Context;
use super::vendors::Binding;
use crate::action::{Fault, Reading, Retry, Standing, Target};
use crate::approval::{Cover, Covered, Request, Terms, Voters, Wanted, missing, of_request};
use crate::clock::{Time, duration_text};
use crate::connector::Looked;
use crate::digest::Digest;
use crate::guardrail::{self, Consent, Decision, Demand, Weighing};
use crate::id::ApprovalId;
use crate::journal::{Answered, ApprovalState, Bound, Event, RunState, ScriptEnd};
use crate::limits::{
    APPROVAL_ASK_CHARS_MAX, APPROVAL_COVERS_MAX, APPROVAL_MS, ATTEMPTS_MAX, BACKOFF_FIRST_MS, ENTRY_BYTES_MAX,
};
use crate::playbook::Loaded;
use crate::script::StepId;

/// Targets looked at at once for one request.
const LOOKS_AT_ONCE: usize = 8;
/// Longest pause between looks at one target, ms.
const LOOK_PAUSE_MS_MAX: u64 = 5_000;

/// Puts the question of a step to people. A fault becomes the step's answer.
pub async fn ask(context: &Context, loaded: &Loaded, state: &RunState, step: &StepId) -> Vec<Event> {
    let Some(asked) = state.steps.get(step) else {
        return Vec::new();
    };
    let answered = |result| {
        vec![Event::StepAnswered {
            step: step.clone(),
            result,
        }]
    };
    match asking(context, loaded, state, step, &asked.args).await {
        Ok(Some(events)) => events,
        Ok(None) => {
            let why = "there was nothing to approve";
            let now = context.clock.now();
            answered(Answered::Value(answer(false, &[], why, now)))
        }
        Err(fault) => answered(Answered::Fault(fault)),
    }
}

/// What a script gets for a decided request.
pub fn answer_of(approval: &ApprovalState) -> Option<Value> {
    let (at, decided) = approval.decided.as_ref()?;
    Some(answer(decided.granted, &decided.by, &decided.why, *at))
}

fn answer(granted: bool, by: &[String], why: &str, at: Time) -> Value {
    json!({ "granted": granted, "by": by, "why": why, "at": at.to_string() })
}

async fn asking(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    step: &StepId,
    args: &[Value],
) -> Result<Option<Vec<Event>>, Fault> {
    let bad = |why: String| Fault::new("bad-argument", why);
    let Wanted { ask, covers, terms } = Wanted::read(args).map_err(|error| bad(error.to_string()))?;
    let groups = &context.policy.groups;
    // A group that is not configured has nobody who may decide, which denies at once and raises an alarm: what was
    // done before the question stays done, and the playbook goes on with a no.
    if let Some(members) = groups.members(&terms.by)
        && members.len() < terms.quorum
    {
        return Err(bad(format!(
            "{} of `{}` cannot agree: it has {}",
            terms.quorum,
            terms.by,
            members.len()
        )));
    }
    let covers = match covers {
        None => Vec::new(),
        Some(covers) if covers.is_empty() => return Ok(None),
        Some(covers) => looked_at(context, loaded, state, step, &covers).await?,
    };
    let approval = ApprovalId::of_run(state.header.run, &["step".to_owned(), step.to_string()]);
    let asking = Asking {
        context,
        state,
        approval,
        ask,
        covers,
        terms,
        rule: None,
        again: 0,
    };
    let request = asking.request();
    let bytes = serde_json::to_vec(&request).map_or(usize::MAX, |bytes| bytes.len());
    if bytes > ENTRY_BYTES_MAX / 2 {
        return Err(Fault::new(
            "limit",
            format!("what is to be approved has {bytes} bytes, more than anybody reads: ask in parts"),
        ));
    }
    Ok(Some(asking.events(step, None, request)))
}

/// Every effect that is to be covered, with its target found and read.
async fn looked_at(
    context: &Context,
    loaded: &Loaded,
    state: &RunState,
    step: &StepId,
    covers: &[Covered],
) -> Result<Vec<Cover>, Fault> {
    let mut bounds = Vec::new();
    for covered in covers {
        let args = [covered.target.clone(), Value::Object(covered.args.clone())];
        let name = covered.action.to_string();
        for bound in bind::bound(context, loaded, state.header.run, step, &name, &args)? {
            if !bound.spec.changes() {
                let message = format!("{name} only reads, so there is nothing to approve");
                return Err(Fault::new("bad-argument", message));
            }
            bounds.push(bound);
        }
    }
    if bounds.len() > APPROVAL_COVERS_MAX {
        let message = format!(
            "`covers` comes to {} effects, and one approval covers at most {APPROVAL_COVERS_MAX}: ask in parts",
            bounds.len()
        );
        return Err(Fault::new("bad-argument", message));
    }
    let bundle = state.header.bundle;
    stream::iter(
        bounds
            .into_iter()
            .map(|bound| look(context, loaded, bundle, bound)),
    )
    .buffered(LOOKS_AT_ONCE)
    .try_collect()
    .await
}

/// Finds and reads the target of one effect, as preparing it will.
async fn look(context: &Context, loaded: &Loaded, bundle: Digest, bound: Bound) -> Result<Cover, Fault> {
    let binding = Binding {
        instance: bound.instance.clone(),
        spec: bound.spec.clone(),
    };
    let mut target = None;
    let mut prior = None;
    if !bound.spec.targets.is_empty() {
        let Some(entity) = &bound.entity else {
            return Err(Fault::new(
                "bad-target",
                format!("{} was given no target", bound.spec.name),
            ));
        };
        let found = patiently(context, || context.vendors.resolve(loaded, &binding, entity)).await?;
        let function = bound.spec.capture.as_deref();
        let function = function.or(bound.spec.verify.as_ref().map(|verify| verify.read.as_str()));
        if let Some(function) = function {
            let read = || {
                context
                    .vendors
                    .read(loaded, &binding, function, &found, &bound.args)
            };
            prior = Some(patiently(context, read).await?);
        }
        target = Some(found);
    }
    not_denied(context, &bound, target.as_ref())?;
    Ok(cover(&Doing {
        bound: &bound,
        target: target.as_ref(),
        prior: prior.as_ref(),
        bundle,
    }))
}

/// A look is tried again while the vendor is busy: nothing is changed by it. Bounded, with growing pauses.
async fn patiently<T, F, R>(context: &Context, look: F) -> Result<T, Fault>
where
    F: Fn() -> R,
    R: Future<Output = Looked<T>>,
{
    let mut pause_ms = BACKOFF_FIRST_MS;
    let mut tries = 1;
    loop {
        match look().await.result {
            Ok(found) => return Ok(found),
            Err((fault, Retry::Never)) => return Err(fault),
            Err((fault, _)) if tries >= ATTEMPTS_MAX => return Err(fault),
            // A vendor that wants longer is told to the script: a worker that is to stop waits for this task.
            Err((fault, Retry::AfterMs(ms))) if ms > LOOK_PAUSE_MS_MAX => return Err(fault),
            Err((_, Retry::AfterMs(ms))) => {
                context.pause_ms(ms.max(pause_ms)).await;
            }
            Err((_, Retry::Backoff)) => context.pause_ms(pause_ms).await,
        }
        tries += 1;
        pause_ms = pause_ms.saturating_mul(2).min(LOOK_PAUSE_MS_MAX);
    }
}

/// Nobody is asked about what the guardrails refuse whatever people say.
fn not_denied(context: &Context, bound: &Bound, target: Option<&Target>) -> Result<(), Fault> {
    let verdict = guardrail::evaluate(&Weighing {
        policy: &context.policy,
        // What is halted now may be resumed by the time it is granted.
        halt: Ok(None),
        action: &bound.spec,
        target,
        entity: bound.entity.as_ref(),
        restores: false,
        already: false,
        own: None,
        // Places are asked for when it is done, which may be days from now.
        spent: &[],
        consent: &|_| Consent::Unasked,
    });
    if verdict.decision == Decision::Deny {
        let message = format!("the guardrails refuse {}: {}", bound.spec.name, verdict.why());
        return Err(Fault::new("denied", message));
    }
    Ok(())
}

/// An effect as people see it.
fn cover(doing: &Doing<'_>) -> Cover {
    let bound = doing.bound;
    let spec = &bound.spec;
    let on = match doing.target {
        Some(target) => format!(" on {}", target.label()),
        None => String::new(),
    };
    let lease = match bound.lease_ms {
        Some(ms) => format!(" for {}", duration_text(ms)),
        None => String::new(),
    };
    let already = match (doing.prior, &spec.verify) {
        (Some(reading), Some(verify)) => verify.judge(reading) != Standing::Absent,
        _ => false,
    };
    let undo = match &spec.undo {
        Some(_) if already => "nothing to undo: it is so already".to_owned(),
        Some(undo) => format!("undone by {}", undo.action),
        None => "CANNOT be undone".to_owned(),
    };
    Cover {
        action: spec.name.clone(),
        instance: bound.instance.clone(),
        named: consent::named(bound),
        target: doing.target.cloned(),
        label: format!("{}{on}{lease} by `{}`", spec.name, bound.instance),
        args: bound.args.clone(),
        lease_ms: bound.lease_ms,
        prior: doing.prior.map(|reading: &Reading| reading.state.clone()),
        undo,
        digest: doing.digest(),
    }
}

/// A request to be made.
struct Asking<'a> {
    context: &'a Context,
    state: &'a RunState,
    approval: ApprovalId,
    ask: String,
    covers: Vec<Cover>,
    terms: Terms,
    rule: Option<String>,
    again: usize,
}

impl Asking<'_> {
    fn request(&self) -> Request {
        let header = &self.state.header;
        let members = self
            .context
            .policy
            .groups
            .members(&self.terms.by)
            .unwrap_or_default();
        let requester = header.requester().map(str::to_owned);
        let voters = Voters {
            members: &members,
            requester: requester.as_deref(),
            author: &header.author,
        };
        let mut request = Request {
            approval: self.approval,
            run: header.run,
            title: header.title.clone(),
            subject: header.subject.clone(),
            ask: self.ask.clone(),
            covers: self.covers.clone(),
            by: self.terms.by.clone(),
            quorum: self.terms.quorum,
            until: consent::until(self.state, self.context.clock.now(), self.terms.within_ms),
            may_decide: voters.eligible(),
            requester: requester.clone(),
            author: header.author.clone(),
            rule: self.rule.clone(),
            again: self.again,
            digest: Digest::ZERO,
        };
        request.digest = of_request(&request);
        request
    }

    /// The request; and its denial at once, with an alarm, where nobody may decide it.
    fn events(&self, step: &StepId, bound: Option<&Bound>, request: Request) -> Vec<Event> {
        let members = self
            .context
            .policy
            .groups
            .members(&request.by)
            .unwrap_or_default();
        let voters = Voters {
            members: &members,
            requester: request.requester.as_deref(),
            author: &request.author,
        };
        let nobody = missing(&voters, &request.by, request.quorum);
        let effect = bound.map(|bound| bound.effect);
        let mut events = vec![Event::ApprovalRequested {
            step: step.clone(),
            effect,
            request: Box::new(request),
        }];
        if let Some(why) = nobody {
            events.push(Event::Alarmed {
                code: NO_APPROVER.into(),
                message: format!("\"{}\": {why}", self.ask),
                effect,
            });
            events.push(Event::ApprovalDecided {
                approval: self.approval,
                decided: crate::approval::Decided {
                    granted: false,
                    by: Vec::new(),
                    why,
                },
            });
        }
        events
    }
}

/// Asks people about one effect that a demand holds; answers the request's id and events.
pub fn about_effect(
    context: &Context,
    state: &RunState,
    doing: &Doing<'_>,
    demand: &Demand,
) -> (ApprovalId, Vec<Event>) {
    let bound = doing.bound;
    let before = consent::asked(state, bound.effect, demand);
    let parts = [
        "effect".to_owned(),
        bound.effect.to_string(),
        demand.rule.clone(),
        before.to_string(),
    ];
    let approval = ApprovalId::of_run(state.header.run, &parts);
    let cover = cover(doing);
    let asking = Asking {
        context,
        state,
        approval,
        ask: if before == 0 {
            format!("May {} happen?", cover.label)
        } else {
            format!(
                "It has changed since it was asked. May {} happen as it is now?",
                cover.label
            )
        },
        covers: vec![cover],
        terms: Terms {
            by: demand.approvers.by.clone(),
            quorum: demand.approvers.quorum,
            within_ms: demand.approvers.within_ms,
        },
        rule: Some(demand.rule.clone()),
        again: before,
    };
    let request = asking.request();
    (approval, asking.events(&bound.step, Some(bound), request))
}

/// Asks people whether a run that failed is rolled back. It is a question: a yes grants no effect but the undoing, which
/// needs no grant; without a yes what was done stays.
pub fn ask_whether_to_undo(context: &Context, state: &RunState) -> Vec<Event> {
    let undone: Vec<String> = compensate::to_undo(state).map(compensate::label).collect();
    // Without an effect there is no step, and nothing to ask.
    let Some(effect) = compensate::to_undo(state).next() else {
        return Vec::new();
    };
    let terms = match &state.header.ask {
        Some(ask) => Terms {
            by: ask.by.clone(),
            quorum: ask.quorum,
            within_ms: ask.within_ms,
        },
        // `check` asks for it; a run begun without it has nobody who may decide, and keeps what it did.
        None => Terms {
            by: String::new(),
            quorum: 1,
            within_ms: APPROVAL_MS,
        },
    };
    let failed = match &state.script {
        Some(ScriptEnd::Failed(fault, line, _)) if *line > 0 => format!(" at line {line} ({fault})"),
        Some(ScriptEnd::Failed(fault, ..)) => format!(" ({fault})"),
        _ => String::new(),
    };
    let mut ask = format!(
        "The playbook failed{failed}. Undo the {} effect(s) it has made: {}? Without a yes they stay.",
        undone.len(),
        compensate::named(&undone)
    );
    if let Some((cut, _)) = ask.char_indices().nth(APPROVAL_ASK_CHARS_MAX) {
        ask.truncate(cut);
    }
    let within_ms = terms.within_ms;
    let asking = Asking {
        context,
        state,
        approval: compensate::question_id(state.header.run),
        ask,
        covers: Vec::new(),
        terms,
        rule: None,
        again: 0,
    };
    let mut request = asking.request();
    // The run may have failed at its deadline; people have their time all the same.
    request.until = context.clock.now().plus_ms(within_ms);
    request.digest = of_request(&request);
    asking.events(&effect.bound.step, None, request)
}
