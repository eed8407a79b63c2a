//! Cases of holds: what is contained, by whom, until when, and how it comes back.

use super::fixture::*;
use cordon::action::Verification;
use cordon::clock::Time;
use cordon::store::{Error, HoldEnd, Lock, Share, Taken, Took};

const NETWORK: &str = "network";

async fn take(store: &Any, n: usize, at: i64, until: Option<i64>) -> Took {
    let hold = new_hold(&target(0, here()), n, at, until);
    store.hold_take(here(), FAR, hold).await.unwrap()
}

async fn end(store: &Any, n: usize) -> HoldEnd {
    let key = target(0, here()).key();
    store
        .hold_end(here(), FAR, &key, NETWORK, effect(n))
        .await
        .unwrap()
}

async fn drop_hold(store: &Any, n: usize) {
    let key = target(0, here()).key();
    store
        .hold_drop(here(), FAR, &key, NETWORK, effect(n))
        .await
        .unwrap();
}

fn last(prior: &str) -> HoldEnd {
    HoldEnd::Last {
        prior: reading(prior),
        undo: Some(undo()),
    }
}

/// Who holds the first target, each with whether it is ending.
async fn holders(store: &Any) -> Vec<(usize, bool)> {
    let holds = store.holds(here()).await.unwrap();
    let holders = holds.iter().flat_map(|hold| &hold.holders);
    let number = |id| (0..10).find(|n| effect(*n) == id).unwrap();
    holders
        .map(|holder| (number(holder.effect), holder.ending))
        .collect()
}

pub async fn the_first_hold_keeps_the_state_before_for_all(store: Any) {
    let first = take(&store, 1, 100, Some(500)).await;
    assert_eq!(
        first,
        Took {
            first: true,
            prior: reading("before 1"),
            undo: Some(undo())
        }
    );
    let second = take(&store, 2, 90, None).await;
    assert_eq!(
        second,
        Took {
            first: false,
            ..first
        }
    );

    let holds = store.holds(here()).await.unwrap();
    assert_eq!(holds.len(), 1);
    let hold = &holds[0];
    assert_eq!((&hold.target, hold.facet.as_str()), (&target(0, here()), NETWORK));
    assert_eq!((&hold.prior, &hold.undo), (&reading("before 1"), &Some(undo())));
    assert_eq!(hold.holders.len(), 2);
    // Oldest first, whichever came first.
    let newest = &hold.holders[1];
    assert_eq!(
        (newest.effect, newest.run),
        (effect(1), new_hold(&hold.target, 1, 0, None).run)
    );
    assert_eq!((newest.since, newest.until), (Time(100), Some(Time(500))));
    assert_eq!((newest.tries, newest.ending, newest.seen), (0, false, None));
}

pub async fn taking_again_answers_the_same_and_sets_the_end(store: Any) {
    let first = take(&store, 1, 100, Some(500)).await;
    let second = take(&store, 2, 110, None).await;
    let mut again = new_hold(&target(0, here()), 1, 700, Some(900));
    again.prior = reading("contained");
    again.undo = None;
    assert_eq!(store.hold_take(here(), FAR, again).await.unwrap(), first);
    assert_eq!(take(&store, 2, 800, None).await, second);
    let holds = store.holds(here()).await.unwrap();
    let holder = &holds[0].holders[0];
    assert_eq!((holder.since, holder.until), (Time(100), Some(Time(900))));
    assert_eq!(holds[0].prior, reading("before 1"));
}

pub async fn only_the_last_end_restores(store: Any) {
    for n in 1..=3 {
        take(&store, n, 100, None).await;
    }
    assert_eq!(end(&store, 1).await, HoldEnd::Others { remaining: 2 });
    assert_eq!(end(&store, 1).await, HoldEnd::NotHeld);
    assert_eq!(end(&store, 9).await, HoldEnd::NotHeld);
    assert_eq!(end(&store, 3).await, HoldEnd::Others { remaining: 1 });
    assert_eq!(holders(&store).await, [(2, false)]);
    assert_eq!(end(&store, 2).await, last("before 1"));
    assert_eq!(
        holders(&store).await,
        [(2, true)],
        "contained until it is restored"
    );
    drop_hold(&store, 2).await;
    assert_eq!(holders(&store).await, []);
}

pub async fn ending_is_repeated_until_dropped(store: Any) {
    let mut hold = new_hold(&target(0, here()), 1, 100, None);
    hold.undo = None;
    store.hold_take(here(), FAR, hold).await.unwrap();
    let nothing_to_undo = HoldEnd::Last {
        prior: reading("before 1"),
        undo: None,
    };
    assert_eq!(end(&store, 1).await, nothing_to_undo);
    assert_eq!(end(&store, 1).await, nothing_to_undo);
    drop_hold(&store, 1).await;
    assert_eq!(end(&store, 1).await, HoldEnd::NotHeld);
    drop_hold(&store, 1).await;
}

pub async fn a_hold_taken_while_the_last_one_ends(store: Any) {
    take(&store, 1, 100, None).await;
    assert_eq!(end(&store, 1).await, last("before 1"));
    let second = take(&store, 2, 200, None).await;
    assert_eq!((second.first, second.prior), (false, reading("before 1")));
    // The second may have been put in force after the first was restored, so its end restores too.
    assert_eq!(end(&store, 2).await, last("before 1"));
    drop_hold(&store, 1).await;
    assert_eq!(holders(&store).await, [(2, true)]);
    drop_hold(&store, 2).await;
    assert_eq!(holders(&store).await, []);

    // The other way round: the first asks again and learns that it must not restore any more.
    take(&store, 3, 300, None).await;
    assert_eq!(end(&store, 3).await, last("before 3"));
    take(&store, 4, 400, None).await;
    assert_eq!(end(&store, 3).await, HoldEnd::Others { remaining: 1 });
    assert_eq!(holders(&store).await, [(4, false)]);
}

pub async fn a_dropped_hold_is_gone_and_may_be_taken_anew(store: Any) {
    take(&store, 1, 100, None).await;
    take(&store, 2, 100, None).await;
    drop_hold(&store, 1).await;
    assert_eq!(take(&store, 3, 100, None).await.prior, reading("before 1"));
    drop_hold(&store, 2).await;
    drop_hold(&store, 3).await;
    let anew = take(&store, 4, 100, None).await;
    assert_eq!((anew.first, anew.prior), (true, reading("before 4")));
}

/// Gives the share of an effect up, twice: the answer to the first was lost.
async fn give_up(store: &Any, n: usize, at: i64) {
    let key = target(0, here()).key();
    for at in [at, at + 1] {
        let gave_up = store.hold_give_up(here(), FAR, &key, NETWORK, effect(n), Time(at));
        gave_up.await.unwrap();
    }
}

async fn left(store: &Any) -> Vec<usize> {
    let holds = store.holds(here()).await.unwrap();
    let number = |id| (0..10).find(|n| effect(*n) == id).unwrap();
    holds
        .iter()
        .flat_map(|hold| &hold.left)
        .map(|leaver| number(leaver.effect))
        .collect()
}

pub async fn who_left_holds_again_when_the_last_share_is_given_up(store: Any) {
    for n in 1..=4 {
        take(&store, n, 100 * n as i64, Some(500)).await;
    }
    for n in [1, 2] {
        assert!(matches!(end(&store, n).await, HoldEnd::Others { .. }));
        assert_eq!(end(&store, n).await, HoldEnd::NotHeld);
    }
    assert_eq!(left(&store).await, [1, 2]);
    let key = target(0, here()).key();
    let found = store.hold(here(), &key, NETWORK).await.unwrap().unwrap();
    let run = new_hold(&found.target, 2, 0, None).run;
    assert_eq!((found.left[1].run, found.left[1].since), (run, Time(200)));
    // Its run is needed, and has nothing to give back.
    assert_eq!(store.taken_by(here(), run).await, Ok(Taken::default()));
    // Somebody holds still.
    give_up(&store, 3, 700).await;
    assert_eq!(holders(&store).await, [(4, false)]);
    give_up(&store, 4, 710).await;
    let holds = store.holds(here()).await.unwrap();
    let again = &holds[0].holders[0];
    assert_eq!(
        (holds[0].holders.len(), again.effect, again.run),
        (1, effect(2), run)
    );
    assert_eq!(
        (again.since, again.until, again.tries, again.ending, again.seen),
        (Time(200), Some(Time(710)), 0, false, None)
    );
    assert_eq!(
        (&holds[0].prior, left(&store).await),
        (&reading("before 1"), vec![1])
    );
    assert_eq!(store.next_lease_end(here()).await, Ok(Some(Time(710))));
    assert_eq!(store.taken_by(here(), run).await.unwrap().shares.len(), 1);
    assert_eq!(end(&store, 2).await, last("before 1"));
    drop_hold(&store, 2).await;
    assert_eq!(store.holds(here()).await, Ok(vec![]));
    // Whoever holds alone and gives up leaves nothing.
    take(&store, 5, 800, None).await;
    give_up(&store, 5, 810).await;
    assert_eq!(store.holds(here()).await, Ok(vec![]));
    assert_eq!(store.next_lease_end(here()).await, Ok(None));
}

pub async fn a_restored_hold_brings_nobody_back(store: Any) {
    take(&store, 1, 100, None).await;
    take(&store, 2, 100, None).await;
    assert_eq!(end(&store, 1).await, HoldEnd::Others { remaining: 1 });
    assert_eq!(end(&store, 2).await, last("before 1"));
    // One that comes while the last is ending, and gives up: the restore of the other may have been sent before the
    // first came into force.
    take(&store, 3, 200, None).await;
    give_up(&store, 3, 300).await;
    assert_eq!(holders(&store).await, [(2, true), (1, false)]);
    // It holds once more, and is one that left no longer.
    take(&store, 4, 400, None).await;
    assert_eq!(end(&store, 1).await, HoldEnd::Others { remaining: 1 });
    assert_eq!(left(&store).await, [1]);
    take(&store, 1, 500, None).await;
    assert!(left(&store).await.is_empty());
    for n in [1, 4] {
        drop_hold(&store, n).await;
    }
    assert_eq!(holders(&store).await, [(2, true)]);
    drop_hold(&store, 2).await;
    assert_eq!(store.holds(here()).await, Ok(vec![]));
    take(&store, 5, 600, None).await;
    give_up(&store, 5, 610).await;
    assert_eq!(store.holds(here()).await, Ok(vec![]));
}

pub async fn one_that_left_and_never_came_about_is_not_brought_back(store: Any) {
    take(&store, 1, 100, None).await;
    take(&store, 2, 100, None).await;
    assert_eq!(end(&store, 1).await, HoldEnd::Others { remaining: 1 });
    // It is restored as one that holds nothing: that says nothing of what it left.
    drop_hold(&store, 1).await;
    assert_eq!(left(&store).await, [1]);
    give_up(&store, 1, 200).await;
    assert_eq!(
        (left(&store).await, holders(&store).await),
        (vec![], vec![(2, false)])
    );
    give_up(&store, 9, 200).await;
    give_up(&store, 2, 300).await;
    assert_eq!(store.holds(here()).await, Ok(vec![]));
}

pub async fn due_holders_come_longest_over_first_with_their_tries(store: Any) {
    assert_eq!(store.next_lease_end(here()).await, Ok(None));
    for (n, until) in [(1, Some(300)), (2, None), (3, Some(200)), (4, Some(900))] {
        take(&store, n, 100, until).await;
    }
    let key = target(0, here()).key();
    let due = async |now, limit| {
        let due = store.due_holders(here(), Time(now), limit).await.unwrap();
        due.iter()
            .map(|due| (due.effect, due.until.0, due.tries))
            .collect::<Vec<_>>()
    };
    assert_eq!(store.next_lease_end(here()).await, Ok(Some(Time(200))));
    assert_eq!(due(199, 10).await, []);
    assert_eq!(due(300, 10).await, [(effect(3), 200, 0), (effect(1), 300, 0)]);
    assert_eq!(due(300, 1).await, [(effect(3), 200, 0)]);
    for _ in 0..2 {
        store
            .hold_until(here(), FAR, &key, NETWORK, effect(3), Some(Time(400)), 2)
            .await
            .unwrap();
    }
    assert_eq!(due(400, 10).await, [(effect(1), 300, 0), (effect(3), 400, 2)]);
    store
        .hold_until(here(), FAR, &key, NETWORK, effect(1), None, 0)
        .await
        .unwrap();
    assert_eq!(due(400, 10).await, [(effect(3), 400, 2)]);
    assert_missing(
        store
            .hold_until(here(), FAR, &key, NETWORK, effect(9), None, 0)
            .await,
    );

    let whole = store.due_holders(here(), Time(400), 1).await.unwrap();
    let hold = new_hold(&target(0, here()), 3, 0, None);
    assert_eq!((&whole[0].target, whole[0].run), (&hold.target, hold.run));
    assert_eq!(whole[0].facet, NETWORK);
}

pub async fn what_was_last_seen_is_kept(store: Any) {
    take(&store, 1, 100, None).await;
    let key = target(0, here()).key();
    for seen in [Verification::Pending, Verification::NotInForce, Verification::Yes] {
        store
            .hold_seen(here(), FAR, &key, NETWORK, effect(1), seen)
            .await
            .unwrap();
        let holds = store.holds(here()).await.unwrap();
        assert_eq!(holds[0].holders[0].seen, Some(seen));
    }
    store
        .hold_seen(here(), FAR, &key, NETWORK, effect(9), Verification::Yes)
        .await
        .unwrap();
    assert_eq!(holders(&store).await, [(1, false)]);
}

pub async fn facets_are_held_apart(store: Any) {
    let one = target(0, here());
    take(&store, 1, 100, None).await;
    let mut login = new_hold(&one, 2, 100, None);
    login.facet = "login".into();
    assert!(store.hold_take(here(), FAR, login).await.unwrap().first);
    let other = new_hold(&target(1, here()), 1, 100, None);
    assert!(store.hold_take(here(), FAR, other).await.unwrap().first);
    assert_eq!(end(&store, 1).await, last("before 1"));
    let mut held: Vec<(String, String)> = store
        .holds(here())
        .await
        .unwrap()
        .iter()
        .map(|hold| (hold.target.key(), hold.facet.clone()))
        .collect();
    assert!(held.is_sorted(), "{held:?}");
    held.retain(|(key, _)| *key == one.key());
    assert_eq!(held, [(one.key(), "login".into()), (one.key(), NETWORK.into())]);
}

pub async fn one_hold_is_found_without_the_others(store: Any) {
    let (one, two) = (target(0, here()), target(1, here()));
    for n in [1, 2] {
        store
            .hold_take(here(), FAR, new_hold(&one, n, n as i64, None))
            .await
            .unwrap();
    }
    store
        .hold_take(here(), FAR, new_hold(&two, 3, 3, Some(50)))
        .await
        .unwrap();
    let all = store.holds(here()).await.unwrap();
    assert_eq!(all.len(), 2);
    for hold in all {
        let found = store.hold(here(), &hold.target.key(), NETWORK).await.unwrap();
        assert_eq!(found, Some(hold));
    }
    assert_eq!(store.hold(here(), &one.key(), "login").await, Ok(None));
    assert_eq!(
        store.hold(here(), &target(2, here()).key(), NETWORK).await,
        Ok(None)
    );
    assert_wrong_partition(store.hold(elsewhere(), &one.key(), NETWORK).await);
}

pub async fn what_a_run_has_taken_is_listed(store: Any) {
    let (one, two) = (target(0, here()), target(1, here()));
    let hold = new_hold(&one, 1, 1, None);
    let run = hold.run;
    store.hold_take(here(), FAR, hold).await.unwrap();
    store
        .hold_take(here(), FAR, new_hold(&one, 2, 2, None))
        .await
        .unwrap();
    store
        .lock(here(), FAR, &two.key(), effect(3), run, Time(3))
        .await
        .unwrap();
    store
        .lock(
            here(),
            FAR,
            &one.key(),
            effect(4),
            run_id(0, elsewhere()),
            Time(3),
        )
        .await
        .unwrap();
    let taken = Taken {
        locks: vec![Lock {
            target: two.key(),
            effect: effect(3),
            run,
        }],
        shares: vec![Share {
            target: one.key(),
            facet: NETWORK.into(),
            effect: effect(1),
        }],
    };
    assert_eq!(store.taken_by(here(), run).await, Ok(taken));
    assert_eq!(store.taken_by(elsewhere(), run).await, Ok(Taken::default()));
    store.unlock(here(), FAR, &two.key(), effect(3)).await.unwrap();
    // The share of a holder that is ending is still there, one that others outlived is gone.
    store
        .hold_end(here(), FAR, &one.key(), NETWORK, effect(1))
        .await
        .unwrap();
    assert_eq!(store.taken_by(here(), run).await, Ok(Taken::default()));
    let other = new_hold(&one, 2, 2, None).run;
    store
        .hold_end(here(), FAR, &one.key(), NETWORK, effect(2))
        .await
        .unwrap();
    assert_eq!(store.taken_by(here(), other).await.unwrap().shares.len(), 1);
    store
        .hold_drop(here(), FAR, &one.key(), NETWORK, effect(2))
        .await
        .unwrap();
    assert_eq!(store.taken_by(here(), other).await, Ok(Taken::default()));
}

pub async fn hold_operations_refuse_another_partition(store: Any) {
    take(&store, 1, 100, None).await;
    let (far, one, held_by) = (elsewhere(), target(0, here()), effect(1));
    let key = one.key();
    assert_wrong_partition(store.hold_take(far, FAR, new_hold(&one, 2, 1, None)).await);
    assert_wrong_partition(store.hold_end(far, FAR, &key, NETWORK, held_by).await);
    assert_wrong_partition(store.hold_drop(far, FAR, &key, NETWORK, held_by).await);
    let gave_up = store.hold_give_up(far, FAR, &key, NETWORK, held_by, Time(1));
    assert_wrong_partition(gave_up.await);
    assert_wrong_partition(store.hold_until(far, FAR, &key, NETWORK, held_by, None, 1).await);
    assert_wrong_partition(
        store
            .hold_seen(far, FAR, &key, NETWORK, held_by, Verification::Yes)
            .await,
    );
    assert_eq!(holders(&store).await, [(1, false)]);
}

pub async fn what_comes_after_its_claim_changes_no_hold(store: Any) {
    take(&store, 1, 100, Some(500)).await;
    take(&store, 2, 100, None).await;
    let before = store.holds(here()).await.unwrap();
    let (one, over) = (target(0, here()), Time(1_000));
    let (key, by) = (one.key(), effect(1));
    let late = store.hold_take(here(), over, new_hold(&one, 3, 200, None));
    assert_eq!(late.await, Err(Error::Late));
    let late = store.hold_take(here(), over, new_hold(&one, 1, 200, None));
    assert_eq!(late.await, Err(Error::Late));
    assert_eq!(
        store.hold_end(here(), over, &key, NETWORK, by).await,
        Err(Error::Late)
    );
    assert_eq!(
        store.hold_drop(here(), over, &key, NETWORK, by).await,
        Err(Error::Late)
    );
    let late = store.hold_give_up(here(), over, &key, NETWORK, by, Time(300));
    assert_eq!(late.await, Err(Error::Late));
    let late = store.hold_until(here(), over, &key, NETWORK, by, None, 3);
    assert_eq!(late.await, Err(Error::Late));
    let late = store.hold_seen(here(), over, &key, NETWORK, by, Verification::Yes);
    assert_eq!(late.await, Err(Error::Late));
    assert_eq!(store.holds(here()).await, Ok(before));
    // The same again in time.
    assert_eq!(end(&store, 1).await, HoldEnd::Others { remaining: 1 });
}
