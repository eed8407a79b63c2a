//! The place where requests leave, for whoever stands in for the network: cases of connectors put a script here and
//! everything above it, from the connector's own script to what an answer means, is the real thing.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use url::Url;

use super::client::{Broken, Incoming, Outgoing, Unanswered};

/// One request as it would leave, credentials included: whoever keeps it keeps secrets.
pub struct Sent {
    /// Method.
    pub method: String,
    /// Where to.
    pub url: Url,
    /// Headers in lower case; of several values the last.
    pub headers: BTreeMap<String, String>,
    /// What the body is; empty where there is none.
    pub content_type: String,
    /// Body.
    pub body: String,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// An answer.
    Answer {
        /// Status.
        status: u16,
        /// Headers in lower case.
        headers: BTreeMap<String, String>,
        /// Body.
        body: Vec<u8>,
    },
    /// None, and the request may have arrived.
    Lost,
    /// None, and nothing was sent.
    Refused,
}

/// Answers requests in place of the network.
pub trait Wire: Send + Sync + fmt::Debug {
    /// The answer to one request.
    fn answer(&self, sent: Sent) -> Came;
}

/// One exchange over a wire, in the words of the client.
pub(super) fn exchange(wire: &dyn Wire, outgoing: Outgoing) -> Result<Incoming, Unanswered> {
    let headers = texts(&outgoing.headers);
    let (by_itself, body) = outgoing
        .body
        .map(|body| (body.content_type, body.text.expose().to_owned()))
        .unwrap_or_default();
    let said = headers.get(CONTENT_TYPE.as_str()).cloned();
    let sent = Sent {
        method: outgoing.method.to_string(),
        url: outgoing.url,
        headers,
        content_type: said.unwrap_or_else(|| by_itself.to_owned()),
        body,
    };
    let broken = |code, message: &str| Broken {
        code,
        message: message.to_owned(),
    };
    match wire.answer(sent) {
        Came::Answer {
            status,
            headers,
            body,
        } => Ok(Incoming {
            status,
            headers,
            body: Ok(body),
        }),
        Came::Lost => Err(Unanswered::Lost(broken("timeout", "no answer in time"))),
        Came::Refused => Err(Unanswered::NotSent(broken(
            "unreachable",
            "the host cannot be connected to",
        ))),
    }
}

fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}
