//! Where a hostile address cannot lead: every way of writing an inner one, redirects, names that resolve to one, and
//! user names that look like hosts. A trap listens on loopback; nothing may ever connect to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::vendor::{NOW, Reply, Vendor, catalog};
use crate::action::Outcome;
use crate::clock::SetClock;
use crate::connector::egress::{Names, tests::Told};
use crate::connector::{Acted, HostPattern, Instance, Instances, Invoker, bind};
use crate::script::Evaluators;
use crate::secret::Secret;

/// Counts who connects.
struct Trap {
    port: u16,
    caught: Arc<AtomicUsize>,
}

impl Trap {
    async fn set() -> Trap {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let trap = Trap {
            port: listener.local_addr().unwrap().port(),
            caught: Arc::default(),
        };
        let caught = trap.caught.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                caught.fetch_add(1, Ordering::SeqCst);
            }
        });
        trap
    }

    /// Nobody came, and nobody is on the way.
    async fn is_empty(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(self.caught.load(Ordering::SeqCst), 0, "something connected");
    }
}

fn invoker(names: Names) -> Invoker {
    let evaluators = Arc::new(Evaluators::start(1).unwrap());
    Invoker::looking_up(names, evaluators, Arc::new(SetClock::at(NOW))).unwrap()
}

fn instance(connector: &str, base_url: Option<String>) -> Instance {
    let secrets = [
        ("token", "hunter2-of-the-service"),
        ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("username", "cordon"),
        ("password", "hunter2-of-the-server"),
    ];
    Instance {
        name: connector.into(),
        connector: connector.into(),
        base_url: base_url.map(|url| url.parse().unwrap()),
        hosts: vec![
            HostPattern::parse("api.example.com").unwrap(),
            HostPattern::parse("*.eu.example.com").unwrap(),
        ],
        credentials: secrets
            .map(|(name, text)| (name.to_owned(), Secret::new(text)))
            .into(),
        settings: [("base", "DC=x"), ("from", "cordon@a.example")]
            .map(|(name, text)| (name.to_owned(), json!(text)))
            .into(),
        ..Instance::default()
    }
}

async fn act(invoker: &Invoker, action: &str, instance: Instance, args: &Value) -> Acted {
    let action = action.parse().unwrap();
    let instances = Instances {
        all: vec![instance],
        ..Instances::default()
    };
    let bound = bind(catalog(), &instances, &action, None, None)
        .unwrap()
        .remove(0);
    invoker
        .act(&bound, None, args.as_object().unwrap(), "key-7")
        .await
}

fn code(acted: &Acted) -> String {
    match &acted.outcome {
        Outcome::NotDone { fault, .. } => fault.code.clone(),
        other => panic!("{other:?}"),
    }
}

/// The three actions by which a playbook, and so perhaps an alert, says where a request goes.
fn to(url: &str) -> [(&'static str, &'static str, Value); 3] {
    [
        ("http::get", "http", json!({ "url": url })),
        ("http::post", "http", json!({ "url": url, "json": { "a": 1 } })),
        (
            "webhook::send",
            "webhook",
            json!({ "to": url, "subject": "s", "text": "t" }),
        ),
    ]
}

#[tokio::test]
async fn no_way_of_writing_an_address_leads_beyond_the_declared_hosts() {
    let trap = Trap::set().await;
    let port = trap.port;
    // Were anything looked up, it would be the trap.
    let told = Told::of(&["127.0.0.1"]);
    let invoker = invoker(Names::Told(told.clone()));
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "localhost",
        "169.254.169.254",
        "evil.example",
        "api.example.com.evil.example",
        "xapi.example.com",
        "eu.example.com",
        "api.example.com@127.0.0.1",
        "api.example.com:x@127.0.0.1",
        "api.example.com%2f@127.0.0.1",
        "api.example.com%00.evil.example",
        "api.example.com\\@127.0.0.1",
        "user:word@api.example.com",
        "api.example.com\t.evil.example",
        "①②⑦.0.0.1",
        "ａｐｉ.evil.example",
    ];
    for host in hosts {
        for url in [format!("https://{host}:{port}/"), format!("https://{host}/")] {
            for (action, connector, args) in to(&url) {
                let acted = act(&invoker, action, instance(connector, None), &args).await;
                assert_eq!(code(&acted), "egress-refused", "{action} {url}");
                assert!(acted.requests.is_empty(), "{action} {url}");
            }
        }
    }
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
        format!("https://api.example.com:{port}/"),
        "https://api.example.com/../x?a=b".to_owned(),
        "http://api.example.com/".to_owned(),
    ] {
        for (action, connector, args) in to(&url) {
            let acted = act(&invoker, action, instance(connector, None), &args).await;
            let code = code(&acted);
            assert!(
                ["egress-refused", "bad-argument"].contains(&code.as_str()),
                "{action} {url}: {code}"
            );
            assert!(acted.requests.is_empty(), "{action} {url}");
        }
    }
    assert_eq!(told.asked(), 0, "a host that is not declared was looked up");
    trap.is_empty().await;
}

#[tokio::test]
async fn a_declared_host_that_resolves_to_an_inner_address_is_not_connected_to() {
    let trap = Trap::set().await;
    for answer in [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "0.0.0.0",
        "64:ff9b::7f00:1",
        "10.0.0.1 127.0.0.1",
    ] {
        let told = Told::of(&[answer]);
        let invoker = invoker(Names::Told(told.clone()));
        for (action, connector, args) in to("https://api.example.com/x") {
            let acted = act(&invoker, action, instance(connector, None), &args).await;
            assert_eq!(code(&acted), "egress-refused", "{action} {answer} {acted:?}");
        }
        // Once for each request: nobody looks again between judging and connecting.
        assert_eq!(told.asked(), 3, "{answer}");
    }
    trap.is_empty().await;
}

#[tokio::test]
async fn a_server_an_operator_named_is_not_connected_to_where_its_name_means_an_inner_address() {
    let trap = Trap::set().await;
    let mail = json!({ "to": "ann@b.example", "subject": "s", "text": "t" });
    for answer in ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "10.0.0.1 ::1"] {
        for scheme in ["smtp", "smtps"] {
            let told = Told::of(&[answer]);
            let base = format!("{scheme}://mail.corp.example:{}", trap.port);
            let acted = act(
                &invoker(Names::Told(told.clone())),
                "email::send",
                instance("email", Some(base)),
                &mail,
            )
            .await;
            assert_eq!(
                (code(&acted).as_str(), told.asked()),
                ("egress-refused", 1),
                "{scheme} {answer}"
            );
        }
        for scheme in ["ldap", "ldaps"] {
            let told = Told::of(&[answer]);
            let base = format!("{scheme}://dc1.corp.example:{}", trap.port);
            let instances = Instances {
                all: vec![instance("ldap", Some(base))],
                ..Instances::default()
            };
            let entity = crate::finding::Entity::new(
                crate::finding::EntityType::User,
                crate::finding::Role::Affected,
                "ann",
            )
            .unwrap();
            let action = "ldap::lookup".parse().unwrap();
            let bound = bind(catalog(), &instances, &action, Some(&entity), None)
                .unwrap()
                .remove(0);
            let looked = invoker(Names::Told(told.clone())).resolve(&bound, &entity).await;
            let (fault, _) = looked.result.unwrap_err();
            assert_eq!(
                (fault.code.as_str(), told.asked()),
                ("egress-refused", 1),
                "{scheme} {answer}"
            );
        }
    }
    // By the machine's own names too.
    for scheme in ["smtp", "smtps"] {
        let base = format!("{scheme}://localhost:{}", trap.port);
        let acted = act(
            &invoker(Names::Machine),
            "email::send",
            instance("email", Some(base)),
            &mail,
        )
        .await;
        assert_eq!(code(&acted), "egress-refused", "{scheme}");
    }
    trap.is_empty().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_wherever_it_leads() {
    let trap = Trap::set().await;
    for status in [301, 302, 303, 307, 308] {
        for place in [
            format!("http://127.0.0.1:{}/", trap.port),
            format!("https://localhost:{}/", trap.port),
            format!("//127.0.0.1:{}/", trap.port),
        ] {
            let vendor = Vendor::start().await;
            for line in ["GET /x", "POST /x"] {
                vendor.on(line, Reply::With(status, "location", place.clone(), json!({})));
            }
            let base = Some(vendor.base.to_string());
            for (action, connector, args) in to("/x") {
                let acted = act(
                    &invoker(Names::Machine),
                    action,
                    instance(connector, base.clone()),
                    &args,
                )
                .await;
                assert!(
                    !matches!(acted.outcome, Outcome::Done { .. }),
                    "{action} {status} {place}"
                );
            }
            assert_eq!(vendor.seen().len(), 3);
        }
    }
    trap.is_empty().await;
}
