//! Postfix with Dovecot: STARTTLS and TLS from the first byte, a password that is checked, mail read back from the
//! maildir, hostile text that stays text, and recipients that are refused for now and for good.

use std::path::PathBuf;
use std::time::Duration;

use cordon::action::Outcome;
use cordon::connector::{Ca, Catalog, Instance};
use cordon::journal::End;
use serde_json::{Value, json};

use crate::engine::{Ended, Engine};
use crate::{instance, told};

/// How often the box is looked into for a mail on its way, and with what pause.
const LOOKS_MAX: usize = 200;
const LOOK: Duration = Duration::from_millis(50);

fn server(variable: &str, password: &str) -> Instance {
    let url = told(variable);
    let user = told("CORDON_MAIL_USER");
    let pem = std::fs::read_to_string(told("CORDON_MAIL_CA")).unwrap();
    Instance {
        ca: Some(Ca::parse(&pem).unwrap()),
        settings: [("from".to_owned(), json!("Cordon <cordon@cordon.test>"))].into(),
        ..instance("email", &url, &[("username", &user), ("password", password)])
    }
}

fn engine(variable: &str) -> Engine {
    let instance = server(variable, &told("CORDON_MAIL_PASSWORD"));
    Engine::open(&Catalog::embedded().unwrap(), vec![instance])
}

async fn send(engine: &Engine, options: Value) -> Ended {
    engine.act("email::send", &Value::Null, &options).await
}

/// Every mail that is in the box now.
fn mails() -> Vec<String> {
    let new = PathBuf::from(told("CORDON_MAIL_BOX")).join("new");
    let Ok(entries) = std::fs::read_dir(new) else {
        return Vec::new();
    };
    entries
        .map(|entry| String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()).into_owned())
        .collect()
}

/// The mails with this id, once there are any.
async fn arrived(id: &str) -> Vec<String> {
    for _ in 0..LOOKS_MAX {
        let found: Vec<String> = mails()
            .into_iter()
            .filter(|mail| mail.contains(&format!("Message-ID: <{id}>")))
            .collect();
        if !found.is_empty() {
            return found;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("no mail with the id {id}");
}

fn result(ended: &Ended) -> Value {
    match ended.outcome() {
        Outcome::Done { result, .. } => result.clone(),
        other => panic!("{other:?}"),
    }
}

fn id(ended: &Ended) -> String {
    result(ended)["id"].as_str().unwrap().to_owned()
}

/// Head and body, lines of the head joined where they are folded.
fn parts(mail: &str) -> (Vec<String>, String) {
    let mail = mail.replace("\r\n", "\n");
    let (head, body) = mail.split_once("\n\n").unwrap();
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    (head.lines().map(str::to_owned).collect(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_by_starttls_and_by_tls_from_the_first_byte() {
    for variable in ["CORDON_MAIL_STARTTLS", "CORDON_MAIL_TLS"] {
        let engine = engine(variable);
        let ended = send(
            &engine,
            json!({ "to": "oncall@cordon.test", "subject": "Gerät web-07 getrennt", "text": "Was geschah: …\nUndo?" }),
        )
        .await;
        assert_eq!(ended.end, End::Succeeded, "{:#?}", ended.state.settled);
        let [mail] = arrived(&id(&ended)).await.try_into().unwrap();
        let (head, body) = parts(&mail);
        assert!(
            head.iter().any(|line| line.starts_with("To: oncall@cordon.test")),
            "{head:?}"
        );
        assert!(
            head.iter()
                .any(|line| line.starts_with("Auto-Submitted: auto-generated")),
            "{head:?}"
        );
        assert!(
            head.iter().any(|line| line.contains("with ESMTPSA")),
            "it came over TLS and after AUTH: {head:?}"
        );
        assert!(
            body.contains("text/plain") && body.contains("text/html"),
            "{body}"
        );
        engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_of_an_alert_stays_text() {
    let engine = engine("CORDON_MAIL_STARTTLS");
    let hostile =
        "web-07\r\nBcc: evil@cordon.test\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>";
    let text = "<img src=x onerror=alert(1)> & \"quotes\"\r\n.\r\nMAIL FROM:<evil@cordon.test>\r\nRCPT TO:<evil@cordon.test>";
    let ended = send(
        &engine,
        json!({ "to": ["oncall@cordon.test"], "subject": hostile, "text": text }),
    )
    .await;
    let found = arrived(&id(&ended)).await;
    assert_eq!(found.len(), 1);
    let (head, body) = parts(&found[0]);
    let named = |name: &str| {
        head.iter()
            .filter(|line| line.to_lowercase().starts_with(name))
            .count()
    };
    assert_eq!(
        (
            named("bcc:"),
            named("to:"),
            named("subject:"),
            named("content-type:")
        ),
        (0, 1, 1, 1),
        "{head:?}"
    );
    assert!(
        head.iter()
            .any(|line| line.starts_with("Content-Type: multipart/alternative")),
        "{head:?}"
    );
    let html = body.split("text/html").nth(1).unwrap();
    assert!(!html.contains("<img") && !html.contains("<script"), "{html}");
    assert!(html.contains("&lt;img"), "{html}");
    // Nobody else got anything, and nothing came as another message.
    assert!(
        mails()
            .iter()
            .all(|mail| !mail.contains("Delivered-To: evil") && !mail.contains("for <evil@"))
    );
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_are_refused_are_named_and_the_others_get_it() {
    let engine = engine("CORDON_MAIL_STARTTLS");
    let to = json!(["gone@cordon.test", "oncall@cordon.test", "slow@cordon.test"]);
    let ended = send(&engine, json!({ "to": to, "subject": "three", "text": "x" })).await;
    assert_eq!(ended.end, End::Succeeded);
    let result = result(&ended);
    assert_eq!(result["accepted"], json!(["oncall@cordon.test"]));
    let refused: Vec<(&str, i64)> = result["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["to"].as_str().unwrap(), one["code"].as_i64().unwrap()))
        .collect();
    assert_eq!(refused, [("gone@cordon.test", 550), ("slow@cordon.test", 451)]);
    assert!(
        result["refused"][0]["text"]
            .as_str()
            .unwrap()
            .contains("no such box"),
        "{result}"
    );
    arrived(&id(&ended)).await;
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_refused_for_good_is_not_asked_again_and_one_for_now_is() {
    let engine = engine("CORDON_MAIL_TLS");
    let gone = send(
        &engine,
        json!({ "to": "gone@cordon.test", "subject": "no", "text": "x" }),
    )
    .await;
    assert_eq!((gone.end, gone.code().as_str()), (End::Kept, "refused"));
    assert_eq!(gone.effect().attempts.len(), 1);
    let slow = send(
        &engine,
        json!({ "to": "slow@cordon.test", "subject": "later", "text": "x" }),
    )
    .await;
    assert_eq!((slow.end, slow.code().as_str()), (End::Kept, "vendor-busy"));
    assert!(slow.effect().attempts.len() > 1, "{:#?}", slow.effect().attempts);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_server_of_another_authority_get_nothing() {
    let before = mails().len();
    let wrong = server("CORDON_MAIL_STARTTLS", "not-the-password");
    let engine = Engine::open(&Catalog::embedded().unwrap(), vec![wrong]);
    let options = json!({ "to": "oncall@cordon.test", "subject": "never-arrives", "text": "x" });
    let ended = send(&engine, options.clone()).await;
    assert_eq!((ended.end, ended.code().as_str()), (End::Kept, "credentials"));
    engine.close().await;
    for variable in ["CORDON_MAIL_STARTTLS", "CORDON_MAIL_TLS"] {
        let mut untrusted = server(variable, &told("CORDON_MAIL_PASSWORD"));
        untrusted.ca = None;
        let engine = Engine::open(&Catalog::embedded().unwrap(), vec![untrusted]);
        let ended = send(&engine, options.clone()).await;
        assert_eq!((ended.end, ended.code().as_str()), (End::Kept, "unreachable"));
        engine.close().await;
    }
    assert!(
        mails().iter().all(|mail| !mail.contains("never-arrives")),
        "{before} before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stands_in_the_thread_of_what_it_answers() {
    let engine = engine("CORDON_MAIL_STARTTLS");
    let first = send(
        &engine,
        json!({ "to": "oncall@cordon.test", "subject": "first", "text": "x" }),
    )
    .await;
    let first_id = id(&first);
    let options = json!({ "to": "oncall@cordon.test", "subject": "second", "text": "x", "thread": first_id, "severity": "critical" });
    let second = send(&engine, options).await;
    assert_eq!(result(&second)["thread"], first_id.as_str());
    let [mail] = arrived(&id(&second)).await.try_into().unwrap();
    let (head, _) = parts(&mail);
    for line in [
        format!("In-Reply-To: <{first_id}>"),
        format!("References: <{first_id}>"),
        "Importance: high".into(),
    ] {
        assert!(head.contains(&line), "{line} in {head:?}");
    }
    engine.close().await;
}
