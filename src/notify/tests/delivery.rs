//! By which way a message goes, how often it is tried, and that two followers and a crash do no harm.

use std::collections::BTreeSet;

use super::office::*;
use crate::action::Class;
use crate::id::Partition;
use crate::limits::{FOLLOWER_CLAIM_MS, NOTIFY_TRIES_MAX};
use crate::notify::FOLLOWER;
use crate::store::{Feed as _, NoticeState};

#[tokio::test]
async fn a_message_goes_by_the_way_that_is_preferred() {
    let office = Office::open();
    office.run("web-07", vec![oncall("web-07 is isolated")]).await;
    office.settle(&mut office.follower("one")).await;
    let sent = office.channels.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].instance.as_str(), sent[0].to.as_str()),
        ("chat", "@ana-id")
    );
    assert_eq!(sent[0].subject, "[HIGH] web-07 is isolated");
    assert_eq!(office.count(NoticeState::Delivered).await, 1);
}

#[tokio::test]
async fn a_failing_channel_goes_by_the_next_way_then_the_fallback_then_the_log() {
    for (failing, by, state) in [
        (vec!["chat"], "mail to ana@example.com", NoticeState::Detoured),
        (
            vec!["chat", "mail"],
            "backup to ops@example.com",
            NoticeState::Detoured,
        ),
        (vec!["chat", "mail", "backup"], "", NoticeState::Failed),
    ] {
        let office = Office::open();
        for instance in &failing {
            office.channels.says(instance, [refused()]);
        }
        office.run("web-07", vec![oncall("look")]).await;
        office.settle(&mut office.follower("one")).await;
        let views = office.views().await;
        assert_eq!(views.len(), 1);
        let to = &views[0].to[0];
        assert_eq!((views[0].state, to.by.as_str()), (state, by));
        assert_eq!(to.failed, by.is_empty());
        assert_eq!(to.troubles.len(), failing.len());
        assert!(to.troubles[0].why.contains("lacks a scope"), "{to:?}");
        assert_eq!(office.channels.sent().len(), usize::from(!by.is_empty()));
    }
}

#[tokio::test]
async fn a_poisonous_message_is_given_up_after_bounded_tries_and_holds_up_nothing() {
    let office = Office::open();
    office.channels.says("chat", (0..100).map(|_| broken()));
    office.channels.says("mail", (0..100).map(|_| unknown()));
    office.channels.says("backup", [refused()]);
    let poisoned = office.run("web-07", vec![oncall("poison")]).await;
    let mut follower = office.follower("one");
    for _ in 0..20 {
        office.settle(&mut follower).await;
        office.clock.advance_ms(60_000);
    }
    assert_eq!(office.count(NoticeState::Failed).await, 1);
    assert_eq!(office.channels.tries("chat").len(), NOTIFY_TRIES_MAX as usize);
    assert_eq!(office.channels.tries("mail").len(), NOTIFY_TRIES_MAX as usize);
    let keys: BTreeSet<String> = office.channels.tries("mail").into_iter().collect();
    assert_eq!(keys.len(), 1, "the same key on every repeat");
    let feed = office.store.feed(poisoned.partition(), 0, 10).await.unwrap();
    let cursor = office.store.cursor(poisoned.partition(), FOLLOWER).await.unwrap();
    assert_eq!(feed.last().unwrap().position, cursor);
    // What comes after it in the same feed is told.
    office.channels.script.lock().unwrap().clear();
    office.clock.advance_ms(1_000);
    office.run("web-08", vec![alarm("in-doubt", "fine")]).await;
    office.settle(&mut follower).await;
    assert_eq!(office.count(NoticeState::Delivered).await, 1);
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_obeyed_and_a_long_one_is_passed_by() {
    let office = Office::open();
    office.channels.says("chat", [later(20_000)]);
    office.run("web-07", vec![oncall("soon")]).await;
    let mut follower = office.follower("one");
    office.settle(&mut follower).await;
    assert!(office.channels.sent().is_empty());
    office.clock.advance_ms(19_999);
    office.settle(&mut follower).await;
    assert_eq!(office.channels.tries("chat").len(), 1, "not before its time");
    office.clock.advance_ms(1);
    office.settle(&mut follower).await;
    let tries = office.channels.tries("chat");
    assert_eq!((tries.len(), &tries[0]), (2, &tries[1]));
    assert_eq!(office.channels.sent()[0].instance, "chat");

    let office = Office::open();
    office.channels.says("chat", [later(600_000)]);
    office.run("web-07", vec![oncall("now")]).await;
    office.settle(&mut office.follower("one")).await;
    assert_eq!(office.channels.sent()[0].instance, "mail", "ana is told now");
}

#[tokio::test]
async fn an_instance_that_is_gone_is_one_more_way_that_fails() {
    let mut office = Office::open();
    office
        .plan
        .people
        .get_mut("ana")
        .unwrap()
        .insert(0, way("gone", "x"));
    office.run("web-07", vec![oncall("look")]).await;
    office.settle(&mut office.follower("one")).await;
    assert_eq!(office.channels.sent()[0].instance, "chat");
    assert_eq!(office.count(NoticeState::Detoured).await, 1);
}

#[tokio::test]
async fn a_crash_between_delivery_and_its_record_repeats_with_the_same_key() {
    let office = Office::open();
    office.run("web-07", vec![oncall("look")]).await;
    let mut first = office.follower("one");
    first.look().await;
    while office.channels.sent().is_empty() {
        first.look_without_collecting().await;
        tokio::task::yield_now().await;
    }
    // Its process dies here: the channel has the message, the store does not know.
    drop(first);
    assert_eq!(office.count(NoticeState::Waiting).await, 1);
    let mut second = office.follower("two");
    office.settle(&mut second).await;
    assert_eq!(
        office.channels.sent().len(),
        1,
        "the claim of the dead one is in force"
    );
    office.clock.advance_ms(FOLLOWER_CLAIM_MS);
    office.settle(&mut second).await;
    let sent = office.channels.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!((&sent[0].key, &sent[0].text), (&sent[1].key, &sent[1].text));
    assert_eq!(office.count(NoticeState::Delivered).await, 1);
}

#[tokio::test]
async fn a_channel_that_cannot_tell_a_repeat_is_looked_at_before_it_is_sent_to_again() {
    let office = Office::open();
    let chat = ("chat".to_owned(), Class::Create);
    office.channels.class.lock().unwrap().extend([chat]);
    office.channels.says("chat", [unknown()]);
    office.run("web-07", vec![oncall("look")]).await;
    let mut follower = office.follower("one");
    office.settle(&mut follower).await;
    assert_eq!(
        *office.channels.looks.lock().unwrap(),
        0,
        "nobody can have sent it before"
    );
    office.clock.advance_ms(60_000);
    office.settle(&mut follower).await;
    assert_eq!(
        office.channels.sent().len(),
        1,
        "it is there, and is not posted twice"
    );
    assert_eq!(*office.channels.looks.lock().unwrap(), 1);
    assert_eq!(office.count(NoticeState::Delivered).await, 1);
}

#[tokio::test]
async fn two_followers_on_one_store_tell_once() {
    let office = Office::open();
    let (mut one, mut two) = (office.follower("one"), office.follower("two"));
    for n in 0..40 {
        let host = format!("web-{n}");
        office
            .run(&host, vec![oncall(&format!("{host} is isolated"))])
            .await;
        office.clock.advance_ms(1);
        tokio::join!(one.look(), two.look());
    }
    for _ in 0..10 {
        tokio::join!(one.look(), two.look());
        one.wait().await.unwrap();
        two.wait().await.unwrap();
    }
    let keys: BTreeSet<String> = office.channels.sent().into_iter().map(|sent| sent.key).collect();
    assert_eq!(office.channels.sent().len(), keys.len(), "nothing was told twice");
    assert_eq!(office.count(NoticeState::Delivered).await, 1);
    assert_eq!(office.count(NoticeState::Counted).await, 39);
}

#[tokio::test]
async fn a_claim_given_back_is_taken_at_once() {
    let office = Office::open();
    office.run("web-07", vec![oncall("look")]).await;
    let mut one = office.follower("one");
    office.settle(&mut one).await;
    one.stop().await;
    for partition in Partition::all() {
        let now = NOW;
        let claimed = office
            .store
            .claim_follower(partition, FOLLOWER, "two", now, now.plus_ms(1));
        assert!(claimed.await.unwrap(), "{partition}");
    }
}
