//! Reading, tokens and the switch.

use reqwest::Method;
use serde_json::{Value, json};

use super::house::{House, SECRET, answer};
use crate::server::bootstrap;
use crate::store::{Control, Error};

const PATHS: [(&str, &str); 16] = [
    ("GET", "/api/alerts"),
    ("GET", "/api/alerts/x"),
    ("POST", "/api/alerts/x/reprocess"),
    ("GET", "/api/runs"),
    ("POST", "/api/runs"),
    ("GET", "/api/runs/x"),
    ("POST", "/api/runs/x/undo"),
    ("POST", "/api/effects/x/undo"),
    ("POST", "/api/act"),
    ("GET", "/api/contained"),
    ("POST", "/api/release"),
    ("POST", "/api/halt"),
    ("POST", "/api/resume"),
    ("POST", "/api/tokens"),
    ("GET", "/api/status"),
    ("GET", "/api/nothing"),
];

#[tokio::test]
async fn nothing_of_the_api_answers_without_a_token() {
    let house = House::open().await;
    let wrong = format!("{}x", house.admin);
    for (method, path) in PATHS {
        let method: Method = method.parse().unwrap();
        let request = || house.request(method.clone(), path).body("{}");
        for refused in [
            answer(request()).await,
            answer(request().bearer_auth(&wrong)).await,
            answer(request().bearer_auth(SECRET)).await,
            answer(request().header("authorization", format!("Basic {}", house.admin))).await,
            answer(
                request()
                    .bearer_auth(&house.admin)
                    .header("authorization", format!("Bearer {wrong}")),
            )
            .await,
        ] {
            assert_eq!(
                (refused.status, refused.code()),
                (401, "unauthorized"),
                "{method} {path}"
            );
            assert!(refused.header("www-authenticate").starts_with("Bearer"));
            assert_eq!(refused.header("cache-control"), "no-store");
        }
    }
    assert_eq!(*house.halt.borrow(), Ok(None));
    let known = house.get("/api/status").await;
    assert_eq!((known.status, known.header("cache-control")), (200, "no-store"));
    assert_eq!(known.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_request_with_a_typing_mistake_is_refused_with_its_name() {
    let house = House::open().await;
    let mistaken = house
        .post("/api/halt", json!({ "reason": "x", "reson": "y" }))
        .await;
    assert_eq!((mistaken.status, mistaken.code()), (400, "bad-request"));
    assert!(mistaken.text.contains("reson"), "{}", mistaken.text);
    for path in [
        "/api/alerts?dispostion=split",
        "/api/runs?limit=0",
        "/api/runs?limit=1001",
        "/api/runs?before=noon",
    ] {
        assert_eq!(house.get(path).await.status, 400, "{path}");
    }
    for path in ["/api/alerts/run_x", "/api/runs/1"] {
        assert_eq!(house.get(path).await.status, 400, "{path}");
    }
    let other = answer(
        house
            .request(Method::DELETE, "/api/runs")
            .bearer_auth(&house.admin),
    )
    .await;
    assert_eq!((other.status, other.code()), (405, "method-not-allowed"));
    assert_eq!(house.get("/api/nothing").await.status, 404);
    assert_eq!(*house.halt.borrow(), Ok(None));
}

#[tokio::test]
async fn pages_leave_nothing_out_and_show_nothing_twice() {
    let house = House::open().await;
    let mut all = Vec::new();
    for n in 0..23 {
        all.push(house.alert(&format!("f-{n}"), "Low").await.to_string());
        // Most share their millisecond with others.
        house.clock.advance_ms(u64::from(n % 7 == 0));
    }
    all.sort();
    for limit in [1, 2, 5, 22, 23, 50] {
        let (mut seen, mut next, mut moments) = (Vec::new(), String::new(), Vec::new());
        loop {
            let page = house.get(&format!("/api/alerts?limit={limit}{next}")).await.body;
            let rows = page["alerts"].as_array().unwrap().clone();
            assert!(rows.len() <= limit);
            moments.extend(rows.iter().map(|row| row["received_at"].as_i64().unwrap()));
            seen.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(place) => next = format!("&before={place}"),
                None => break,
            }
        }
        assert!(moments.windows(2).all(|pair| pair[0] >= pair[1]), "newest first");
        seen.sort();
        assert_eq!(seen, all, "limit {limit}");
    }
    let bare = house
        .get(&format!("/api/alerts?before={}", super::house::NOW))
        .await
        .body;
    assert_eq!(bare["alerts"], json!([]), "a moment leaves itself out");
}

#[tokio::test]
async fn an_alert_is_shown_whole_and_processed_again() {
    let house = House::open().await;
    let id = house.alert("f-1", "High").await;
    let shown = house.get(&format!("/api/alerts/{id}")).await.body;
    assert_eq!(shown["alert"]["disposition"], "split");
    assert!(shown["body"].as_str().unwrap().contains("Ransomware f-1"));
    assert_eq!(shown["digest_ok"], true);
    let kinds: Vec<&Value> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| &told["kind"])
        .collect();
    assert_eq!(kinds, ["alert_accepted", "alert_split"]);
    let again = house
        .post(&format!("/api/alerts/{id}/reprocess"), json!({}))
        .await;
    assert_eq!(
        (again.status, &again.body["alert"]["disposition"]),
        (200, &json!("split")),
        "{}",
        again.text
    );
    let shown = house.get(&format!("/api/alerts/{id}")).await.body;
    assert_eq!(
        shown["events"][2]["event"],
        json!({ "alert_reopened": { "principal": "admin" } })
    );
    assert_eq!(
        house.get("/api/runs").await.body["runs"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "its run is not repeated"
    );
    assert_eq!(
        house.get("/api/alerts?disposition=unreadable").await.body["alerts"],
        json!([])
    );

    let odd = house.hook(vec![0xff, 0x00]).await.body["alert"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = house.get(&format!("/api/alerts/{odd}")).await.body;
    assert_eq!(
        (&shown["body"], &shown["body_base64"]),
        (&Value::Null, &json!("/wA="))
    );
    let missing = crate::id::AlertId::derive(&["none"]);
    assert_eq!(house.get(&format!("/api/alerts/{missing}")).await.status, 404);
    assert_eq!(
        house
            .post(&format!("/api/alerts/{missing}/reprocess"), json!({}))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_run_is_shown_with_a_journal_that_verifies() {
    let house = House::open().await;
    house.alert("f-1", "High").await;
    let row = house
        .until("/api/runs?status=settled", |body| body["runs"][0].is_object())
        .await["runs"][0]
        .clone();
    assert_eq!(
        (&row["playbook"], &row["end"]),
        (&json!("watch"), &json!("succeeded"))
    );
    let shown = house
        .get(&format!("/api/runs/{}", row["id"].as_str().unwrap()))
        .await
        .body;
    assert_eq!(shown["digest_ok"], true);
    assert_eq!(
        shown["events"].as_array().unwrap().len() as u64,
        shown["run"]["len"].as_u64().unwrap()
    );
    assert_eq!(shown["events"][0]["seq"], 0);
    assert!(shown["events"][0]["event"]["run_started"].is_object());
    assert_eq!(
        house.get("/api/runs?playbook=other").await.body["runs"],
        json!([])
    );
    assert_eq!(house.get("/api/runs?status=open").await.body["runs"], json!([]));
    let missing = crate::id::RunId::derive(&["none"]);
    assert_eq!(house.get(&format!("/api/runs/{missing}")).await.status, 404);
}

#[tokio::test]
async fn halting_is_stored_and_in_force_on_this_node_before_the_answer() {
    let house = House::open().await;
    assert_eq!(house.get("/api/halt").await.body["halted"], Value::Null);
    assert_eq!(
        house.post("/api/halt", json!({ "reason": "  " })).await.status,
        400
    );
    let halted = house.post("/api/halt", json!({ "reason": "wrong hosts" })).await;
    assert_eq!(
        (&halted.body["halted"]["by"], halted.status),
        (&json!("admin"), 200)
    );
    let stored = house.store.switches().await.unwrap().halt;
    assert_eq!(*house.halt.borrow(), Ok(stored.clone()));
    assert_eq!(stored.unwrap().reason, "wrong hosts");
    assert_eq!(
        house.get("/api/status").await.body["halted"]["reason"],
        "wrong hosts"
    );
    assert_eq!(house.post("/api/resume", json!({})).await.status, 400);
    assert_eq!(
        house
            .post("/api/resume", json!({ "reason": "found it" }))
            .await
            .status,
        200
    );
    assert_eq!(*house.halt.borrow(), Ok(None));
    house
        .store
        .refuse("set_halt", Error::Unavailable { why: "gone".into() });
    assert_eq!(
        house.post("/api/halt", json!({ "reason": "x" })).await.status,
        503
    );
    assert_eq!(*house.halt.borrow(), Ok(None));
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_replaced() {
    let house = House::open().await;
    let made = house.post("/api/tokens", json!({ "name": "maria" })).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let token = made.body["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("cdn_") && token.len() == 47, "{token}");
    let as_maria = |token: String| answer(house.request(Method::GET, "/api/tokens").bearer_auth(token));
    let listed = as_maria(token.clone()).await;
    assert_eq!(listed.status, 200);
    let names: Vec<&Value> = listed.body["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["admin", "maria"]);
    let digest = crate::digest::Digest::of(token.as_bytes()).to_string();
    assert!(!listed.text.contains(&token) && !listed.text.contains(&digest));

    let taken = house.post("/api/tokens", json!({ "name": "maria" })).await;
    assert_eq!((taken.status, taken.code()), (409, "name-taken"));
    assert_eq!(as_maria(token.clone()).await.status, 200);
    let replaced = house
        .post("/api/tokens", json!({ "name": "maria", "replace": true }))
        .await;
    assert_eq!(as_maria(token).await.status, 401);
    assert_eq!(
        as_maria(replaced.body["token"].as_str().unwrap().into())
            .await
            .status,
        200
    );
    // She makes a new one for herself, and none under another name: that would be acting as somebody else.
    let as_maria_asks = |token: String, body: Value| {
        answer(
            house
                .request(Method::POST, "/api/tokens")
                .bearer_auth(token)
                .json(&body),
        )
    };
    let token = replaced.body["token"].as_str().unwrap().to_owned();
    for body in [
        json!({ "name": "ana" }),
        json!({ "name": "admin", "replace": true }),
        json!({ "name": "maria" }),
    ] {
        let refused = as_maria_asks(token.clone(), body.clone()).await;
        assert_eq!(refused.status, 403, "{body}");
        assert!(refused.text.contains("admins"), "{}", refused.text);
    }
    let own = as_maria_asks(token.clone(), json!({ "name": "maria", "replace": true })).await;
    assert_eq!(own.status, 201, "{}", own.text);
    assert_eq!(as_maria(token).await.status, 401);
    for name in ["", "cordon", "Maria", "a b", "../x", "a\nb"] {
        assert_eq!(
            house.post("/api/tokens", json!({ "name": name })).await.status,
            400,
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn the_first_token_is_made_once() {
    let house = House::open().await;
    assert_eq!(
        bootstrap(house.store.as_ref(), house.clock.as_ref())
            .await
            .unwrap(),
        None
    );
    assert_eq!(house.store.principals().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_gone_is_503_and_lets_nobody_in() {
    let house = House::open().await;
    house.store.refuse(
        "principals",
        Error::Unavailable {
            why: "at 10.0.0.1".into(),
        },
    );
    let refused = house.get("/api/status").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert!(!refused.text.contains("10.0.0.1"));
}

#[tokio::test]
async fn playbooks_and_status_say_what_this_server_runs() {
    let house = House::open().await;
    let playbooks = house.get("/api/playbooks").await.body;
    assert_eq!(playbooks["playbooks"][0]["id"], "watch");
    assert_eq!(playbooks["playbooks"][0]["triggers"], json!(["Anything bad"]));
    let status = house.get("/api/status").await.body;
    assert_eq!(
        (&status["version"], &status["playbooks"]),
        (&json!("1.2.3"), &json!(1))
    );
}

#[tokio::test]
async fn looking_says_what_a_body_would_be_and_keeps_nothing() {
    let house = House::open().await;
    let body = json!({ "uid": "f-9", "title": "Ransomware", "severity": "High" }).to_string();
    let asked = json!({ "source": "siem", "body": body });
    let found = house.post("/api/normalise", asked.clone()).await;
    assert_eq!(found.status, 200, "{}", found.text);
    assert_eq!(found.body["findings"][0]["uid"], "f-9");
    let met = house.post("/api/match", asked).await;
    assert_eq!(
        met.body["findings"][0]["triggers"][0]["matched"], true,
        "{}",
        met.text
    );
    let unreadable = house
        .post("/api/match", json!({ "source": "siem", "body": "{" }))
        .await;
    assert_eq!(unreadable.status, 400);
    assert!(unreadable.text.contains("unreadable"), "{}", unreadable.text);
    let nobody = house
        .post("/api/normalise", json!({ "source": "nobody", "body": "{}" }))
        .await;
    assert_eq!(nobody.status, 404);
    assert_eq!(house.get("/api/alerts").await.body["alerts"], json!([]));
    assert_eq!(house.get("/api/runs").await.body["runs"], json!([]));
}
