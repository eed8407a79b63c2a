//! Slack's stand-in and the mail server: what was told to people, and what was refused.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::json;

use super::others::{estate, start, started};
use crate::range::{Fault, FaultKind, Match, RangeConfig, RunningRange};

#[tokio::test]
async fn a_message_is_posted_answered_in_its_thread_and_changed() {
    let (range, client) = start().await;
    let posted = client
        .slack(
            "chat.postMessage",
            json!({ "channel": "#incidents", "text": "one" }),
        )
        .await;
    assert_eq!(posted.body["ok"], true, "{posted:?}");
    let (channel, ts) = (posted.body["channel"].clone(), posted.body["ts"].clone());
    let reply = json!({ "channel": channel, "text": "two", "thread_ts": ts });
    assert_eq!(client.slack("chat.postMessage", reply).await.body["ok"], true);
    let update = json!({ "channel": channel, "ts": ts, "text": "one, 500 times" });
    assert_eq!(client.slack("chat.update", update).await.body["ok"], true);

    let history = client
        .slack("conversations.history", json!({ "channel": channel }))
        .await;
    assert_eq!(
        history.body["messages"].as_array().unwrap().len(),
        1,
        "threads are not in it"
    );
    assert_eq!(history.body["messages"][0]["text"], "one, 500 times");
    let thread = client
        .slack("conversations.replies", json!({ "channel": channel, "ts": ts }))
        .await;
    assert_eq!(thread.body["messages"][1]["text"], "two");
    let texts: Vec<_> = range
        .messages()
        .into_iter()
        .map(|it| (it.text, it.edits))
        .collect();
    assert_eq!(texts, [("one, 500 times".to_owned(), 1), ("two".to_owned(), 0)]);
    assert_eq!(range.ledger().applied("chat.postMessage", "incidents"), 2);
}

#[tokio::test]
async fn slack_says_no_with_200() {
    let (range, client) = start().await;
    let nowhere = client
        .slack("chat.postMessage", json!({ "channel": "nowhere", "text": "x" }))
        .await;
    assert_eq!(
        (nowhere.status, nowhere.body),
        (200, json!({ "ok": false, "error": "channel_not_found" }))
    );
    let empty = client
        .slack("chat.postMessage", json!({ "channel": "incidents" }))
        .await;
    assert_eq!(empty.body["error"], "no_text");
    let unknown = client
        .slack(
            "chat.update",
            json!({ "channel": "incidents", "ts": "1.2", "text": "x" }),
        )
        .await;
    assert_eq!(unknown.body["error"], "message_not_found");
    let request = client
        .http
        .post(format!("{}/api/chat.postMessage", range.base_url()))
        .bearer_auth("guess");
    let answer = super::caller::answer(request.json(&json!({ "channel": "incidents", "text": "x" }))).await;
    assert_eq!(answer.unwrap().body["error"], "invalid_auth");
    range
        .fault(Fault::on_action(
            "chat.postMessage",
            FaultKind::TooMany { retry_after_s: 2 },
        ))
        .unwrap();
    let limited = client
        .slack("chat.postMessage", json!({ "channel": "incidents", "text": "x" }))
        .await;
    assert_eq!(
        (limited.status, limited.headers["retry-after"].to_str().unwrap()),
        (429, "2")
    );
    assert!(range.messages().is_empty());
    assert_eq!(range.ledger().applied_anywhere("chat.postMessage"), 0);
}

/// Speaks SMTP line by line and keeps each reply's first line.
struct Talk {
    out: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Talk {
    fn begin(range: &RunningRange) -> Talk {
        let out = TcpStream::connect(range.mail_url().trim_start_matches("smtp://")).unwrap();
        out.set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        let replies = BufReader::new(out.try_clone().unwrap());
        let mut talk = Talk { out, replies };
        assert!(talk.reply().starts_with("220 "));
        talk
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        line
    }

    /// The code of the answer, 0 where the line was cut.
    fn say(&mut self, line: &str) -> u16 {
        self.out.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        loop {
            let reply = self.reply();
            if reply.get(3..4) != Some("-") {
                return reply.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            }
        }
    }

    fn sign_in(&mut self) {
        let login = data_encoding::BASE64.encode(b"\0range-mail\0range-mail-secret");
        assert_eq!(self.say("EHLO here"), 250);
        assert_eq!(self.say(&format!("AUTH PLAIN {login}")), 235);
    }

    fn send(&mut self, to: &[&str], text: &str) -> u16 {
        assert_eq!(self.say("MAIL FROM:<cordon@corp.example>"), 250);
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"));
        }
        assert_eq!(self.say("DATA"), 354);
        self.say(text)
    }
}

const TEXT: &str = "Subject: Contained svc-build\r\nMessage-ID: <1@cordon>\r\n\r\nDone.\r\n..dot\r\n.";

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_taken_from_who_signed_in_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let kept = || RangeConfig {
        ledger: Some(path.clone()),
        ..estate()
    };
    let (range, _) = started(kept()).await;
    let mut talk = Talk::begin(&range);
    assert_eq!(talk.say("MAIL FROM:<a@b>"), 530, "nobody has signed in");
    assert_eq!(
        talk.say(&format!(
            "AUTH PLAIN {}",
            data_encoding::BASE64.encode(b"\0range-mail\0guess")
        )),
        535
    );
    talk.sign_in();
    assert_eq!(talk.send(&["ana@corp.example", "ben@corp.example"], TEXT), 250);
    assert_eq!(talk.say("QUIT"), 221);

    let mails = range.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].subject(), mails[0].text()),
        ("Contained svc-build".to_owned(), "Done.\n.dot\n".to_owned())
    );
    assert_eq!(mails[0].to, ["ana@corp.example", "ben@corp.example"]);
    assert_eq!(range.ledger().applied("send", "ben@corp.example"), 1);
    range.stop().await;
    let (again, _) = started(kept()).await;
    assert_eq!(again.mails(), mails);
    assert!(
        !std::fs::read_to_string(&path)
            .unwrap()
            .contains("range-mail-secret")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_may_be_refused_put_off_or_lost() {
    let (range, _) = start().await;
    let nobody = Match {
        vendor: Some("mail".to_owned()),
        action: Some("recipient".to_owned()),
        target: Some("gone@corp.example".to_owned()),
        ..Match::default()
    };
    range
        .fault(Fault {
            on: nobody,
            times: 1,
            kind: FaultKind::Fail {
                status: 550,
                body: json!("5.1.1 no such person"),
            },
        })
        .unwrap();
    let mut talk = Talk::begin(&range);
    talk.sign_in();
    assert_eq!(talk.send(&["gone@corp.example", "ana@corp.example"], TEXT), 250);
    assert_eq!(range.mails()[0].to, ["ana@corp.example"]);

    range
        .fault(Fault::on_action("send", FaultKind::TooMany { retry_after_s: 1 }))
        .unwrap();
    assert_eq!(talk.send(&["ana@corp.example"], TEXT), 451);
    assert_eq!(range.mails().len(), 1);
    range
        .fault(Fault::on_action("send", FaultKind::LoseAnswer))
        .unwrap();
    assert_eq!(talk.send(&["ana@corp.example"], TEXT), 0, "the line was cut");
    assert_eq!(range.mails().len(), 2, "and the mail is there");
    range.stop().await;
}

#[tokio::test]
async fn one_address_serves_all_and_no_two_vendors_share_a_path() {
    let (range, client) = start().await;
    for (path, vendor) in [
        ("/oauth2/token", "crowdstrike"),
        ("/devices/queries/devices/v1", "crowdstrike"),
        ("/nobody/knows", "crowdstrike"),
        ("/api/v1/users", "okta"),
        ("/", "aws"),
        ("/api/chat.postMessage", "slack"),
    ] {
        let url = format!("{}{path}", range.base_url());
        client.http.post(url).send().await.unwrap();
        let last = range.ledger().lines().last().unwrap().clone();
        assert_eq!((last.vendor.as_str(), last.applied), (vendor, false), "{path}");
    }
}

#[tokio::test]
async fn things_are_put_there_from_outside_and_shown() {
    let (range, client) = start().await;
    let put = async |body: serde_json::Value| {
        let request = client.http.post(format!("{}/_range/things", range.base_url()));
        super::caller::answer(request.json(&body)).await.unwrap().status
    };
    let user =
        json!({ "okta_user": { "id": "00u1", "login": "svc-build@corp.example", "status": "SUSPENDED" } });
    assert_eq!(put(user.clone()).await, 200);
    assert_eq!(
        put(json!({ "okta_user": { "id": "00u1", "colour": "red" } })).await,
        400
    );
    assert_eq!(
        put(json!({ "aws_key": { "id": "AKIANEW", "user": "svc-build" } })).await,
        200
    );
    assert_eq!(range.user("00u1").unwrap().status.as_str(), "SUSPENDED");
    assert_eq!(range.ledger().walk("00u1"), ["SUSPENDED"]);
    assert_eq!(range.key("AKIANEW").unwrap().user, "svc-build");
    let state = client.http.get(format!("{}/_range/state", range.base_url()));
    let state = super::caller::answer(state).await.unwrap().body;
    let things = state["things"].as_array().unwrap();
    assert!(
        things
            .iter()
            .any(|thing| thing["okta_user"]["status"] == "SUSPENDED"),
        "{state}"
    );
}
