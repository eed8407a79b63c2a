//! A store that is full: senders are told to try again, nothing that was promised is lost, and with room again
//! everything goes on by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cordon::range::Status;
use cordon::store::sqlite::{Options, SqliteStore};
use serde_json::json;

use crate::estate::{CONTAIN, Setup, finding, range};
use crate::house::House;

/// A database with ballast in it, and room for this many pages more.
fn nearly_full(path: &Path, pages: u64) -> SqliteStore {
    drop(SqliteStore::open(path, Options::default()).unwrap());
    let shell = rusqlite::Connection::open(path).unwrap();
    shell
        .execute_batch("CREATE TABLE ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(8000000));")
        .unwrap();
    let used: i64 = shell
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    let options = Options {
        pages_max: Some(u64::try_from(used).unwrap() + pages),
        ..Options::default()
    };
    SqliteStore::open(path, options).unwrap()
}

/// What an administrator does: makes room while the server runs.
fn make_room(path: &Path) {
    let shell = rusqlite::Connection::open(path).unwrap();
    shell.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    shell.execute_batch("DROP TABLE ballast").unwrap();
}

fn body(n: usize) -> Vec<u8> {
    let mut alert = finding(&format!("f-{n}"), &["web-07"]);
    // One of them contains its host; the others match nothing.
    if n > 0 {
        alert["rule"] = json!({ "uid": "noise" });
    }
    alert["padding"] = json!("x".repeat(3_000));
    alert.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_keeps_what_it_promised_and_goes_on_with_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cordon.db");
    let store = Arc::new(nearly_full(&path, 150));
    let house = House::over(store, range(&["web-07"]).await, Setup::new(CONTAIN)).await;
    let way = &house.way;
    let mut accepted = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for n in 0..300 {
        let answer = way.signed(&format!("msg_{n}"), &body(n)).await;
        match answer.status {
            202 => drop(accepted.insert(answer.alert(), n)),
            503 => {
                assert_eq!(answer.body["error"]["code"], "store-unavailable");
                assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
                refused.insert(n);
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(
        accepted.len() >= 10 && refused.len() >= 10,
        "{} {}",
        accepted.len(),
        refused.len()
    );
    // It lives, says that it is not ready, and can be read.
    assert_eq!(way.get("/healthz").await.status, 200);
    let mut stored = BTreeSet::new();
    for word in ["pending", "split", "unreadable", "control"] {
        stored.extend(
            way.alerts(word)
                .await
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
    }
    let promised: BTreeSet<String> = accepted.keys().cloned().collect();
    assert_eq!(
        stored, promised,
        "what got a 2xx is stored, and nothing that got a 503"
    );
    assert_eq!(way.metric("cordon_accounting_unbalanced").await, 0);

    make_room(&path);
    for n in &refused {
        let answer = way.signed(&format!("msg_{n}"), &body(*n)).await;
        assert_eq!(
            (answer.status, &answer.body["times"]),
            (202, &json!(1)),
            "{}",
            answer.text
        );
        accepted.insert(answer.alert(), *n);
    }
    assert_eq!(accepted.len(), 300);
    way.balanced(300).await;
    for (alert, n) in &accepted {
        let whole = way.get(&format!("/api/alerts/{alert}")).await.body;
        assert_eq!(whole["body"].as_str().unwrap().as_bytes(), body(*n), "{alert}");
        assert_eq!(
            (&whole["alert"]["disposition"], &whole["digest_ok"]),
            (&json!("split"), &json!(true))
        );
    }
    let runs = way.all_over(1).await;
    assert_eq!(runs[0]["end"], "succeeded", "{runs:?}");
    assert_eq!(
        house.estate.range.host("web-07").unwrap().status,
        Status::Contained
    );
    assert_eq!(house.estate.range.ledger().applied("contain", "web-07"), 1);
    house.stop().await;
}
