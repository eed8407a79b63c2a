//! Everything strangers send that is not an alert: each gets its right answer, and whatever got a 2xx is there
//! afterwards, with what became of it.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use cordon::app::{ServeOptions, Server};
use cordon::config::Config;
use cordon::range::Status;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::estate::{CONTAIN, FIXED, Setup, TRIGGER, finding, range};
use crate::house::{House, Way, signature};

fn data(path: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(path),
    )
    .unwrap()
}

/// Bodies that nobody can read, by what is wrong with them.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let good = finding("f-bad", &["web-07"]).to_string().into_bytes();
    let wide = format!("[{}]", vec!["1"; 60_000].join(","));
    let many: Vec<_> = (0..501)
        .map(|n| finding(&format!("m-{n}"), &["web-07"]))
        .collect();
    vec![
        ("truncated JSON", good[..good.len() / 2].to_vec()),
        ("cut in a text", br#"{"title":"Malwa"#.to_vec()),
        ("nested arrays", vec![b'['; 100_000]),
        ("nested objects", br#"{"a":"#.repeat(20_000)),
        ("invalid UTF-8", b"{\"title\":\"\xff\xfe\"}".to_vec()),
        ("half a surrogate", br#"{"title":"\ud800"}"#.to_vec()),
        ("duplicate keys", br#"{"title":"a","title":"b"}"#.to_vec()),
        (
            "duplicate keys inside",
            br#"{"title":"a","rule":{"uid":"1","uid":"2"}}"#.to_vec(),
        ),
        ("empty", Vec::new()),
        ("blank", b" \n\t ".to_vec()),
        ("zero bytes", vec![0; 64]),
        (
            "gzip without its header",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec(),
        ),
        ("a text", br#""malware""#.to_vec()),
        ("a number", b"1e999".to_vec()),
        ("NaN", br#"{"title":NaN}"#.to_vec()),
        ("a comment", br#"{"title":"a"} // well"#.to_vec()),
        ("XML", b"<alert/>".to_vec()),
        ("a form", b"title=Malware&severity=high".to_vec()),
        ("another format", data("alerts/splunk/notable.json")),
        ("too many values", wide.into_bytes()),
        ("too many findings", json!(many).to_string().into_bytes()),
    ]
}

/// True when an event gives a reason in words.
fn said_why(told: &Value) -> bool {
    let why = told["event"]["alert_unreadable"]["why"].as_str();
    why.is_some_and(|why| why.len() > 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_listed_and_processed_again() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), range(&["web-07"]).await, Setup::new(CONTAIN)).await;
    let way = &house.way;
    let mut sent = HashMap::new();
    for (n, (what, body)) in unreadable().into_iter().enumerate() {
        let answer = way.signed(&format!("msg_{n}"), &body).await;
        assert_eq!(answer.status, 202, "{what}: {}", answer.text);
        sent.insert(answer.alert(), (what, body));
    }
    let mut listed = Vec::new();
    for (alert, (what, body)) in &sent {
        assert_eq!(way.disposition(alert).await, "unreadable", "{what}");
        let whole = way.get(&format!("/api/alerts/{alert}")).await.body;
        let raw = match (whole["body"].as_str(), whole["body_base64"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(text)) => BASE64.decode(text.as_bytes()).unwrap(),
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(&raw, body, "{what}");
        assert_eq!(whole["digest_ok"], true, "{what}");
        assert!(said_why(&whole["events"][1]), "{what}: {whole}");
        listed.push(alert.clone());
    }
    let mut found: Vec<String> = way
        .alerts("unreadable")
        .await
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
    // Nothing changed, so they are as unreadable as before; the journal says that somebody tried.
    for alert in &listed {
        let again = way
            .post(&format!("/api/alerts/{alert}/reprocess"), json!({}))
            .await;
        assert_eq!(again.status, 200, "{}", again.text);
        assert_eq!(way.disposition(alert).await, "unreadable");
        let whole = way.get(&format!("/api/alerts/{alert}")).await.body;
        let kinds: Vec<_> = whole["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            kinds,
            [
                "alert_accepted",
                "alert_unreadable",
                "alert_reopened",
                "alert_unreadable"
            ]
        );
        assert_eq!(whole["digest_ok"], true);
    }
    way.balanced(sent.len()).await;
    assert!(
        way.get("/api/runs").await.body["runs"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_is_refused_and_nothing_of_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), range(&["web-07"]).await, Setup::new(CONTAIN)).await;
    let way = &house.way;
    let body = finding("f-1", &["web-07"]).to_string().into_bytes();
    let good = signature("msg_1", 0, &body);
    let without = |name: &str| {
        let mut headers = good.clone();
        headers.remove(name);
        headers
    };
    let with = |name: &str, value: &str| {
        let mut headers = good.clone();
        headers.insert(name.to_owned(), value.to_owned());
        headers
    };
    let zeros = format!("v1,{}", BASE64.encode(&[0; 32]));
    for (what, headers) in [
        ("no signature", without("webhook-signature")),
        ("no id", without("webhook-id")),
        ("no timestamp", without("webhook-timestamp")),
        ("nothing", BTreeMap::new()),
        ("a wrong signature", with("webhook-signature", &zeros)),
        ("no signature in it", with("webhook-signature", "v1,")),
        (
            "an unknown version",
            with("webhook-signature", &zeros.replace("v1", "v9")),
        ),
        ("not base64", with("webhook-signature", "v1,???")),
        ("another id", with("webhook-id", "msg_2")),
        ("another time", with("webhook-timestamp", "1795000000")),
        ("no time at all", with("webhook-timestamp", "soon")),
        ("an hour old", signature("msg_1", 3_600, &body)),
        ("six minutes old", signature("msg_1", 360, &body)),
        ("an hour early", signature("msg_1", -3_600, &body)),
        ("signed for another body", signature("msg_1", 0, b"{}")),
        (
            "a fixed header instead",
            BTreeMap::from([("x-test".to_owned(), FIXED.to_owned())]),
        ),
    ] {
        let answer = way.hook("signed", &headers, body.clone()).await;
        assert_eq!(
            (answer.status, answer.body["error"]["code"].as_str()),
            (401, Some("unauthorized")),
            "{what}"
        );
    }
    for (what, source, headers, status) in [
        ("an unknown source", "nobody", good.clone(), 404),
        ("a path", "..%2Fsigned", good.clone(), 404),
        ("gzip", "signed", with("content-encoding", "gzip"), 415),
        ("brotli", "signed", with("content-encoding", "br"), 415),
        ("twice", "signed", with("content-encoding", "gzip, gzip"), 415),
    ] {
        let answer = way.hook(source, &headers, body.clone()).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
    }
    for bytes in [(1 << 20) + 1, 10_000_000, 20_000_000] {
        let large = vec![b' '; bytes];
        let answer = way.signed("msg_large", &large).await;
        assert_eq!(
            (answer.status, answer.body["error"]["code"].as_str()),
            (413, Some("too-large")),
            "{bytes} bytes"
        );
    }
    way.balanced(0).await;
    // A good delivery among all these is a good delivery.
    let kept = way.hook("signed", &good, body).await;
    assert_eq!(way.disposition(&kept.alert()).await, "split");
    way.all_over(1).await;
    way.balanced(1).await;
    assert_eq!(
        house.estate.range.host("web-07").unwrap().status,
        Status::Contained
    );
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_breaks_off_is_not_kept_and_its_connection_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), range(&["web-07"]).await, Setup::new(CONTAIN)).await;
    let way = house.way.clone();
    let body = finding("f-1", &["web-07"]).to_string();
    let address = way.url.strip_prefix("http://").unwrap().to_owned();
    let answers = tokio::task::spawn_blocking(move || {
        let said = |text: String, end: bool| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            if end {
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = String::new();
                // Cut off is an answer, too.
                let _ = stream.read_to_string(&mut answer);
                answer
            } else {
                String::new()
            }
        };
        let head = |length: String| {
            format!("POST /hooks/generic HTTP/1.1\r\nhost: x\r\nx-test: {FIXED}\r\n{length}\r\n\r\n")
        };
        let longer = format!("content-length: {}", body.len() + 10);
        vec![
            said(format!("{}{body}", head(longer.clone())), true),
            said(format!("{}{body}", head(longer)), false),
            said(
                format!("{}5\r\n{{\"tit", head("transfer-encoding: chunked".into())),
                true,
            ),
            said(
                format!("{}zz\r\n{body}\r\n", head("transfer-encoding: chunked".into())),
                true,
            ),
            said(format!("{}{body}", head("content-length: -1".into())), true),
            said(
                format!("{}{body}", head("content-length: 5\r\ncontent-length: 6".into())),
                true,
            ),
            said("POST /hooks/generic\r\n\r\n".into(), true),
            said("\0\0\0\0".into(), true),
        ]
    })
    .await
    .unwrap();
    for answer in answers {
        assert!(
            !answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"),
            "{answer}"
        );
    }
    way.balanced(0).await;
    drop(way);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_counted_and_another_body_under_a_known_id_is_another_alert() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(
        dir.path(),
        range(&["web-07", "web-08"]).await,
        Setup::new(CONTAIN),
    )
    .await;
    let way = &house.way;
    let body = finding("f-1", &["web-07"]).to_string().into_bytes();
    let headers = signature("msg_1", 0, &body);
    let first = way.hook("signed", &headers, body.clone()).await;
    for times in 2..5 {
        let replay = way.hook("signed", &headers, body.clone()).await;
        assert_eq!(
            (replay.alert(), &replay.body["times"]),
            (first.alert(), &json!(times))
        );
    }
    // A redelivery is signed anew, under the same id.
    let redelivered = way
        .hook("signed", &signature("msg_1", 5, &body), body.clone())
        .await;
    assert_eq!(
        (redelivered.alert(), &redelivered.body["times"]),
        (first.alert(), &json!(5))
    );
    // The id is not all there is to a delivery: with another body it is another alert.
    let other = finding("f-2", &["web-08"]).to_string();
    let second = way.signed("msg_1", other.as_bytes()).await;
    assert_eq!(second.body["times"], 1);
    assert_ne!(second.alert(), first.alert());
    // The same finding under another id: another alert, and a duplicate.
    let third = way.signed("msg_2", &body).await;
    assert_eq!(way.disposition(&third.alert()).await, "split");
    let events = way.get(&format!("/api/alerts/{}", third.alert())).await.body["events"].clone();
    assert!(events.to_string().contains("duplicate"), "{events}");
    way.all_over(2).await;
    way.balanced(3).await;
    assert_eq!(house.estate.range.ledger().applied_anywhere("contain"), 2);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_balance_after_a_storm() {
    const EACH: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let house = House::open(dir.path(), range(&["web-07"]).await, Setup::new(CONTAIN)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..6 {
        let way = house.way.clone();
        tasks.spawn(async move {
            let mut kept = 0;
            for n in 0..EACH {
                let id = format!("msg_{lane}_{n}");
                let good = json!({ "uid": id, "title": "Nothing that matters" }).to_string();
                let (answer, wanted) = match lane {
                    0 => (way.signed(&id, good.as_bytes()).await, 202),
                    1 => (way.signed(&id, &good.as_bytes()[..n.min(20)]).await, 202),
                    2 => (way.signed(&id, br#"{"type":"ping"}"#).await, 202),
                    3 => (
                        way.hook("signed", &signature(&id, 9_999, b"x"), b"x".to_vec())
                            .await,
                        401,
                    ),
                    4 => (
                        way.signed("msg_same", b"{\"title\":\"one and the same\"}").await,
                        202,
                    ),
                    _ => (way.fixed("splunk", &[b'{', u8::try_from(n).unwrap()]).await, 202),
                };
                assert_eq!(answer.status, wanted, "{}", answer.text);
                if answer.status == 202 && answer.body["times"] == 1 {
                    kept += 1;
                }
            }
            kept
        });
    }
    let kept: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(kept, 4 * EACH + 1);
    house.way.balanced(kept).await;
    let counts = house.way.get("/api/status").await.body["counts"].clone();
    assert_eq!(
        counts["alerts"],
        json!({ "split": EACH + 1, "unreadable": 2 * EACH, "control": EACH })
    );
    assert_eq!(counts["repeats"], EACH - 1);
    house.stop().await;
}

/// A server from a configuration file whose source `siem` uses this connector.
async fn configured(dir: &Path, base_url: &str, connector: &str) -> Server {
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"
[store]
url = "sqlite:cordon.db"
[content]
playbooks = "playbooks"
[[source]]
name = "siem"
use = "{connector}"
auth = {{ kind = "header", header = "x-test", secrets = ["file:fixed"] }}
[connectors.crowdstrike]
base_url = "{base_url}"
credentials = {{ client_id = "file:id", client_secret = "file:secret" }}
when = [{{ type = "host" }}]
"#
    );
    let folder = dir.join("playbooks/isolate");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [
        (
            "playbooks/isolate/playbook.toml",
            "id = \"isolate\"\ntitle = \"Isolate\"\nkind = \"response\"\nowner = \"x\"\n",
        ),
        (
            "playbooks/isolate/playbook.rhai",
            "each(finding.all(\"host\"), |host| endpoint::isolate(host));\n",
        ),
        (
            "playbooks/isolate/trigger.yml",
            &TRIGGER.replace(", rule.uid: malware", ""),
        ),
        ("fixed", FIXED),
        ("id", "range-client"),
        ("secret", "range-secret"),
        ("cordon.toml", &text),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let config = Config::load(&dir.join("cordon.toml")).unwrap();
    Server::start(&config, &ServeOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_nobody_could_read_starts_its_run_once_its_source_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let notable = data("alerts/splunk/notable.json");
    let range = range(&["web-07"]).await;
    // A sender of Splunk's, configured by mistake as one of Cordon's own format.
    let server = configured(dir.path(), &range.base_url(), "generic").await;
    let token = server.first_token.clone().unwrap();
    let way = Way::to(format!("http://{}", server.address), token.clone());
    let kept = way.fixed("siem", &notable).await;
    assert_eq!(way.disposition(&kept.alert()).await, "unreadable");
    drop(way);
    server.stop().await.unwrap();

    let server = configured(dir.path(), &range.base_url(), "splunk").await;
    let way = Way::to(format!("http://{}", server.address), token);
    assert_eq!(
        way.alerts("unreadable").await.len(),
        1,
        "it is still there after a restart"
    );
    let again = way
        .post(&format!("/api/alerts/{}/reprocess", kept.alert()), json!({}))
        .await;
    assert_eq!(again.body["alert"]["disposition"], "split", "{}", again.text);
    // The host in it is ours to isolate, and its service account is one for the shipped playbook.
    let started = |runs: &[Value]| {
        let mut started: Vec<String> = runs
            .iter()
            .map(|run| run["playbook"].as_str().unwrap().to_owned())
            .collect();
        started.sort();
        started
    };
    let both = ["compromised-service-account", "isolate"];
    assert_eq!(started(&way.all_over(2).await), both);
    // Once more does not do it once more.
    way.post(&format!("/api/alerts/{}/reprocess", kept.alert()), json!({}))
        .await;
    assert_eq!(way.disposition(&kept.alert()).await, "split");
    assert_eq!(started(&way.all_over(2).await), both);
    drop(way);
    server.stop().await.unwrap();
    range.stop().await;
}
