//! A homeserver that takes messages as Matrix does, for tests: says what it is told to, and remembers everything.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use cordon::connector::Instance;
use cordon::notify::Way;
use cordon::secret::Secret;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request that posts a message.
#[derive(Clone, Debug)]
pub struct Posted {
    pub room: String,
    pub transaction: String,
    pub body: Value,
    pub status: u16,
}

impl Posted {
    pub fn text(&self) -> &str {
        self.body["body"].as_str().unwrap()
    }
}

#[derive(Default)]
struct Books {
    posted: Vec<Posted>,
    /// What is answered next instead of 200: status and seconds of `Retry-After`.
    answers: VecDeque<(u16, Option<u64>)>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Books>>);

pub struct Homeserver {
    url: String,
    books: Shared,
    task: JoinHandle<()>,
}

impl Homeserver {
    pub async fn start() -> Homeserver {
        let books = Shared::default();
        let path = "/_matrix/client/v3/rooms/{room}/send/m.room.message/{transaction}";
        let router = Router::new().route(path, put(post)).with_state(books.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Homeserver { url, books, task }
    }

    /// Answers so to what comes next.
    pub fn answers(&self, next: impl IntoIterator<Item = (u16, Option<u64>)>) {
        self.books.0.lock().unwrap().answers.extend(next);
    }

    /// Every request, also those that were refused.
    pub fn posted(&self) -> Vec<Posted> {
        self.books.0.lock().unwrap().posted.clone()
    }

    /// What was taken.
    pub fn taken(&self) -> Vec<Posted> {
        let posted = self.posted().into_iter();
        posted.filter(|one| one.status == 200).collect()
    }

    /// Waits until so many messages were taken.
    pub async fn until(&self, count: usize) -> Vec<Posted> {
        for _ in 0..1_500 {
            let taken = self.taken();
            if taken.len() >= count {
                return taken;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{count} messages did not come: {:#?}", self.posted());
    }

    /// The connector instance that posts here.
    pub fn instance(&self, name: &str, token: &str) -> Instance {
        Instance {
            name: name.into(),
            connector: "matrix".into(),
            base_url: Some(self.url.parse().unwrap()),
            credentials: BTreeMap::from([("token".to_owned(), Secret::new(token))]),
            ..Instance::default()
        }
    }

    pub fn stop(self) {
        self.task.abort();
    }
}

/// The way to a room by an instance of this name.
pub fn way(instance: &str, room: &str) -> Way {
    Way {
        instance: instance.into(),
        action: "matrix::send_message".parse().unwrap(),
        to: room.into(),
    }
}

async fn post(
    State(Shared(books)): State<Shared>,
    Path((room, transaction)): Path<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let mut books = books.lock().unwrap();
    assert!(
        headers.contains_key("authorization"),
        "nobody proves who they are"
    );
    let (status, after) = books.answers.pop_front().unwrap_or((200, None));
    let id = format!("$event-{}", books.posted.len());
    books.posted.push(Posted {
        room,
        transaction,
        body: serde_json::from_slice(&body).unwrap(),
        status,
    });
    let code = StatusCode::from_u16(status).unwrap();
    let answer = match status {
        200 => json!({ "event_id": id }),
        429 => json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "too many" }),
        _ => json!({ "errcode": "M_FORBIDDEN", "error": "not in the room" }),
    };
    let mut response = (code, axum::Json(answer)).into_response();
    if let Some(seconds) = after {
        response
            .headers_mut()
            .insert("retry-after", seconds.to_string().parse().unwrap());
    }
    response
}
