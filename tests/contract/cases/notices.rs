//! Cases of notices.

use std::collections::BTreeMap;

use serde_json::json;

use super::fixture::*;
use cordon::clock::Time;
use cordon::store::{Notice, NoticeQuery, NoticeState};

pub fn notice(n: usize, group: usize, at: i64, due_at: Option<i64>) -> Notice {
    Notice {
        key: format!("run/{n}"),
        group: key(group, here()),
        at: Time(at),
        state: NoticeState::New,
        leads: false,
        due_at: due_at.map(Time),
        content: json!({ "n": n, "text": "é\r\n" }),
    }
}

fn keys(notices: &[Notice]) -> Vec<&str> {
    notices.iter().map(|notice| notice.key.as_str()).collect()
}

async fn hold(store: &Any, holder: &str) {
    let claimed = store.claim_follower(here(), "notify", holder, Time(0), Time(i64::MAX));
    assert!(claimed.await.unwrap());
}

async fn save(store: &Any, holder: &str, notices: Vec<Notice>) -> bool {
    store
        .save_notices(here(), "notify", holder, notices)
        .await
        .unwrap()
}

pub async fn a_notice_is_kept_once(store: Any) {
    let first = notice(1, 0, 10, Some(10));
    let mut twin = first.clone();
    twin.content = json!("another");
    assert_eq!(store.put_notices(here(), vec![first.clone()]).await, Ok(1));
    let both = vec![twin, notice(2, 0, 11, None)];
    assert_eq!(store.put_notices(here(), both).await, Ok(1));
    assert_eq!(store.notice(here(), "run/1").await, Ok(Some(first)));
    assert_eq!(store.notice(here(), "run/9").await, Ok(None));
    assert_eq!(store.put_notices(here(), vec![]).await, Ok(0));
}

pub async fn due_notices_come_longest_due_first_up_to_the_limit(store: Any) {
    let notices = vec![
        notice(1, 0, 1, Some(30)),
        notice(2, 0, 2, Some(10)),
        notice(3, 1, 3, Some(10)),
        notice(4, 1, 4, None),
        notice(5, 1, 5, Some(31)),
    ];
    store.put_notices(here(), notices).await.unwrap();
    let due = store.due_notices(here(), Time(30), 10).await.unwrap();
    assert_eq!(keys(&due), ["run/2", "run/3", "run/1"]);
    let due = store.due_notices(here(), Time(30), 2).await.unwrap();
    assert_eq!(keys(&due), ["run/2", "run/3"]);
    assert_eq!(store.due_notices(elsewhere(), Time(30), 10).await, Ok(vec![]));
}

pub async fn a_group_has_one_that_leads(store: Any) {
    hold(&store, "w").await;
    let group = key(0, here());
    assert_eq!(store.leading_notice(here(), group).await, Ok(None));
    let mut leading = notice(1, 0, 1, Some(1));
    leading.leads = true;
    let others = vec![leading.clone(), notice(2, 0, 2, None), notice(3, 1, 3, None)];
    store.put_notices(here(), others).await.unwrap();
    assert_eq!(
        store.leading_notice(here(), group).await,
        Ok(Some(leading.clone()))
    );
    assert_eq!(store.leading_notice(here(), key(1, here())).await, Ok(None));
    leading.leads = false;
    assert!(save(&store, "w", vec![leading]).await);
    assert_eq!(store.leading_notice(here(), group).await, Ok(None));
}

pub async fn only_the_holder_of_the_claim_saves_and_all_or_none(store: Any) {
    let first = notice(1, 0, 1, Some(1));
    store.put_notices(here(), vec![first.clone()]).await.unwrap();
    let done = Notice {
        state: NoticeState::Delivered,
        due_at: None,
        ..first.clone()
    };
    let both = vec![done.clone(), notice(2, 0, 2, None)];
    assert!(!save(&store, "one", both.clone()).await, "nobody has the claim");
    hold(&store, "two").await;
    assert!(!save(&store, "one", both.clone()).await, "another has it");
    assert_eq!(store.notice(here(), "run/1").await, Ok(Some(first)));
    assert_eq!(store.notice(here(), "run/2").await, Ok(None));
    for _ in 0..2 {
        assert!(save(&store, "two", both.clone()).await);
    }
    assert_eq!(store.notice(here(), "run/1").await, Ok(Some(done)));
    assert_eq!(store.notice(here(), "run/2").await, Ok(Some(both[1].clone())));
}

pub async fn notices_are_listed_newest_first_and_filtered(store: Any) {
    let mut failed = notice(3, 0, 20, None);
    failed.state = NoticeState::Failed;
    let all = vec![notice(1, 0, 10, None), notice(2, 1, 20, None), failed];
    store.put_notices(here(), all).await.unwrap();
    let list = async |state, before: Option<i64>, limit| {
        let before = before.map(Time);
        let query = NoticeQuery { state, before, limit };
        let found = store.notices(here(), &query).await.unwrap();
        keys(&found).join(" ")
    };
    assert_eq!(list(None, None, 10).await, "run/3 run/2 run/1");
    assert_eq!(list(None, None, 2).await, "run/3 run/2");
    assert_eq!(list(None, Some(20), 10).await, "run/1");
    assert_eq!(list(Some(NoticeState::Failed), None, 10).await, "run/3");
    assert_eq!(list(Some(NoticeState::Waiting), None, 10).await, "");
}

pub async fn only_old_notices_that_are_done_are_forgotten(store: Any) {
    let all = (1..=4).map(|n| notice(n, 0, n as i64 * 10, (n == 2).then_some(99)));
    store.put_notices(here(), all.collect()).await.unwrap();
    assert_eq!(store.forget_notices(here(), Time(40), 10).await, Ok(2));
    assert_eq!(store.forget_notices(here(), Time(40), 10).await, Ok(0));
    let query = NoticeQuery {
        limit: 10,
        ..NoticeQuery::default()
    };
    let left = store.notices(here(), &query).await.unwrap();
    assert_eq!(keys(&left), ["run/4", "run/2"]);
    assert_eq!(store.forget_notices(here(), Time(100), 1).await, Ok(1));
}

pub async fn notices_are_counted_by_state_with_the_longest_due(store: Any) {
    let mut failed = notice(3, 0, 20, None);
    failed.state = NoticeState::Failed;
    let all = vec![notice(1, 0, 1, Some(50)), notice(2, 0, 2, Some(40)), failed];
    store.put_notices(here(), all).await.unwrap();
    let counts = store.counts(here(), Time(45)).await.unwrap();
    let wanted = BTreeMap::from([("failed".to_owned(), 1), ("new".to_owned(), 2)]);
    assert_eq!((counts.notices, counts.notice_due), (wanted, Some(Time(40))));
    let counts = store.counts(here(), Time(39)).await.unwrap();
    assert_eq!(counts.notice_due, None);
}

pub async fn notice_operations_refuse_another_partition(store: Any) {
    let ours = notice(1, 0, 1, None);
    assert_wrong_partition(store.put_notices(elsewhere(), vec![ours.clone()]).await);
    assert_wrong_partition(store.leading_notice(elsewhere(), ours.group).await);
    assert_wrong_partition(store.save_notices(elsewhere(), "notify", "w", vec![ours]).await);
}
