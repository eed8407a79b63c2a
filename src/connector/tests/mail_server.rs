//! SMTP against a server of a few lines: who is told what, and what is known when it breaks. Real servers are asked
//! in `tests/counterparties`.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::vendor::{invoker, own};
use crate::action::{Outcome, Retry};
use crate::connector::{Acted, Instance};
use crate::secret::Secret;

/// How the server answers, by the command's first word; what it does not name it takes.
#[derive(Clone, Copy, Default)]
struct Answers {
    mail: &'static str,
    /// To every recipient whose address holds this, that.
    rcpt: &'static [(&'static str, &'static str)],
    auth: &'static str,
    data: &'static str,
    /// After the message; `""` breaks the connection.
    message: Option<&'static str>,
    /// Break at this command.
    break_at: &'static str,
    /// What `EHLO` offers.
    offers: &'static [&'static str],
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn message(&self) -> String {
        let lines = self.lines();
        let start = lines.iter().position(|line| line == "DATA").unwrap();
        lines[start + 1..].join("\n")
    }
}

async fn server(answers: Answers) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let serving = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answers, serving.clone()));
        }
    });
    (port, heard)
}

async fn serve(stream: TcpStream, answers: Answers, heard: Heard) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"220 mail.example\r\n").await.ok()?;
    let or = |given: &'static str, usual: &'static str| if given.is_empty() { usual } else { given };
    let mut in_message = false;
    while let Some(line) = lines.next_line().await.ok()? {
        heard.0.lock().unwrap().push(line.clone());
        if in_message {
            if line != "." {
                continue;
            }
            in_message = false;
            match answers.message {
                Some("") => return None,
                given => {
                    let text = format!("{}\r\n", given.unwrap_or("250 2.0.0 queued as Q1"));
                    write.write_all(text.as_bytes()).await.ok()?;
                }
            }
            continue;
        }
        let word = line.split(' ').next()?.to_uppercase();
        if word == answers.break_at {
            return None;
        }
        let answer = match word.as_str() {
            "EHLO" => {
                let offers: String = answers
                    .offers
                    .iter()
                    .map(|one| format!("250-{one}\r\n"))
                    .collect();
                write.write_all(offers.as_bytes()).await.ok()?;
                "250 mail.example"
            }
            "MAIL" => or(answers.mail, "250 2.1.0 ok"),
            "RCPT" => answers
                .rcpt
                .iter()
                .find(|(part, _)| line.contains(part))
                .map_or("250 2.1.5 ok", |(_, answer)| *answer),
            "AUTH" => or(answers.auth, "235 2.7.0 ok"),
            "DATA" => {
                let answer = or(answers.data, "354 go ahead");
                in_message = answer.starts_with("354");
                answer
            }
            "QUIT" => "221 bye",
            _ => "500 what",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
    Some(())
}

const MANIFEST: &str = r#"
transport = "smtp"
[auth]
kind = "none"
[actions.send]
title = "Sends"
class = "keyed"
irreversible = true
permission = "send"
args = { mail = "required" }
"#;
const SENDS: &str = "fn send(target, args) { #{ done: true, result: smtp::send(args.mail) } }";

fn mail() -> Value {
    json!({ "from": "Cordon <cordon@a.example>", "to": ["ann@b.example"], "subject": "Host isolated", "text": "web-07" })
}

fn instance(port: u16) -> Instance {
    Instance {
        name: "own".into(),
        base_url: Some(format!("smtp://127.0.0.1:{port}").parse().unwrap()),
        without_tls: true,
        ..Instance::default()
    }
}

async fn send_at(manifest: &str, instance: Instance, mail: Value) -> Acted {
    let bound = own(manifest, SENDS, instance);
    let args = json!({ "mail": mail });
    invoker()
        .act(&bound, None, args.as_object().unwrap(), "key/7")
        .await
}

async fn send(answers: Answers, mail: Value) -> (Acted, Heard) {
    let (port, heard) = server(answers).await;
    (send_at(MANIFEST, instance(port), mail).await, heard)
}

fn result(acted: &Acted) -> &Value {
    match &acted.outcome {
        Outcome::Done { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

fn word(acted: &Acted) -> String {
    match &acted.outcome {
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::NotDone { fault, retry } => format!("not done {retry:?} {}", fault.code),
        Outcome::Unknown { fault } => format!("unknown {}", fault.code),
    }
}

#[tokio::test]
async fn a_message_is_taken_once_and_known_by_its_key() {
    let (acted, heard) = send(Answers::default(), mail()).await;
    let expected = json!({ "accepted": ["ann@b.example"], "refused": [], "response": "2.0.0 queued as Q1" });
    assert_eq!(result(&acted), &expected);
    let message = heard.message();
    for line in [
        "From: Cordon <cordon@a.example>",
        "To: ann@b.example",
        "Subject: Host isolated",
        "Message-ID: <key.7@a.example>",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        "web-07",
    ] {
        assert!(message.contains(line), "{line} in {message}");
    }
    let [line] = acted.requests.as_slice() else {
        panic!("{:?}", acted.requests)
    };
    assert_eq!((line.method.as_str(), line.status), ("SEND", Some(250)));
    assert!(!format!("{line:?}").contains("ann@"), "{line:?}");
}

#[tokio::test]
async fn hostile_text_adds_no_header_no_recipient_and_no_second_message() {
    let mut hostile = mail();
    hostile["subject"] = json!("x\r\nBcc: evil@c.example\r\n\r\n<b>body</b>\u{2028}y");
    hostile["text"] = json!("one\r\n.\r\nMAIL FROM:<evil@c.example>\r\n\u{7}two\n.three");
    hostile["headers"] = json!({ "X-Cordon-Run": "r\r\nBcc: evil@c.example" });
    let (acted, heard) = send(Answers::default(), hostile).await;
    assert_eq!(word(&acted), "done");
    let lines = heard.lines();
    let commands = lines
        .iter()
        .filter(|line| line.starts_with("MAIL ") || line.starts_with("RCPT "));
    assert_eq!(commands.count(), 3, "{lines:?}"); // two commands, and one line of the text
    assert!(
        !lines.iter().any(|line| line.to_lowercase().starts_with("bcc:")),
        "{lines:?}"
    );
    let end = lines.iter().position(|line| line == ".").unwrap();
    assert_eq!(lines[end + 1..], ["QUIT"]);
    assert!(
        lines.contains(&"..three".to_owned()) || lines.contains(&"=2Ethree".to_owned()),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_is_no_address_is_refused_before_anyone_is_asked() {
    for bad in [
        json!("ann@b.example\r\nBcc: evil@c.example"),
        json!("ann@b.example, evil@c.example"),
        json!("<ann@b.example> evil@c.example"),
        json!("ann"),
        json!(""),
        json!([]),
        json!(["ann@b.example", ""]),
    ] {
        let mut one = mail();
        one["to"] = bad.clone();
        let (acted, heard) = send(Answers::default(), one).await;
        assert_eq!(word(&acted), "not done Never bad-argument", "{bad}");
        assert!(heard.lines().is_empty(), "{bad}");
    }
}

#[tokio::test]
async fn a_script_sets_no_header_that_is_ours() {
    for name in [
        "Bcc",
        "To",
        "From",
        "Content-Type",
        "Sender",
        "X-a\r\nBcc",
        "Return-Path",
    ] {
        let mut one = mail();
        one["headers"] = json!({ name: "evil@c.example" });
        let (acted, heard) = send(Answers::default(), one).await;
        assert_eq!(word(&acted), "not done Never connector-script", "{name}");
        assert!(heard.lines().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn recipients_that_are_refused_are_named_and_the_others_get_it() {
    let mut one = mail();
    one["to"] = json!(["gone@b.example", "ann@b.example", "slow@b.example"]);
    let rcpt = &[("gone", "550 5.1.1 no such user"), ("slow", "451 4.3.0 later")];
    let (acted, _) = send(
        Answers {
            rcpt,
            ..Answers::default()
        },
        one,
    )
    .await;
    let result = result(&acted);
    assert_eq!(result["accepted"], json!(["ann@b.example"]));
    assert_eq!(result["refused"][0]["to"], "gone@b.example");
    assert_eq!(result["refused"][0]["code"], 550);
    assert_eq!(result["refused"][1]["code"], 451);
    assert!(
        result["refused"][0]["text"]
            .as_str()
            .unwrap()
            .contains("no such user")
    );
}

#[tokio::test]
async fn each_way_of_not_taking_it_is_told_apart() {
    let base = Answers::default();
    for (answers, expected) in [
        (
            Answers {
                rcpt: &[("ann", "550 5.1.1 no")],
                ..base
            },
            "not done Never refused",
        ),
        (
            Answers {
                rcpt: &[("ann", "451 4.3.0 later")],
                ..base
            },
            "not done Backoff vendor-busy",
        ),
        (
            Answers {
                mail: "421 4.7.0 busy",
                ..base
            },
            "not done Backoff vendor-busy",
        ),
        (
            Answers {
                mail: "550 5.7.1 no relay",
                ..base
            },
            "not done Never refused",
        ),
        (
            Answers {
                data: "451 4.3.0 later",
                ..base
            },
            "not done Backoff vendor-busy",
        ),
        (
            Answers {
                message: Some("452 4.3.1 full"),
                ..base
            },
            "not done Backoff vendor-busy",
        ),
        (
            Answers {
                message: Some("554 5.7.1 spam"),
                ..base
            },
            "not done Never refused",
        ),
        (
            Answers {
                message: Some(""),
                ..base
            },
            "unknown connection-lost",
        ),
        (
            Answers {
                break_at: "MAIL",
                ..base
            },
            "not done Backoff connection-lost",
        ),
        (
            Answers {
                break_at: "RCPT",
                ..base
            },
            "not done Backoff connection-lost",
        ),
        (
            Answers {
                break_at: "DATA",
                ..base
            },
            "not done Backoff connection-lost",
        ),
    ] {
        let (acted, _) = send(answers, mail()).await;
        assert_eq!(word(&acted), expected);
    }
}

#[tokio::test]
async fn a_password_is_wanted_and_never_shown() {
    let manifest = MANIFEST.replace("kind = \"none\"", "kind = \"basic\"");
    for (answers, expected) in [
        (
            Answers {
                offers: &["AUTH PLAIN LOGIN"],
                ..Answers::default()
            },
            "done",
        ),
        (
            Answers {
                offers: &["AUTH PLAIN"],
                auth: "535 5.7.8 bad",
                ..Answers::default()
            },
            "not done Never credentials",
        ),
        (
            Answers {
                offers: &["AUTH PLAIN"],
                auth: "454 4.7.0 later",
                ..Answers::default()
            },
            "not done Backoff vendor-busy",
        ),
        (Answers::default(), "not done Never credentials"),
    ] {
        let (port, _) = server(answers).await;
        let instance = Instance {
            credentials: [("username", "cordon"), ("password", "hunter2-of-mail")]
                .map(|(name, text)| (name.to_owned(), Secret::new(text)))
                .into(),
            ..instance(port)
        };
        let acted = send_at(&manifest, instance, mail()).await;
        assert_eq!(word(&acted), expected);
        assert!(!format!("{acted:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn without_tls_nothing_is_said_but_to_this_machine_when_told_so() {
    let (port, heard) = server(Answers::default()).await;
    let instance = Instance {
        without_tls: false,
        ..instance(port)
    };
    let acted = send_at(MANIFEST, instance, mail()).await;
    assert_eq!(word(&acted), "not done Backoff unreachable");
    assert!(
        heard.lines().iter().all(|line| line.starts_with("EHLO")),
        "{:?}",
        heard.lines()
    );
    let Outcome::NotDone { fault, retry } = &acted.outcome else {
        panic!("{acted:?}")
    };
    assert!(
        fault.message.contains("STARTTLS") && *retry == Retry::Backoff,
        "{fault}"
    );
}
