//! The HTTP client: one request out, one answer in, and the difference between *nothing was sent* and *it may
//! have arrived* kept. Follows no redirect, repeats nothing, uses no proxy. A request that changes something
//! gets a connection of its own, because a reused one may be closed while the request is on its way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, redirect, retry};
use url::Url;

use super::egress::{Names, Refused, Resolver};
use super::tls::Ca;
use super::wire::{Wire, exchange};
use crate::action::Request;
use crate::digest::Digest;
use crate::limits::{VENDOR_BODY_BYTES_MAX, VENDOR_CONNECT_MS};
use crate::secret::Secret;

/// The body of a request, as it goes out.
#[derive(Clone)]
pub(super) struct Body {
    /// What it is, where the script's headers do not say.
    pub(super) content_type: &'static str,
    /// The text; it may hold credentials.
    pub(super) text: Secret,
}

impl Body {
    /// JSON.
    pub(super) fn json(text: &str) -> Body {
        Body {
            content_type: "application/json",
            text: Secret::new(text),
        }
    }

    /// Form fields.
    pub(super) fn form(fields: &[(String, Secret)]) -> Body {
        let parts: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value.expose())))
            .collect();
        Body {
            content_type: "application/x-www-form-urlencoded",
            text: Secret::new(parts.join("&")),
        }
    }
}

/// A name or value of a form: everything but the unreserved characters of RFC 3986 §2.3 is encoded. Browsers leave `*`
/// as it is and encode `~`; who checks a signature over a form it has read and written again does neither.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// One request, complete with credentials. No `Debug`: its headers are secret.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
    /// Total time, ms.
    pub(super) timeout_ms: u64,
    /// True when it may change something at the vendor's.
    pub(super) changes: bool,
    /// True when an operator named the host, which may then be private.
    pub(super) named: bool,
    /// Root certificates beside the machine's own.
    pub(super) ca: Option<Ca>,
}

/// One answer, read to its end.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) status: u16,
    /// Lower-case names; of several values the last.
    pub(super) headers: BTreeMap<String, String>,
    /// The body, or why it could not be read although the status could.
    pub(super) body: Result<Vec<u8>, Broken>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Not one byte of the request was written.
    NotSent(Broken),
    /// It may have arrived.
    Lost(Broken),
}

/// What broke, as a listed word and a sentence; never a URL, a header or a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// The clients: for requests that read and that change, to hosts of manifests and to hosts operators named.
#[derive(Clone, Debug)]
pub struct Client {
    reads: reqwest::Client,
    changes: reqwest::Client,
    named_reads: reqwest::Client,
    named_changes: reqwest::Client,
    /// Those that trust further certificates: as many as instances with a `ca`, times the four above.
    trusting: Arc<Mutex<Trusting>>,
    names: Names,
    /// Answers in place of the network, in cases of connectors.
    wire: Option<Arc<dyn Wire>>,
}

/// Clients by their certificates, whether their requests change something, and whether an operator named the host.
type Trusting = BTreeMap<(Digest, bool, bool), reqwest::Client>;

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up, most often because the machine has no root certificates")]
pub struct NoClient(#[from] reqwest::Error);

impl Client {
    /// The clients.
    pub(super) fn new(names: Names) -> Result<Client, NoClient> {
        // Installing fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Client {
            reads: build(false, false, None, &names)?,
            changes: build(true, false, None, &names)?,
            named_reads: build(false, true, None, &names)?,
            named_changes: build(true, true, None, &names)?,
            trusting: Arc::default(),
            names,
            wire: None,
        })
    }

    /// The same, with a wire in place of the network.
    pub(super) fn over(&self, wire: Arc<dyn Wire>) -> Client {
        Client {
            wire: Some(wire),
            ..self.clone()
        }
    }

    fn of(&self, outgoing: &Outgoing) -> Result<reqwest::Client, reqwest::Error> {
        let (changes, named) = (outgoing.changes, outgoing.named);
        let Some(ca) = &outgoing.ca else {
            let client = match (changes, named) {
                (false, false) => &self.reads,
                (true, false) => &self.changes,
                (false, true) => &self.named_reads,
                (true, true) => &self.named_changes,
            };
            return Ok(client.clone());
        };
        let mut trusting = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (ca.digest(), changes, named);
        if let Some(client) = trusting.get(&key) {
            return Ok(client.clone());
        }
        let client = build(changes, named, Some(ca), &self.names)?;
        trusting.insert(key, client.clone());
        Ok(client)
    }

    /// The wire in place of the network, where there is one.
    pub(super) fn wire(&self) -> Option<&dyn Wire> {
        self.wire.as_deref()
    }

    /// Sends one request, and writes down that it did in `log`, whatever comes of it.
    pub(super) async fn send(
        &self,
        outgoing: Outgoing,
        log: &mut Vec<Request>,
    ) -> Result<Incoming, Unanswered> {
        if let Some(wire) = &self.wire {
            return exchange(&**wire, outgoing);
        }
        let mut line = Request {
            method: outgoing.method.to_string(),
            url: shown(&outgoing.url),
            peer: None,
            status: None,
            error: None,
            duration_ms: 0,
        };
        let started = Instant::now();
        let client = match self.of(&outgoing) {
            Ok(client) => client,
            Err(error) => {
                let broken = broken(&error);
                line.error = Some(broken.message.clone());
                log.push(line);
                return Err(Unanswered::NotSent(broken));
            }
        };
        let mut headers = outgoing.headers;
        if let Some(body) = &outgoing.body {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(body.content_type));
        }
        let mut request = client
            .request(outgoing.method, outgoing.url)
            .headers(headers)
            .timeout(Duration::from_millis(outgoing.timeout_ms));
        if let Some(body) = outgoing.body {
            request = request.body(body.text.expose().to_owned());
        }
        crate::crash::point("vendor.before-request");
        let answer = request.send().await;
        crate::crash::point("vendor.after-request");
        let result = match answer {
            Ok(response) => {
                line.peer = response.remote_addr().map(|address| address.to_string());
                line.status = Some(response.status().as_u16());
                Ok(read(response).await)
            }
            Err(error) => Err(unanswered(&error)),
        };
        line.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        line.error = match &result {
            Ok(incoming) => incoming.body.as_ref().err().map(|broken| broken.message.clone()),
            Err(Unanswered::NotSent(broken) | Unanswered::Lost(broken)) => Some(broken.message.clone()),
        };
        log.push(line);
        result
    }
}

fn build(
    changes: bool,
    named: bool,
    ca: Option<&Ca>,
    names: &Names,
) -> Result<reqwest::Client, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("cordon/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(Duration::from_millis(VENDOR_CONNECT_MS))
        .dns_resolver(Resolver {
            may_be_private: named,
            names: names.clone(),
        });
    if let Some(ca) = ca {
        builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(ca.pem().as_bytes())?);
    }
    if changes {
        builder.pool_max_idle_per_host(0).http1_only().build()
    } else {
        builder
            .pool_max_idle_per_host(4)
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
    }
}

/// Scheme, host and path: what may be shown of a URL.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

async fn read(mut response: reqwest::Response) -> Incoming {
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let mut body = Vec::new();
    let body = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > VENDOR_BODY_BYTES_MAX => {
                break Err(Broken {
                    code: "too-large",
                    message: format!("the answer is longer than {VENDOR_BODY_BYTES_MAX} bytes"),
                });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break Ok(body),
            Err(error) => break Err(broken(&error)),
        }
    };
    Incoming {
        status,
        headers,
        body,
    }
}

/// Only what fails while connecting (refused, name, TLS, connect timeout) is known not to have been sent.
fn unanswered(error: &reqwest::Error) -> Unanswered {
    if error.is_connect() || error.is_builder() {
        Unanswered::NotSent(broken(error))
    } else {
        Unanswered::Lost(broken(error))
    }
}

fn broken(error: &reqwest::Error) -> Broken {
    if let Some(refused) = refused(error) {
        return Broken {
            code: "egress-refused",
            message: refused,
        };
    }
    let (code, message) = if error.is_dns() {
        ("unreachable", "the host's name does not resolve")
    } else if error.is_connect() && error.is_timeout() {
        ("unreachable", "the host did not answer in time when connecting")
    } else if error.is_connect() {
        (
            "unreachable",
            "the host cannot be connected to, or its certificate is not trusted",
        )
    } else if error.is_timeout() {
        ("timeout", "no answer in time")
    } else if error.is_builder() {
        ("bad-request", "the request cannot be written")
    } else {
        (
            "connection-lost",
            "the connection broke before the answer was complete",
        )
    };
    Broken {
        code,
        message: message.to_owned(),
    }
}

/// The resolver's refusal, which stands deep in the chain of sources.
fn refused(error: &reqwest::Error) -> Option<String> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Some(refused.0.clone());
        }
        source = inner.source();
    }
    None
}

/// A header that will be neither shown nor indexed by HTTP/2's compression.
pub(super) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A header of a script's own; those that carry credentials or shape the message are not for scripts.
pub(super) fn script_header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    const OURS: [&str; 9] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
    ];
    let name: HeaderName = name.to_ascii_lowercase().parse().ok()?;
    if OURS.contains(&name.as_str()) {
        return None;
    }
    Some((name, HeaderValue::from_str(value).ok()?))
}
