//! LDAP against a directory of a few lines that knows its answers as bytes: what each code means, and what is known
//! when it breaks. A real directory is asked in `tests/counterparties`.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::vendor::{invoker, own};
use crate::action::Outcome;
use crate::connector::{Acted, Instance, Overrides};
use crate::secret::Secret;

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;
const MODIFY: u8 = 0x66;

/// One BER element with a short or a two-byte length.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ 0..=127) => bytes.push(length),
        _ => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

fn message(id: u8, operation: Vec<u8>) -> Vec<u8> {
    element(0x30, &[element(0x02, &[id]), operation].concat())
}

fn result(tag: u8, code: u8, text: &str) -> Vec<u8> {
    let parts = [
        element(0x0a, &[code]),
        element(0x04, b""),
        element(0x04, text.as_bytes()),
    ];
    element(tag, &parts.concat())
}

fn entry(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let list: Vec<u8> = attributes
        .iter()
        .flat_map(|(name, values)| {
            let values: Vec<u8> = values.iter().flat_map(|value| element(0x04, value)).collect();
            element(
                0x30,
                &[element(0x04, name.as_bytes()), element(0x31, &values)].concat(),
            )
        })
        .collect();
    element(
        0x64,
        &[element(0x04, dn.as_bytes()), element(0x30, &list)].concat(),
    )
}

/// What the directory does.
#[derive(Clone, Copy)]
enum Does {
    /// Answers a bind and a modification with these codes.
    Codes(u8, u8),
    /// Takes the modification and ends.
    Breaks,
    /// Answers what is no LDAP.
    Nonsense,
}

/// An operation's tag, and its whole message.
type Operation = (u8, Vec<u8>);

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Operation>>>);

impl Heard {
    fn operations(&self) -> Vec<u8> {
        self.0.lock().unwrap().iter().map(|(tag, _)| *tag).collect()
    }

    fn holds(&self, text: &str) -> bool {
        let heard = self.0.lock().unwrap();
        heard
            .iter()
            .any(|(_, bytes)| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    }
}

async fn directory(does: Does) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let serving = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, does, serving.clone()));
        }
    });
    (port, heard)
}

async fn serve(mut stream: TcpStream, does: Does, heard: Heard) -> Option<()> {
    loop {
        // Every request of these tests is shorter than 128 bytes below its first length or says two bytes.
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.ok()?;
        let length = match head[1] {
            0x81 => usize::from(stream.read_u8().await.ok()?),
            0x82 => usize::from(stream.read_u16().await.ok()?),
            short => usize::from(short),
        };
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let (id, tag) = (body[2], body[3]);
        heard.0.lock().unwrap().push((tag, body.clone()));
        let answers = match (tag, does) {
            (BIND, Does::Codes(bind, _)) => vec![result(
                0x61,
                bind,
                "comment: AcceptSecurityContext error, data 533, v1db1",
            )],
            (BIND, _) => vec![result(0x61, 0, "")],
            (MODIFY, Does::Codes(_, modify)) => vec![result(0x67, modify, "because")],
            (MODIFY, Does::Breaks) => return None,
            (SEARCH, Does::Nonsense) => vec![element(0x64, &element(0x02, &[1]))],
            (SEARCH, Does::Codes(_, code)) if code != 0 => vec![result(0x65, code, "")],
            (SEARCH, _) => {
                let guid: Vec<u8> = (0..16).collect();
                let found = entry(
                    "CN=Ann,DC=x",
                    &[
                        ("sAMAccountName", &[b"ann"]),
                        ("memberOf", &[b"CN=a", b"CN=b"]),
                        ("objectGUID", &[&guid]),
                        ("logonHours", &[&[0xff, 0xfe]]),
                    ],
                );
                vec![found, result(0x65, 0, "")]
            }
            _ => return None,
        };
        for answer in answers {
            stream.write_all(&message(id, answer)).await.ok()?;
        }
    }
}

const MANIFEST: &str = r#"
transport = "ldap"
[auth]
kind = "basic"
[actions.change]
title = "Changes"
class = "set"
irreversible = true
permission = "Write userAccountControl"
[actions.look]
title = "Looks"
class = "read"
permission = "Read"
"#;
const SCRIPT: &str = r#"
    fn change(target, args) {
        let answer = ldap::modify("CN=Ann,DC=x", #{ replace: #{ userAccountControl: ["514"] } });
        if answer.code == 0 {
            return #{ done: true };
        }
        #{ not_done: true, code: answer.name, message: answer.message }
    }
    fn look(target, args) { #{ done: true } }
"#;

fn instance(port: u16) -> Instance {
    Instance {
        name: "own".into(),
        base_url: Some(format!("ldap://127.0.0.1:{port}").parse().unwrap()),
        without_tls: true,
        credentials: [("username", "cordon@x"), ("password", "hunter2-of-the-directory")]
            .map(|(name, text)| (name.to_owned(), Secret::new(text)))
            .into(),
        overrides: Overrides {
            timeout_ms: Some(2_000),
            ..Overrides::default()
        },
        ..Instance::default()
    }
}

fn word(acted: &Acted) -> String {
    match &acted.outcome {
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::NotDone { fault, retry } => format!("not done {retry:?} {}", fault.code),
        Outcome::Unknown { fault } => format!("unknown {}", fault.code),
    }
}

async fn change(does: Does) -> (Acted, Heard) {
    let (port, heard) = directory(does).await;
    let bound = own(MANIFEST, SCRIPT, instance(port));
    let acted = invoker()
        .act(&bound, None, &serde_json::Map::new(), "key-7")
        .await;
    assert!(!format!("{acted:?}").contains("hunter2"));
    (acted, heard)
}

#[tokio::test]
async fn each_code_of_a_change_means_what_it_does() {
    for (code, expected) in [
        (0, "done"),
        (50, "not done Never permission"),
        (51, "not done Backoff vendor-busy"),
        (52, "not done Backoff vendor-busy"),
        (53, "not done Never unwillingToPerform"),
        (32, "not done Never noSuchObject"),
        (20, "not done Never attributeOrValueExists"),
    ] {
        let (acted, heard) = change(Does::Codes(0, code)).await;
        assert_eq!(word(&acted), expected);
        assert_eq!(heard.operations()[..2], [BIND, MODIFY]);
        if code == 50 {
            let Outcome::NotDone { fault, .. } = &acted.outcome else {
                panic!("{acted:?}")
            };
            assert!(fault.message.contains("Write userAccountControl"), "{fault}");
        }
        let [line] = acted.requests.as_slice() else {
            panic!("{:?}", acted.requests)
        };
        assert_eq!(
            (line.method.as_str(), line.status),
            ("MODIFY", Some(u16::from(code)))
        );
        assert!(!format!("{line:?}").contains("Ann"), "{line:?}");
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_unknown_and_sent_once() {
    let (acted, heard) = change(Does::Breaks).await;
    assert_eq!(word(&acted), "unknown connection-lost", "{acted:?}");
    assert_eq!(heard.operations(), [BIND, MODIFY]);
}

#[tokio::test]
async fn a_refused_bind_changes_nothing_and_says_why() {
    let (acted, heard) = change(Does::Codes(49, 0)).await;
    assert_eq!(word(&acted), "not done Never credentials");
    let Outcome::NotDone { fault, .. } = &acted.outcome else {
        panic!("{acted:?}")
    };
    assert!(fault.message.contains("the account is disabled"), "{fault}");
    assert_eq!(heard.operations(), [BIND]);
    assert_eq!(
        word(&change(Does::Codes(8, 0)).await.0),
        "not done Never tls-required"
    );
    assert_eq!(
        word(&change(Does::Codes(52, 0)).await.0),
        "not done Backoff vendor-busy"
    );
}

#[tokio::test]
async fn a_password_is_not_sent_without_tls() {
    let (port, heard) = directory(Does::Codes(0, 0)).await;
    let instance = Instance {
        without_tls: false,
        ..instance(port)
    };
    let bound = own(MANIFEST, SCRIPT, instance);
    let acted = invoker()
        .act(&bound, None, &serde_json::Map::new(), "key-7")
        .await;
    assert_eq!(word(&acted), "not done Backoff unreachable");
    assert!(!heard.operations().contains(&BIND) && !heard.holds("hunter2"));
}

#[tokio::test]
async fn nothing_listens_is_not_done() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let bound = own(MANIFEST, SCRIPT, instance(port));
    let acted = invoker()
        .act(&bound, None, &serde_json::Map::new(), "key-7")
        .await;
    assert_eq!(word(&acted), "not done Backoff unreachable");
}

async fn look(does: Does, options: &str) -> (Acted, Heard) {
    let script = SCRIPT.replace(
        "fn look(target, args) { #{ done: true } }",
        &format!("fn look(target, args) {{ #{{ done: true, result: ldap::search({options}) }} }}"),
    );
    // The first action of a manifest is the one that `own` binds.
    let manifest = MANIFEST
        .replace("[actions.change]", "[actions.later]")
        .replace("fn change", "fn later");
    let (first, rest) = manifest.split_once("[actions.later]").unwrap();
    let (change, look) = rest.split_once("[actions.look]").unwrap();
    let manifest = format!("{first}[actions.look]{look}[actions.change]{change}");
    let (port, heard) = directory(does).await;
    let bound = own(&manifest, &script, instance(port));
    (
        invoker()
            .act(&bound, None, &serde_json::Map::new(), "key-7")
            .await,
        heard,
    )
}

#[tokio::test]
async fn what_is_found_reads_as_texts_by_names_in_lower_case() {
    let (acted, heard) = look(
        Does::Codes(0, 0),
        r#"#{ base: "DC=x", filter: #{ objectClass: "user", sAMAccountName: "a*)(uid=*" }, attributes: ["memberOf"] }"#,
    )
    .await;
    let Outcome::Done { result, .. } = &acted.outcome else {
        panic!("{acted:?}")
    };
    let entries: &Value = &result["entries"];
    assert_eq!(entries[0]["dn"], "CN=Ann,DC=x");
    let expected = json!({
        "samaccountname": ["ann"],
        "memberof": ["CN=a", "CN=b"],
        "objectguid": ["03020100-0504-0706-0809-0a0b0c0d0e0f"],
        "logonhours": ["//4="],
    });
    assert_eq!(entries[0]["attributes"], expected);
    // The value went out as a value: nothing in it became part of the filter.
    assert!(heard.holds("a*)(uid=*"));
}

#[tokio::test]
async fn a_search_without_a_filter_is_refused_and_broken_answers_are_not_done() {
    for (does, options, expected) in [
        (
            Does::Codes(0, 0),
            r#"#{ base: "DC=x" }"#,
            "not done Never connector-script",
        ),
        (
            Does::Codes(0, 0),
            r#"#{ base: "DC=x", filter: #{ "a)(b": "x" } }"#,
            "not done Never connector-script",
        ),
        (
            Does::Codes(0, 0),
            r#"#{ base: "DC=x", filter: #{ cn: " " } }"#,
            "not done Never connector-script",
        ),
        (
            Does::Codes(0, 4),
            r#"#{ base: "DC=x", filter: #{ cn: "x" } }"#,
            "not done Never too-large",
        ),
        (
            Does::Codes(0, 50),
            r#"#{ base: "DC=x", filter: #{ cn: "x" } }"#,
            "not done Never permission",
        ),
        (Does::Codes(0, 32), r#"#{ base: "DC=x", scope: "base" }"#, "done"),
        (
            Does::Nonsense,
            r#"#{ base: "DC=x", scope: "base" }"#,
            "not done Backoff connection-lost",
        ),
    ] {
        assert_eq!(word(&look(does, options).await.0), expected, "{options}");
    }
}
