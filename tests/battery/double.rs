//! An HTTP double: a model of the vendor's state behind a socket, with the troubles of the battery in front of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cordon::connector::{Instance, Overrides};
use cordon::secret::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::counterparty::{Counterparty, LATE_MS, Trouble};

/// One request, taken apart.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    /// The path's segments, decoded.
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Ask {
    /// `GET` and the segments, to be matched.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.iter().map(String::as_str).collect())
    }

    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
    /// True where it was carried out, whether it changed anything or not.
    pub did: bool,
}

impl Reply {
    /// An answer that changed nothing.
    pub fn of(status: u16, body: Value) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body,
            did: false,
        }
    }

    /// The answer to a change that was carried out.
    pub fn did(status: u16, body: Value) -> Reply {
        Reply {
            did: true,
            ..Reply::of(status, body)
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

/// A vendor's state and manners.
pub trait Model: Send + 'static {
    /// The connector it stands for.
    fn connector(&self) -> &'static str;
    /// What the `authorization` header has to be.
    fn authorization(&self) -> &'static str {
        "Bearer token-of-the-battery"
    }
    /// How it is reached.
    fn instance(&self, base: &str) -> Instance {
        instance(self.connector(), base, &[("token", "token-of-the-battery")])
    }
    /// Whether it knows who asks.
    fn knows(&self, ask: &Ask) -> bool {
        ask.headers.get("authorization").map(String::as_str) == Some(self.authorization())
    }
    /// Whether a request would change something.
    fn changes(&self, ask: &Ask) -> bool {
        ask.method != "GET"
    }
    fn answer(&mut self, ask: &Ask) -> Reply;
    /// How it says that a token is not good.
    fn no_token(&self) -> Reply {
        Reply::of(401, json!({}))
    }
    /// How it says to come back in a second.
    fn too_many(&self) -> Reply {
        Reply::of(429, json!({})).with("retry-after", "1")
    }
    /// Everything that can be changed.
    fn state(&self) -> Value;
    /// How many changes there are to whoever knows a repeat by its key.
    fn told_apart(&self) -> Option<usize> {
        None
    }
}

struct Inner {
    model: Box<dyn Model>,
    troubles: VecDeque<Trouble>,
    /// True where the action under test only reads, so that its readings meet the trouble.
    reads: bool,
    requests: usize,
    changes: usize,
}

/// The double.
#[derive(Clone)]
pub struct Double {
    base: String,
    inner: Arc<Mutex<Inner>>,
}

impl Double {
    /// A double of an action that changes something.
    pub async fn start(model: impl Model) -> Box<dyn Counterparty> {
        Double::listen(Box::new(model), false).await
    }

    /// A double of an action that only reads.
    pub async fn start_for_reading(model: impl Model) -> Box<dyn Counterparty> {
        Double::listen(Box::new(model), true).await
    }

    async fn listen(model: Box<dyn Model>, reads: bool) -> Box<dyn Counterparty> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Double {
            base: format!("http://{}", listener.local_addr().unwrap()),
            inner: Arc::new(Mutex::new(Inner {
                model,
                troubles: VecDeque::new(),
                reads,
                requests: 0,
                changes: 0,
            })),
        };
        let serving = double.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let double = serving.clone();
                tokio::spawn(async move { double.serve(stream).await });
            }
        });
        Box::new(double)
    }

    /// Serves one request; the connection is closed after it.
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let ask = read(&mut stream).await?;
        let reply = self.decide(&ask)?;
        let body = if reply.body.is_null() {
            String::new()
        } else {
            reply.body.to_string()
        };
        let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        ));
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(body.as_bytes()).await.ok()?;
        stream.flush().await.ok()
    }

    /// The answer, or none where it is lost.
    fn decide(&self, ask: &Ask) -> Option<Reply> {
        let mut inner = self.inner.lock().unwrap();
        inner.requests += 1;
        if !inner.model.knows(ask) {
            return Some(inner.model.no_token());
        }
        let matters = inner.model.changes(ask) != inner.reads;
        let trouble = if matters { inner.troubles.pop_front() } else { None };
        match trouble {
            Some(Trouble::Late) => {
                let (late, ask) = (self.clone(), ask.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(LATE_MS)).await;
                    let mut inner = late.inner.lock().unwrap();
                    let reply = inner.model.answer(&ask);
                    inner.changes += usize::from(reply.did);
                });
                return None;
            }
            Some(Trouble::TooMany) => return Some(inner.model.too_many()),
            Some(Trouble::EndToken) => {
                // It stays ended: the next request is refused too.
                inner.troubles.push_front(Trouble::EndToken);
                return Some(inner.model.no_token());
            }
            Some(Trouble::LoseAnswer) | None => {}
        }
        let reply = inner.model.answer(ask);
        inner.changes += usize::from(reply.did);
        (trouble != Some(Trouble::LoseAnswer)).then_some(reply)
    }
}

#[async_trait]
impl Counterparty for Double {
    fn instance(&self) -> Instance {
        self.inner.lock().unwrap().model.instance(&self.base)
    }

    fn trouble(&self, trouble: Trouble) {
        self.inner.lock().unwrap().troubles.push_back(trouble);
    }

    fn changes(&self) -> usize {
        self.inner.lock().unwrap().changes
    }

    fn requests(&self) -> usize {
        self.inner.lock().unwrap().requests
    }

    fn state(&self) -> Value {
        self.inner.lock().unwrap().model.state()
    }

    fn told_apart(&self) -> Option<usize> {
        self.inner.lock().unwrap().model.told_apart()
    }
}

/// An instance with times that suit a test: what is waited for on purpose is short; what gives up is long, since the
/// machine may be busy.
pub fn instance(connector: &str, base: &str, credentials: &[(&str, &str)]) -> Instance {
    Instance {
        name: connector.to_owned(),
        connector: connector.to_owned(),
        base_url: Some(base.parse().unwrap()),
        credentials: credentials
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Secret::new(*text)))
            .collect(),
        settings: cordon::connector::Settings::default(),
        hosts: Vec::new(),
        ca: None,
        without_tls: false,
        when: Vec::new(),
        overrides: Overrides {
            lag_ms: Some(100),
            in_flight_ms: Some(200),
            propagation_ms: Some(30_000),
            timeout_ms: Some(30_000),
        },
    }
}

async fn read(stream: &mut TcpStream) -> Option<Ask> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let first: Vec<&str> = lines.next()?.split(' ').collect();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        body.extend_from_slice(&chunk[..n]);
    }
    let (path, query) = first[1].split_once('?').unwrap_or((first[1], ""));
    let decoded = |text: &str| {
        let pair = format!("x={}", text.replace('+', "%2B"));
        let mut pairs = url::form_urlencoded::parse(pair.as_bytes()).into_owned();
        pairs.next().map_or(String::new(), |(_, value)| value)
    };
    Some(Ask {
        method: first[0].to_owned(),
        path: path.trim_start_matches('/').split('/').map(decoded).collect(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}
