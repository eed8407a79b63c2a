//! The same operations, done by a store.

use std::sync::Arc;

use cordon::clock::Time;
use cordon::journal::ChainId;
use cordon::store::{ApprovalQuery, Claim, NoticeQuery, RunQuery, RunUpdate, Store};

use super::answers::told;
use super::op::{Bill, Deed, Look, Op, Says};
use super::things::{self, FACETS, name, place};

/// A store under test.
pub type Any = Arc<dyn Store>;

fn update(says: &Says) -> RunUpdate {
    RunUpdate {
        status: says.status,
        end: says.end,
        wake_at: says.wake.map(Time),
        waits_for: name(says.waits_for),
        release: says.release,
        approvals: says.grants.iter().map(things::approval_row).collect(),
    }
}

fn claim(run: usize, epoch: u64) -> Claim {
    Claim {
        run: things::run(run),
        epoch,
        until: Time(0),
    }
}

fn all(bills: &[Bill]) -> Vec<cordon::store::Notice> {
    bills.iter().map(things::notice).collect()
}

/// Does an operation; the answer as text.
pub async fn perform(store: &Any, op: &Op) -> String {
    let at = |n: usize| if op.astray { place(n + 1) } else { place(n) };
    let time = |at: &i64| Time(*at);
    // Every store's clock is between the two.
    let before = Time(if op.late { 0 } else { i64::MAX });
    match &op.deed {
        Deed::Accept { alert, at: moment } => {
            told(store.accept(at(*alert), things::new_alert(*alert, *moment)).await)
        }
        Deed::Dispose {
            alert,
            len,
            entries,
            to,
        } => {
            let id = things::alert(*alert);
            let entries = things::entries(ChainId::Alert(id), entries);
            told(store.dispose(at(*alert), id, *len, entries, *to).await)
        }
        Deed::ClaimOnce {
            key,
            owner,
            now,
            until,
        } => {
            let owner = name(*owner);
            let claim = store.claim_once(at(*key), things::key(*key), &owner, time(now), time(until));
            told(claim.await)
        }
        Deed::CreateRun {
            run,
            at: moment,
            wake,
        } => told(
            store
                .create_run(at(*run), things::new_run(*run, *moment, *wake))
                .await,
        ),
        Deed::ClaimDue {
            place: n,
            worker,
            now,
            until,
            limit,
        } => told(
            store
                .claim_due(place(*n), &name(*worker), time(now), time(until), *limit)
                .await,
        ),
        Deed::ClaimRun {
            run,
            worker,
            now,
            until,
        } => {
            let worker = name(*worker);
            let claim = store.claim_run(at(*run), things::run(*run), &worker, time(now), time(until));
            told(claim.await)
        }
        Deed::Renew { run, epoch, until } => {
            told(store.renew(at(*run), &claim(*run, *epoch), time(until)).await)
        }
        Deed::Append {
            run,
            epoch,
            len,
            now,
            entries,
            says,
        } => {
            let entries = things::entries(ChainId::Run(things::run(*run)), entries);
            let claim = claim(*run, *epoch);
            told(
                store
                    .append(at(*run), &claim, *len, time(now), entries, update(says))
                    .await,
            )
        }
        Deed::Wake { run, at: moment } => told(store.wake(at(*run), things::run(*run), time(moment)).await),
        Deed::ReleaseWorker { place: n, worker } => {
            told(store.release_worker(place(*n), &name(*worker)).await)
        }
        Deed::PutVote {
            approval,
            principal,
            approve,
            at: moment,
        } => {
            let vote = things::vote(*principal, *approve, *moment);
            told(
                store
                    .put_vote(at(*approval), things::approval(*approval), vote)
                    .await,
            )
        }
        Deed::Lock { target, effect } => {
            let (key, run) = (things::target(*target).key(), things::run(*effect));
            told(
                store
                    .lock(at(*target), before, &key, things::effect(*effect), run, Time(1))
                    .await,
            )
        }
        Deed::Unlock { target, effect } => {
            let key = things::target(*target).key();
            told(
                store
                    .unlock(at(*target), before, &key, things::effect(*effect))
                    .await,
            )
        }
        Deed::NoteChange { target, at: moment } => {
            let key = things::target(*target).key();
            told(store.note_change(at(*target), before, &key, time(moment)).await)
        }
        Deed::HoldTake {
            target,
            facet,
            effect,
            at: moment,
            until,
        } => {
            let hold = things::new_hold(*target, *facet, *effect, *moment, *until);
            told(store.hold_take(at(*target), before, hold).await)
        }
        Deed::HoldEnd {
            target,
            facet,
            effect,
        } => {
            let key = things::target(*target).key();
            told(
                store
                    .hold_end(at(*target), before, &key, FACETS[*facet], things::effect(*effect))
                    .await,
            )
        }
        Deed::HoldDrop {
            target,
            facet,
            effect,
        } => {
            let key = things::target(*target).key();
            told(
                store
                    .hold_drop(at(*target), before, &key, FACETS[*facet], things::effect(*effect))
                    .await,
            )
        }
        Deed::HoldGiveUp {
            target,
            facet,
            effect,
            at: moment,
        } => {
            let (key, effect) = (things::target(*target).key(), things::effect(*effect));
            told(
                store
                    .hold_give_up(at(*target), before, &key, FACETS[*facet], effect, time(moment))
                    .await,
            )
        }
        Deed::HoldUntil {
            target,
            facet,
            effect,
            until,
            tries,
        } => {
            let (key, effect) = (things::target(*target).key(), things::effect(*effect));
            let until = until.map(Time);
            told(
                store
                    .hold_until(at(*target), before, &key, FACETS[*facet], effect, until, *tries)
                    .await,
            )
        }
        Deed::HoldSeen {
            target,
            facet,
            effect,
            seen,
        } => {
            let (key, effect) = (things::target(*target).key(), things::effect(*effect));
            told(
                store
                    .hold_seen(at(*target), before, &key, FACETS[*facet], effect, *seen)
                    .await,
            )
        }
        Deed::Reserve {
            scope,
            member,
            now,
            limit,
        } => {
            let (budget, member) = (things::scope(*scope), name(*member));
            let window_ms = things::WINDOW_MS;
            told(
                store
                    .budget_reserve(at(*scope), &budget, &member, time(now), window_ms, *limit)
                    .await,
            )
        }
        Deed::Return { scope, member } => {
            let (budget, member) = (things::scope(*scope), name(*member));
            told(store.budget_release(at(*scope), &budget, &member).await)
        }
        Deed::SetCursor {
            place: n,
            follower,
            position,
        } => told(store.set_cursor(place(*n), &name(*follower), *position).await),
        Deed::ClaimFollower {
            place: n,
            follower,
            holder,
            now,
            until,
        } => {
            let (follower, holder) = (name(*follower), name(*holder));
            told(
                store
                    .claim_follower(place(*n), &follower, &holder, time(now), time(until))
                    .await,
            )
        }
        Deed::ReleaseFollower {
            place: n,
            follower,
            holder,
        } => told(
            store
                .release_follower(place(*n), &name(*follower), &name(*holder))
                .await,
        ),
        Deed::PutNotices { place: n, notices } => told(store.put_notices(place(*n), all(notices)).await),
        Deed::SaveNotices {
            place: n,
            follower,
            holder,
            notices,
        } => {
            let (follower, holder) = (name(*follower), name(*holder));
            told(
                store
                    .save_notices(place(*n), &follower, &holder, all(notices))
                    .await,
            )
        }
        Deed::ForgetNotices { place: n, before } => {
            told(store.forget_notices(place(*n), time(before), 1_000).await)
        }
        Deed::SetHalt(halt) => told(store.set_halt(halt.map(things::halt)).await),
        Deed::PutPrincipal { name, version } => {
            told(store.put_principal(things::principal(*name, *version)).await)
        }
        Deed::PutBundle { bundle, version } => told(
            store
                .put_bundle(things::bundle_digest(*bundle), vec![*version, 0])
                .await,
        ),
        Deed::PutSecret { handle, version } => told(
            store
                .put_secret(&things::handle(*handle), vec![*version, 0])
                .await,
        ),
        Deed::Look(one) => look(store, one, op.astray).await,
    }
}

async fn look(store: &Any, look: &Look, astray: bool) -> String {
    let at = |n: usize| if astray { place(n + 1) } else { place(n) };
    match look {
        Look::Unprocessed { place: n, limit } => told(store.unprocessed(place(*n), *limit).await),
        Look::Alert { alert } => told(store.alert(at(*alert), things::alert(*alert)).await),
        Look::Alerts {
            place: n,
            before,
            disposition,
            limit,
        } => told(
            store
                .alerts(place(*n), before.map(Time), *disposition, *limit)
                .await,
        ),
        Look::Journal { alert, run, from } => {
            let (n, chain) = match alert {
                Some(n) => (*n, ChainId::Alert(things::alert(*n))),
                None => (*run, ChainId::Run(things::run(*run))),
            };
            told(store.journal(at(n), chain, *from).await)
        }
        Look::Run { run } => told(store.run(at(*run), things::run(*run)).await),
        Look::Runs {
            place: n,
            status,
            playbook,
            before,
            limit,
        } => {
            let query = RunQuery {
                status: *status,
                playbook: playbook.map(|n| format!("playbook {n}")),
                before: before.map(Time),
                limit: *limit,
            };
            told(store.runs(place(*n), &query).await)
        }
        Look::NextWake { place: n } => told(store.next_wake(place(*n)).await),
        Look::Votes { run } => told(store.votes(at(*run), things::run(*run)).await),
        Look::Approval { approval } => told(store.approval(at(*approval), things::approval(*approval)).await),
        Look::Approvals {
            place: n,
            open,
            before,
            limit,
        } => {
            let query = ApprovalQuery {
                open: *open,
                before: before.map(Time),
                limit: *limit,
            };
            told(store.approvals(place(*n), query).await)
        }
        Look::ChangedAt { target } => told(
            store
                .changed_at(at(*target), &things::target(*target).key())
                .await,
        ),
        Look::Locks { place: n } => told(store.locks(place(*n)).await),
        Look::Hold { target, facet } => {
            let key = things::target(*target).key();
            told(store.hold(at(*target), &key, FACETS[*facet]).await)
        }
        Look::TakenBy { place: n, run } => told(store.taken_by(place(*n), things::run(*run)).await),
        Look::Used { scope, now } => {
            let used = (things::scope(*scope), Time(*now));
            told(
                store
                    .budget_used(at(*scope), &used.0, used.1, things::WINDOW_MS)
                    .await,
            )
        }
        Look::Holds { place: n } => told(store.holds(place(*n)).await),
        Look::DueHolders { place: n, now, limit } => {
            told(store.due_holders(place(*n), Time(*now), *limit).await)
        }
        Look::NextLeaseEnd { place: n } => told(store.next_lease_end(place(*n)).await),
        Look::Feed {
            place: n,
            after,
            limit,
        } => told(store.feed(place(*n), *after, *limit).await),
        Look::Cursor { place: n, follower } => told(store.cursor(place(*n), &name(*follower)).await),
        Look::Counts { place: n, now } => told(store.counts(place(*n), Time(*now)).await),
        Look::DueNotices { place: n, now, limit } => {
            told(store.due_notices(place(*n), Time(*now), *limit).await)
        }
        Look::LeadingNotice { group } => told(store.leading_notice(at(*group), things::key(*group)).await),
        Look::Notice { place: n, notice } => {
            told(store.notice(place(*n), &things::notice_key(*notice)).await)
        }
        Look::Notices {
            place: n,
            state,
            before,
            limit,
        } => {
            let query = NoticeQuery {
                state: *state,
                before: before.map(Time),
                limit: *limit,
            };
            told(store.notices(place(*n), &query).await)
        }
        Look::Switches => told(store.switches().await),
        Look::Principals => told(store.principals().await),
        Look::Bundle { bundle } => told(store.bundle(things::bundle_digest(*bundle)).await),
        Look::Secret { handle } => told(store.secret(&things::handle(*handle)).await),
    }
}
