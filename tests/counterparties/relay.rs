//! Stands between the connector and the server, passes everything on, and meddles once where a test wants it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use tokio::net::TcpListener;

/// What is done with the next request that is no GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Before it is passed on, this body is sent by PATCH to the same place: somebody else is faster.
    PatchFirst(String),
    /// It is passed on, and its answer is replaced by 502, as a gateway does that lost it.
    LoseAnswer,
}

/// One exchange that went through.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    /// What the server answered.
    pub status: u16,
    pub answer: String,
}

#[derive(Clone)]
pub struct Relay {
    pub base: String,
    to: String,
    http: reqwest::Client,
    meddling: Arc<Mutex<Option<Meddling>>>,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

impl Relay {
    /// A relay to a server, `http://host:port` with whatever path.
    pub async fn to(to: &str) -> Relay {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay {
            base: format!("http://{}", listener.local_addr().unwrap()),
            to: to.trim_end_matches('/').to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            meddling: Arc::default(),
            seen: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(relay.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        relay
    }

    pub fn meddle(&self, meddling: Meddling) {
        *self.meddling.lock().unwrap() = Some(meddling);
    }

    /// Exchanges other than GET, in order.
    pub fn changes(&self) -> Vec<Exchange> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|exchange| exchange.method != "GET")
            .cloned()
            .collect()
    }
}

async fn pass(State(relay): State<Relay>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let place = head.uri.path_and_query().unwrap().as_str();
    let url = format!("{}{place}", relay.to);
    let mut headers = head.headers.clone();
    headers.remove("host");
    headers.remove("content-length");
    let meddling = if head.method == "GET" {
        None
    } else {
        relay.meddling.lock().unwrap().take()
    };
    if let Some(Meddling::PatchFirst(other)) = &meddling {
        let mut headers = headers.clone();
        headers.remove("if-match");
        let patched = relay
            .http
            .patch(&url)
            .headers(headers)
            .body(other.clone())
            .send()
            .await
            .unwrap();
        assert!(patched.status().is_success(), "{patched:?}");
    }
    let answer = relay
        .http
        .request(head.method.clone(), &url)
        .headers(headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let (status, mut shown) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    relay.seen.lock().unwrap().push(Exchange {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        status: status.as_u16(),
        answer: text.clone(),
    });
    if meddling == Some(Meddling::LoseAnswer) {
        let mut lost = Response::new(Body::empty());
        *lost.status_mut() = StatusCode::BAD_GATEWAY;
        return lost;
    }
    for hop in ["transfer-encoding", "content-length", "connection"] {
        shown.remove(hop);
    }
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    *response.headers_mut() = shown;
    response
}
