//! Secrets that may be nowhere but where they are used: after a whole run with messages, the bytes on the disk, the
//! answers of the API and what people were sent are searched for them.

use std::sync::Arc;

use cordon::secret::{Handle, SealingKey};
use cordon::store::sqlite::{Options, SqliteStore};
use cordon::store::{Control as _, Store};

use crate::chat::Homeserver;
use crate::estate::{CONTAIN, FIXED, Setup, WEBHOOK, range};
use crate::house::House;

/// The credential of the chat.
const CHAT: &str = "canary-chat-token-5f1d0c7a9b";
/// A secret that a source looked up.
const LOOKED_UP: &str = "canary-looked-up-value-77aa31";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_store_api_or_messages() {
    let dir = tempfile::tempdir().unwrap();
    let chat = Homeserver::start().await;
    let store = Arc::new(SqliteStore::open(dir.path().join("cordon.db"), Options::default()).unwrap());
    // As a look-up of a source seals what it brought.
    let key = SealingKey::new([9; 32]);
    let handle = Handle("source/siem/1".into());
    let sealed = key.seal(&handle, [7; 24], LOOKED_UP.as_bytes()).unwrap();
    store.put_secret(&handle, sealed).await.unwrap();
    let mut setup = Setup::new(CONTAIN);
    setup.instances = vec![chat.instance("chat", CHAT)];
    setup
        .notify
        .channels
        .insert("soc".into(), crate::chat::way("chat", "!soc:example.org"));
    setup.notify.default = vec!["channel:soc".parse().unwrap()];
    let shared: Arc<dyn Store> = store.clone();
    let house = House::over(shared, range(&["web-07"]).await, setup).await;
    let token = house.way.token.clone();
    house.estate.finding("f-1", &["web-07"]).await;
    let run = house.estate.settled(1).await[0].id;
    let messages = chat.until(1).await;
    house
        .way
        .until("/api/notifications?state=delivered", |body| {
            !body["notifications"].as_array().unwrap().is_empty()
        })
        .await;
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for path in [
        "/api/runs".to_owned(),
        format!("/api/runs/{run}"),
        "/api/alerts".to_owned(),
        "/api/contained".to_owned(),
        "/api/notifications".to_owned(),
        "/api/tokens".to_owned(),
        "/api/status".to_owned(),
        "/metrics".to_owned(),
    ] {
        let answer = house.way.get(&path).await;
        assert_eq!(answer.status, 200, "{path}");
        places.push((path, answer.text.into_bytes()));
    }
    for message in messages {
        places.push(("a message".to_owned(), message.body.to_string().into_bytes()));
    }
    // Open still, so that the write-ahead log is there to be searched.
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        places.push((path.display().to_string(), bytes));
    }
    assert!(
        places
            .iter()
            .any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty())
    );
    let secrets = [
        ("the chat's credential", CHAT),
        ("the looked-up value", LOOKED_UP),
        ("the API token", &token),
        ("a source's header", FIXED),
        ("a source's signing secret", WEBHOOK),
        ("the range's client secret", "range-secret"),
    ];
    for (place, bytes) in &places {
        for (name, secret) in secrets {
            let there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!there, "{name} is in {place}");
        }
    }
    // The search finds what is there.
    let subject = b"web-07";
    assert!(
        places
            .iter()
            .any(|(_, bytes)| bytes.windows(subject.len()).any(|part| part == subject))
    );
    house.stop().await;
    chat.stop();
}
