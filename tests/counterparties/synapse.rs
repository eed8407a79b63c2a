//! Matrix Synapse: messages are posted and read back, its real limit is obeyed, a repeat is the same event; and
//! accounts are locked for real.

use cordon::action::{Done, Outcome};
use cordon::connector::Catalog;
use reqwest::Method;
use serde_json::{Value, json};

use crate::engine::{Ended, Engine};
use crate::relay::{Meddling, Relay};
use crate::{account, instance, told};

struct Homeserver {
    http: reqwest::Client,
    url: String,
}

/// One who is signed in.
struct Signed {
    id: String,
    token: String,
}

impl Homeserver {
    fn found() -> Homeserver {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Homeserver {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: told("CORDON_SYNAPSE_URL"),
        }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if method != Method::GET {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or(Value::Null),
        )
    }

    async fn sign_in(&self, user: &str) -> Signed {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": user },
            "password": format!("{user}-word"),
        });
        let (status, answer) = self.ask(Method::POST, "/_matrix/client/v3/login", "", body).await;
        assert_eq!(status, 200, "{answer}");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Signed {
            id: text("user_id"),
            token: text("access_token"),
        }
    }

    async fn room(&self, who: &Signed) -> String {
        let (status, made) = self
            .ask(
                Method::POST,
                "/_matrix/client/v3/createRoom",
                &who.token,
                json!({}),
            )
            .await;
        assert_eq!(status, 200, "{made}");
        made["room_id"].as_str().unwrap().to_owned()
    }

    /// The bodies of a room's messages, oldest first.
    async fn messages(&self, who: &Signed, room: &str) -> Vec<Value> {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
        let (_, page) = self.ask(Method::GET, &path, &who.token, Value::Null).await;
        let events = page["chunk"].as_array().unwrap().iter().rev();
        events
            .filter(|event| event["type"] == "m.room.message")
            .cloned()
            .collect()
    }

    async fn who_am_i(&self, who: &Signed) -> (u16, Value) {
        self.ask(
            Method::GET,
            "/_matrix/client/v3/account/whoami",
            &who.token,
            Value::Null,
        )
        .await
    }
}

fn poster(base: &str, who: &Signed) -> Engine {
    let instance = instance("matrix", base, &[("token", &who.token)]);
    Engine::open(&Catalog::embedded().unwrap(), vec![instance])
}

fn message(room: &str, text: &str) -> Value {
    json!({ "to": room, "subject": "Contained svc-backup", "text": text })
}

async fn send(engine: &Engine, options: &Value) -> Ended {
    engine.act("chat::send", &Value::Null, options).await
}

fn result(ended: &Ended) -> (Done, Value) {
    match ended.outcome() {
        Outcome::Done { how, result } => (*how, result.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_posted_and_read_back_and_hostile_text_stays_text() {
    let server = Homeserver::found();
    let bot = server.sign_in("bot").await;
    let room = server.room(&bot).await;
    let engine = poster(&server.url, &bot);
    let hostile = "@room <b>click</b> [here](https://evil.example) \u{202e}&lt;";
    let (how, sent) = result(&send(&engine, &message(&room, hostile)).await.succeeded());
    assert_eq!(how, Done::Acted);
    let mut answer = message(&room, "and more");
    answer["thread"] = sent["thread"].clone();
    send(&engine, &answer).await.succeeded();
    let posted = server.messages(&bot, &room).await;
    assert_eq!(posted.len(), 2, "{posted:?}");
    let content = &posted[0]["content"];
    assert_eq!(posted[0]["event_id"], sent["id"]);
    assert_eq!(
        (&content["formatted_body"], &content["m.mentions"]),
        (&Value::Null, &json!({}))
    );
    let body = content["body"].as_str().unwrap();
    assert!(
        body.starts_with("Contained svc-backup\n")
            && body.contains("<b>click</b>")
            && !body.contains("@room"),
        "{body}"
    );
    assert_eq!(posted[1]["content"]["m.relates_to"]["event_id"], sent["id"]);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_repeated_under_the_same_transaction_and_is_the_same_event() {
    let server = Homeserver::found();
    let bot = server.sign_in("bot").await;
    let room = server.room(&bot).await;
    let relay = Relay::to(&server.url).await;
    let engine = poster(&relay.base, &bot);
    relay.meddle(Meddling::LoseAnswer);
    let (how, sent) = result(&send(&engine, &message(&room, "once")).await.succeeded());
    assert_eq!(how, Done::Acted);
    let sends: Vec<_> = relay
        .changes()
        .into_iter()
        .filter(|exchange| exchange.status == 200)
        .collect();
    let [first, second] = sends.as_slice() else {
        panic!("{:?}", relay.changes())
    };
    assert_eq!((&first.path, &first.answer), (&second.path, &second.answer));
    assert!(second.answer.contains(sent["id"].as_str().unwrap()));
    assert_eq!(server.messages(&bot, &room).await.len(), 1);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_the_server_is_obeyed_and_every_message_arrives_once() {
    let server = Homeserver::found();
    let bot = server.sign_in("bot").await;
    let room = server.room(&bot).await;
    let relay = Relay::to(&server.url).await;
    let engine = poster(&relay.base, &bot);
    let messages: Vec<Value> = (0..10).map(|n| message(&room, &format!("message {n}"))).collect();
    let all = futures_util::future::join_all(messages.iter().map(|options| send(&engine, options))).await;
    for ended in all {
        ended.succeeded();
    }
    let changes = relay.changes();
    let refused: Vec<_> = changes.iter().filter(|exchange| exchange.status == 429).collect();
    assert!(!refused.is_empty(), "the server never said 429: {changes:?}");
    assert!(
        refused[0].answer.contains("M_LIMIT_EXCEEDED"),
        "{}",
        refused[0].answer
    );
    // Without obeying, ten messages against one a second would be hammered at.
    assert!(refused.len() < 40, "{} refusals", refused.len());
    let mut bodies: Vec<String> = server
        .messages(&bot, &room)
        .await
        .iter()
        .map(|event| event["content"]["body"].to_string())
        .collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 10, "{bodies:?}");
    assert_eq!(server.messages(&bot, &room).await.len(), 10);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_locked_unlocked_by_undo_and_signed_out() {
    let server = Homeserver::found();
    let admin = server.sign_in("admin").await;
    let victim = server.sign_in("svc-backup").await;
    let homeserver = instance("synapse", &server.url, &[("token", &admin.token)]);
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![homeserver]);
    let target = account(&victim.id);
    let locked = engine
        .act("identity::suspend", &target, &json!({}))
        .await
        .succeeded();
    let (status, answer) = server.who_am_i(&victim).await;
    assert_eq!((status, &answer["errcode"]), (401, &json!("M_USER_LOCKED")));
    engine.undo(locked.run).await.unwrap().succeeded();
    assert_eq!(server.who_am_i(&victim).await.0, 200);
    engine
        .act("identity::revoke_sessions", &target, &json!({}))
        .await
        .succeeded();
    let (status, answer) = server.who_am_i(&victim).await;
    assert_eq!((status, &answer["errcode"]), (401, &json!("M_UNKNOWN_TOKEN")));
    // An account that is not there is not made by locking it.
    let nobody = engine
        .act("synapse::lock_user", &account("@nobody:cordon.test"), &json!({}))
        .await;
    assert_eq!(nobody.code(), "target-not-found");
    let (status, _) = server
        .ask(
            Method::GET,
            "/_synapse/admin/v2/users/@nobody:cordon.test",
            &admin.token,
            Value::Null,
        )
        .await;
    assert_eq!(status, 404);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_the_right_is_refused_with_what_it_lacks() {
    let server = Homeserver::found();
    let bot = server.sign_in("bot").await;
    let homeserver = instance("synapse", &server.url, &[("token", &bot.token)]);
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![homeserver]);
    let refused = engine
        .act(
            "synapse::lock_user",
            &account("@svc-backup:cordon.test"),
            &json!({}),
        )
        .await;
    assert_eq!(refused.code(), "permission");
    engine.close().await;
}
