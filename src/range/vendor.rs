//! What every stand-in has in common: a request as it came, the call it was understood as, the reply with the
//! effects that become true when it is carried out, and [`StandIn`], which a vendor's folder implements.

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::ledger::LedgerLine;
use crate::clock::Time;

/// A vendor that can be stood in for. It decides and holds state; it writes no ledger, reads no clock and
/// sends nothing. Its state follows from the ledger's lines alone.
pub(super) trait StandIn: Send {
    /// The name in the ledger and in fault matches.
    fn name(&self) -> &'static str;

    /// Which call this is; `None` where it is not one of this vendor's paths. No two vendors share a path.
    fn understand(&self, request: &Request) -> Option<Call>;

    /// Whether the caller may ask this; otherwise the vendor's refusal.
    fn admit(&self, request: &Request, call: &Call, at: At) -> Result<(), Reply>;

    /// The answer and its effects, if the request was carried out now. `told` replaces every state told.
    fn answer(&self, request: &Request, call: &Call, at: At, told: Option<&str>) -> Reply;

    /// What is true of the call's targets when nothing is carried out.
    fn untouched(&self, call: &Call) -> Vec<Effect>;

    /// Makes a ledger line true, live and after a restart alike; ignores lines of others.
    fn replay(&mut self, line: &LedgerLine);

    /// The vendor's way to say that it does nothing.
    fn decline(&self, no: &No, call: &Call, at: At) -> Reply;

    /// What there is from the start.
    fn seed(&self) -> Vec<Thing>;

    /// What there is now.
    fn things(&self) -> Vec<Thing>;

    /// Reads what a control call puts there; `None` where the record is not one of this vendor's.
    fn thing(&self, record: &Value) -> Option<Thing>;

    /// Counts a plain reading of these targets, for vendors whose state settles by readings.
    fn looked_at(&mut self, _targets: &[String]) {}
}

/// Number of a request, and when it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) number: u64,
    pub(super) now: Time,
}

/// Why a vendor does nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum No {
    /// Something is wrong on its side.
    Failed(u16, &'static str),
    /// Too many requests; seconds to wait.
    TooMany(u64),
    /// The caller's token or session is over.
    Expired,
}

/// Something a vendor has: what a control call or the seed puts there, and what a line keeps of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Thing {
    /// What it is, in the ledger's words: `host`, `user`, `key`.
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) state: Option<String>,
    /// The whole of it.
    pub(super) record: Value,
}

/// By which of a range's doors a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Door {
    #[default]
    Http,
    Smtp,
}

/// A request after its last byte was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) door: Door,
    /// HTTP method in capitals, or the SMTP command.
    pub(super) method: String,
    pub(super) path: String,
    /// Text after `?`, as it came.
    pub(super) query: String,
    /// Names in lower case, in their order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl Request {
    /// The value of a header that is there once; `name` in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// What follows `scheme` in the `Authorization` header.
    pub(super) fn authorization(&self, scheme: &str) -> Option<&str> {
        let (given, rest) = self.header("authorization")?.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }

    /// All values of a query parameter, decoded.
    pub(super) fn parameters(&self, name: &str) -> Vec<String> {
        form_values(self.query.as_bytes(), name)
    }

    /// All values of a field of a form body, decoded.
    pub(super) fn form_fields(&self, name: &str) -> Vec<String> {
        form_values(&self.body, name)
    }

    /// The path's parts between slashes, percent-decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').skip(1);
        parts
            .map(|part| {
                // A plus sign is itself in a path, unlike in a query.
                let pair = format!("x={}", part.replace('+', "%2B"));
                form_values(pair.as_bytes(), "x").concat()
            })
            .collect()
    }
}

/// What a request asks for. Parsed once, by [`StandIn::understand`].
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) vendor: &'static str,
    /// The ledger's word for it.
    pub(super) action: &'static str,
    /// Ids it names, each once, in order.
    pub(super) targets: Vec<String>,
    /// It asks for a change.
    pub(super) mutates: bool,
    /// It needs credentials.
    pub(super) guarded: bool,
    /// Why it cannot be carried out: status and message of the vendor.
    pub(super) wrong: Option<(u16, String)>,
}

impl Call {
    /// A reading without targets that needs credentials.
    pub(super) fn reading(vendor: &'static str, action: &'static str) -> Call {
        Call {
            vendor,
            action,
            targets: Vec::new(),
            mutates: false,
            guarded: true,
            wrong: None,
        }
    }

    /// A change of one target.
    pub(super) fn changing(vendor: &'static str, action: &'static str, target: impl Into<String>) -> Call {
        Call {
            targets: vec![target.into()],
            mutates: true,
            ..Call::reading(vendor, action)
        }
    }

    /// The same call about this target.
    pub(super) fn of(mut self, target: impl Into<String>) -> Call {
        self.targets = vec![target.into()];
        self
    }

    /// A call that cannot be carried out.
    pub(super) fn wrong(vendor: &'static str, status: u16, message: impl Into<String>) -> Call {
        Call {
            wrong: Some((status, message.into())),
            ..Call::reading(vendor, "unknown")
        }
    }
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Xml(String),
    /// The rest of an SMTP reply, or a scripted text.
    Text(String),
}

impl Body {
    /// A body of a scripted fault: a text as it is, everything else as JSON.
    pub(super) fn scripted(body: &Value) -> Body {
        match body {
            Value::String(text) if text.starts_with('<') => Body::Xml(text.clone()),
            Value::String(text) => Body::Text(text.clone()),
            other => Body::Json(other.clone()),
        }
    }

    pub(super) fn content_type(&self) -> Option<&'static str> {
        match self {
            Body::Empty => None,
            Body::Json(_) => Some("application/json"),
            Body::Xml(_) => Some("text/xml"),
            Body::Text(_) => Some("text/plain; charset=utf-8"),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Body::Empty => String::new(),
            Body::Json(value) => value.to_string(),
            Body::Xml(text) | Body::Text(text) => text.clone(),
        }
    }
}

/// An answer, and what becomes true with it. Nothing is true until the effects are in the ledger.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) effects: Vec<Effect>,
    /// The vendor did what it was asked. Not the status alone: some say no with 200.
    pub(super) done: bool,
}

impl Reply {
    /// An answer whose status says whether it was done.
    pub(super) fn new(status: u16, body: Body) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body,
            effects: Vec::new(),
            done: (200..300).contains(&status),
        }
    }

    /// An answer in JSON.
    pub(super) fn json(status: u16, body: Value) -> Reply {
        Reply::new(status, Body::Json(body))
    }

    /// The same answer with these effects.
    pub(super) fn with(mut self, effects: Vec<Effect>) -> Reply {
        self.effects = effects;
        self
    }

    /// The same answer with one more header.
    pub(super) fn header(mut self, name: &'static str, value: impl ToString) -> Reply {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// One target and what happens to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Effect {
    pub(super) action: &'static str,
    pub(super) target: Option<String>,
    pub(super) target_name: Option<String>,
    pub(super) applied: bool,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// The whole thing as it is afterwards, where the vendor rebuilds it from that.
    pub(super) record: Option<Value>,
}

impl Effect {
    /// A reading that was answered.
    pub(super) fn read(action: &'static str) -> Effect {
        Effect {
            action,
            applied: true,
            ..Effect::default()
        }
    }

    /// The same effect, not carried out.
    pub(super) fn refused(mut self) -> Effect {
        self.applied = false;
        self.after = self.before.clone();
        self.record = None;
        self
    }
}

/// A record for the ledger. Ours have no maps with keys that are not texts, so that writing them cannot fail.
pub(super) fn record(thing: &impl Serialize) -> Option<Value> {
    serde_json::to_value(thing).ok()
}

/// A UUID-shaped id that depends on the request's number alone, so that a run can be repeated.
pub(super) fn request_id(number: u64) -> String {
    let digits = crate::digest::Digest::of(&number.to_be_bytes()).to_string();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32));
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn form_values(bytes: &[u8], name: &str) -> Vec<String> {
    let pairs = url::form_urlencoded::parse(bytes);
    pairs
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}
