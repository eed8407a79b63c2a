//! A vendor of a few lines: answers what a test laid out for it, remembers what it was asked, and breaks
//! connections where a test wants that.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::clock::{SetClock, Time};
use crate::connector::{Bound, Catalog, Connector, Instance, Instances, Invoker, Overrides, bind};
use crate::finding::{Entity, EntityType, Role};
use crate::script::Evaluators;
use crate::secret::Secret;

pub(super) const NOW: Time = Time(1_700_000_000_000);

#[derive(Clone)]
pub(super) enum Reply {
    Json(u16, Value),
    With(u16, &'static str, String, Value),
    /// Status, content type, body.
    Text(u16, &'static str, String),
    /// A body of this many bytes.
    Long(u16, usize),
    /// The head of an answer and less of its body than it promised.
    Cut(u16),
    /// Nothing: the connection ends.
    Drop,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `POST /path?query`.
    pub(super) line: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

#[derive(Clone)]
pub(super) struct Vendor {
    pub(super) base: Url,
    replies: Arc<Mutex<BTreeMap<String, VecDeque<Reply>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Vendor {
    pub(super) async fn start() -> Vendor {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let vendor = Vendor {
            base,
            replies: Arc::default(),
            seen: Arc::default(),
        };
        let serving = vendor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let vendor = serving.clone();
                tokio::spawn(async move { vendor.serve(stream).await });
            }
        });
        vendor
    }

    /// Lays out the next answer to `POST /path`; the last one laid out repeats.
    pub(super) fn on(&self, line: &str, reply: Reply) -> &Vendor {
        self.replies
            .lock()
            .unwrap()
            .entry(line.to_owned())
            .or_default()
            .push_back(reply);
        self
    }

    /// What it was asked, but for tokens, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.seen()
            .into_iter()
            .map(|seen| seen.line)
            .filter(|line| !line.contains("/oauth2/token"))
            .collect()
    }

    pub(super) fn tokens(&self) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.line.contains("/oauth2/token"))
            .count()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
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
        let line = format!("{} {}", first[0], first[1]);
        let key = line.split('?').next().unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push(Seen {
            line,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            let queue = replies.get_mut(&key);
            match queue {
                None => Reply::Json(
                    404,
                    json!({ "errors": [{ "code": 404, "message": "nothing laid out" }] }),
                ),
                Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
                Some(queue) => queue[0].clone(),
            }
        };
        let answer = match reply {
            Reply::Drop => return None,
            Reply::Json(status, body) => written(status, "", body.to_string(), 0),
            Reply::With(status, name, value, body) => {
                written(status, &format!("{name}: {value}\r\n"), body.to_string(), 0)
            }
            Reply::Text(status, kind, body) => written(status, &format!("content-type: {kind}\r\n"), body, 0),
            Reply::Long(status, n) => written(status, "", "x".repeat(n), 0),
            Reply::Cut(status) => written(status, "", "{\"a\":".into(), 100),
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.flush().await.ok()
    }
}

fn written(status: u16, headers: &str, body: String, lacking: usize) -> String {
    let length = body.len() + lacking;
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// The shipped connectors and `probe`, read once.
pub(in crate::connector) fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/connectors");
        Catalog::load(Some(&own)).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
    });
    &CATALOG
}

pub(super) fn instance(connector: &str, base: &Url) -> Instance {
    let secrets = [
        ("client_id", "our-client-id"),
        ("client_secret", "hunter2-of-the-client"),
        ("token", "hunter2-of-the-probe"),
        ("routing_key", "hunter2-of-the-route"),
    ];
    Instance {
        name: connector.to_owned(),
        connector: connector.to_owned(),
        base_url: Some(base.clone()),
        credentials: secrets
            .map(|(name, text)| (name.to_owned(), Secret::new(text)))
            .into(),
        when: Vec::new(),
        overrides: Overrides::default(),
        ..Instance::default()
    }
}

pub(super) fn bound(action: &str, base: &Url, entity: Option<&Entity>) -> Bound {
    let action = action.parse().unwrap();
    let instances = Instances {
        all: vec![instance("crowdstrike", base), instance("probe", base)],
        bind: BTreeMap::new(),
        identities: Vec::new(),
    };
    bind(catalog(), &instances, &action, entity, None)
        .unwrap()
        .remove(0)
}

/// One instance of a connector of a few lines, whose manifest lacks only its name.
pub(super) fn own(manifest: &str, script: &str, instance: Instance) -> Bound {
    let head = "name = \"own\"\ntitle = \"Own\"\nversion = \"1\"\n";
    let files = BTreeMap::from([
        ("connector.toml".to_owned(), format!("{head}{manifest}")),
        ("actions.rhai".to_owned(), script.to_owned()),
    ]);
    let connector = Connector::parse(&files, "connectors/own").unwrap_or_else(|found| panic!("{}", found[0]));
    let action = connector.manifest.actions[0].name.clone();
    let instances = Instances {
        all: vec![Instance {
            connector: "own".into(),
            ..instance
        }],
        ..Instances::default()
    };
    bind(&Catalog::of([connector]), &instances, &action, None, None)
        .unwrap()
        .remove(0)
}

/// An action of the one instance there is, which is of this connector.
pub(super) fn bound_to(connector: &str, action: &str, base: &Url, entity: Option<&Entity>) -> Bound {
    let instances = Instances {
        all: vec![instance(connector, base)],
        ..Instances::default()
    };
    bind(catalog(), &instances, &action.parse().unwrap(), entity, None)
        .unwrap()
        .remove(0)
}

pub(super) fn invoker() -> Invoker {
    let evaluators = Arc::new(Evaluators::start(1).unwrap());
    Invoker::new(evaluators, Arc::new(SetClock::at(NOW))).unwrap()
}

pub(super) fn host(name: &str) -> Entity {
    Entity::new(EntityType::Host, Role::Affected, name).unwrap()
}
