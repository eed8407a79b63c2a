//! The network side of one attempt: what a script may send, with whose credentials, and what an answer means
//! before the script sees it. An attempt makes one change at most. What is lost, refused or told to wait ends
//! it here; no script can catch it.

use serde_json::{Value, json};

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::auth::{self, Issuer, Token};
use super::bind::Bound;
use super::client::{Body, Incoming, Outgoing, Unanswered, script_header};
use super::egress::Egress;
use super::invoke::Invoker;
use super::manifest::AuthSpec;
use super::settle::{Change, Stop};
use super::throttle::{RetryHeaders, rate_limited};
use super::words::{Call, CallBody};
use crate::action::{Fault, Request, Retry};
use crate::limits::{REQUESTS_PER_ACTION_MAX, VENDOR_REQUEST_MS};
use crate::script::Asked;
use crate::secret::Secret;

/// Shortest secret that is looked for in answers; a shorter one would be found everywhere.
const SCRUBBED_CHARS_MIN: usize = 6;

/// One attempt.
pub(super) struct Attempt<'a> {
    invoker: &'a Invoker,
    bound: &'a Bound,
    egress: Egress,
    may_change: bool,
    sent: usize,
    pub(super) change: Change,
    pub(super) requests: Vec<Request>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(invoker: &'a Invoker, bound: &'a Bound, may_change: bool) -> Attempt<'a> {
        Attempt {
            invoker,
            bound,
            egress: Egress::new(&bound.connector.manifest.hosts, bound.instance.base_url.as_ref()),
            may_change,
            sent: 0,
            change: Change::Unsent,
            requests: Vec::new(),
        }
    }

    /// Answers one ask of the script, or ends the attempt.
    pub(super) async fn perform(&mut self, asked: &Asked) -> Result<Value, Stop> {
        let call = Call::read(asked).map_err(never)?;
        let changes = self.admit(&call)?;
        let url = self.url(&call)?;
        self.sent += 1;
        let (answer, secrets) = self.send(&call, url, changes).await?;
        self.judge(answer, changes, &secrets)
    }

    /// Whether the call may be made, and whether it changes something.
    fn admit(&self, call: &Call) -> Result<bool, Stop> {
        let only_reads = call.method == Method::GET
            || (call.method == Method::POST
                && self
                    .bound
                    .connector
                    .manifest
                    .http
                    .reads
                    .iter()
                    .any(|path| path == call.path()));
        let refuse = |message: String| Err(never(Fault::new("connector-script", message)));
        if !only_reads && !self.may_change {
            return refuse(format!(
                "the connector's script may only read here and asks for {}",
                call.method
            ));
        }
        if !only_reads && self.change != Change::Unsent {
            return refuse(
                "the connector's script asks for a second change: two changes are two actions".into(),
            );
        }
        if self.sent >= REQUESTS_PER_ACTION_MAX {
            return refuse(format!(
                "the connector's script asks for more than {REQUESTS_PER_ACTION_MAX} requests"
            ));
        }
        let instance = &self.bound.instance.name;
        match self.invoker.throttle.pause_ms(instance, self.invoker.clock.now()) {
            0 => Ok(!only_reads),
            left_ms => Err(Stop::NotDone(rate_limited(instance), Retry::AfterMs(left_ms))),
        }
    }

    fn url(&self, call: &Call) -> Result<Url, Stop> {
        let mut url = self
            .egress
            .url(&call.place)
            .map_err(|refused| never(Fault::new("egress-refused", refused.0)))?;
        if !call.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &call.query {
                pairs.append_pair(name, self.text(value)?.expose());
            }
        }
        Ok(url)
    }

    /// Sends, and once more with a new token where the vendor refused the old one: 401 is *not done*.
    async fn send(&mut self, call: &Call, url: Url, changes: bool) -> Result<(Incoming, Vec<Secret>), Stop> {
        let mut first = true;
        loop {
            let token = self.token().await?;
            let outgoing = Outgoing {
                method: call.method.clone(),
                url: url.clone(),
                headers: self.headers(call, token.as_deref())?,
                body: self.body(call)?,
                timeout_ms: self.timeout_ms(),
                changes,
                named: self.egress.is_named_by_operator(),
            };
            let answer = self.invoker.client.send(outgoing, &mut self.requests).await;
            if let (Ok(incoming), Some(token), true) = (&answer, &token, first)
                && incoming.status == 401
            {
                self.invoker.tokens.drop_refused(&self.bound.instance.name, token);
                first = false;
                continue;
            }
            let mut secrets: Vec<Secret> = self.bound.instance.credentials.values().cloned().collect();
            secrets.extend(token.map(|token| token.secret.clone()));
            return match answer {
                Ok(incoming) => Ok((incoming, secrets)),
                Err(Unanswered::NotSent(broken)) => Err(Stop::NotDone(
                    self.fault(broken.code, &broken.message),
                    if broken.code == "unreachable" {
                        Retry::Backoff
                    } else {
                        Retry::Never
                    },
                )),
                Err(Unanswered::Lost(broken)) if changes => {
                    Err(Stop::Unknown(self.fault(broken.code, &broken.message)))
                }
                Err(Unanswered::Lost(broken)) => Err(Stop::NotDone(
                    self.fault(broken.code, &broken.message),
                    Retry::Backoff,
                )),
            };
        }
    }

    async fn token(&mut self) -> Result<Option<std::sync::Arc<Token>>, Stop> {
        let auth = &self.bound.connector.manifest.auth;
        if !matches!(auth, AuthSpec::Oauth2 { .. }) {
            return Ok(None);
        }
        let issuer = Issuer {
            client: &self.invoker.client,
            throttle: &self.invoker.throttle,
            clock: self.invoker.clock.as_ref(),
        };
        let token = self
            .invoker
            .tokens
            .get(
                issuer,
                auth,
                &self.bound.instance,
                &self.egress,
                &mut self.requests,
            )
            .await;
        token
            .map(Some)
            .map_err(|none| Stop::NotDone(none.fault, none.retry))
    }

    fn headers(&self, call: &Call, token: Option<&Token>) -> Result<HeaderMap, Stop> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &call.headers {
            let text = self.text(value)?;
            let Some((name, mut value)) = script_header(name, text.expose()) else {
                return Err(never(Fault::new(
                    "connector-script",
                    format!("the connector's script cannot set the header `{name}`"),
                )));
            };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let manifest = &self.bound.connector.manifest;
        auth::attach(
            &mut headers,
            &manifest.auth,
            &self.bound.instance,
            token.map(|token| &token.secret),
        )
        .map_err(never)?;
        Ok(headers)
    }

    fn body(&self, call: &Call) -> Result<Body, Stop> {
        match &call.body {
            CallBody::Empty => Ok(Body::Empty),
            CallBody::Json(value) => Ok(Body::Json(self.filled(value)?.to_string())),
            CallBody::Form(fields) => {
                let mut filled = Vec::new();
                for (name, value) in fields {
                    filled.push((name.clone(), self.text(value)?.expose().to_owned()));
                }
                Ok(Body::Form(filled))
            }
        }
    }

    /// The value with every handle `#{ credential: "NAME" }` replaced by that credential of the instance.
    fn filled(&self, value: &Value) -> Result<Value, Stop> {
        if let Some(secret) = self.handle(value)? {
            return Ok(Value::String(secret.expose().to_owned()));
        }
        match value {
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, inner)| Ok((key.clone(), self.filled(inner)?)))
                .collect::<Result<serde_json::Map<String, Value>, Stop>>()
                .map(Value::Object),
            other => Ok(other.clone()),
        }
    }

    fn handle(&self, value: &Value) -> Result<Option<&Secret>, Stop> {
        let Value::Object(members) = value else {
            return Ok(None);
        };
        match (members.len(), members.get("credential")) {
            (1, Some(Value::String(name))) => auth::credential(&self.bound.instance, name)
                .map(Some)
                .map_err(never),
            _ => Ok(None),
        }
    }

    /// A scalar as text, for queries, forms and headers.
    fn text(&self, value: &Value) -> Result<Secret, Stop> {
        if let Some(secret) = self.handle(value)? {
            return Ok(secret.clone());
        }
        match value {
            Value::String(text) => Ok(Secret::new(text.as_str())),
            Value::Number(number) => Ok(Secret::new(number.to_string())),
            Value::Bool(flag) => Ok(Secret::new(flag.to_string())),
            _ => Err(never(Fault::new(
                "connector-script",
                "queries, forms and headers take texts, numbers and flags",
            ))),
        }
    }

    fn timeout_ms(&self) -> u64 {
        let overrides = &self.bound.instance.overrides;
        overrides
            .timeout_ms
            .unwrap_or(self.bound.connector.manifest.limits.timeout_ms)
            .min(VENDOR_REQUEST_MS)
    }

    fn judge(&mut self, incoming: Incoming, changes: bool, secrets: &[Secret]) -> Result<Value, Stop> {
        let status = incoming.status;
        let verb = self.bound.spec.name.verb();
        let not_applied = changes
            && self
                .bound
                .connector
                .manifest
                .http
                .not_applied
                .get(verb)
                .is_some_and(|s| s.contains(&status));
        match status {
            429 => {
                let header = |name: &str| incoming.headers.get(name).map(String::as_str);
                let headers = RetryHeaders {
                    retry_after: header("retry-after"),
                    epoch_s: header("x-ratelimit-retryafter").or(header("x-rate-limit-reset")),
                    body_ms: incoming.body.as_deref().ok().and_then(retry_after_ms),
                };
                let now = self.invoker.clock.now();
                let (fault, retry) = self
                    .invoker
                    .throttle
                    .too_many(&self.bound.instance.name, headers, now);
                return Err(Stop::NotDone(fault, retry));
            }
            401 => {
                return Err(never(
                    self.fault("credentials", "the vendor does not accept our credentials"),
                ));
            }
            403 => {
                let permission = &self.bound.spec.permission;
                return Err(never(
                    self.fault("permission", &format!("grant it `{permission}`")),
                ));
            }
            _ if not_applied => {
                let fault = self.fault(
                    "vendor-busy",
                    &format!("the vendor answered with status {status}"),
                );
                return Err(Stop::NotDone(fault, Retry::Backoff));
            }
            307 | 308 => return Err(never(self.redirected())),
            300..=399 if changes => return Err(Stop::Unknown(self.redirected())),
            300..=399 => return Err(never(self.redirected())),
            408 | 425 | 500.. | 0..=199 => {
                let fault = self.fault(
                    "vendor-error",
                    &format!("the vendor answered with status {status}"),
                );
                return Err(if changes {
                    Stop::Unknown(fault)
                } else {
                    Stop::NotDone(fault, Retry::Backoff)
                });
            }
            _ => {}
        }
        if changes {
            self.change = if status < 300 {
                Change::Accepted
            } else {
                Change::Refused(status)
            };
        }
        match incoming.body {
            Ok(bytes) => Ok(json!({
                "status": status,
                "headers": shown_headers(incoming.headers, secrets),
                "body": parsed(&bytes, secrets),
            })),
            // Whether that leaves an accepted change unknown is for `settle`.
            Err(broken) => {
                let retry = if broken.code == "too-large" {
                    Retry::Never
                } else {
                    Retry::Backoff
                };
                Err(Stop::NotDone(self.fault(broken.code, &broken.message), retry))
            }
        }
    }

    fn redirected(&self) -> Fault {
        self.fault(
            "redirected",
            "the vendor sends us to another address; set `base_url` to the right one",
        )
    }

    fn fault(&self, code: &str, message: &str) -> Fault {
        Fault::new(code, format!("`{}`: {message}", self.bound.instance.name))
    }
}

fn never(fault: Fault) -> Stop {
    Stop::NotDone(fault, Retry::Never)
}

/// How long Matrix asks to be left alone, ms: `retry_after_ms` of its error `M_LIMIT_EXCEEDED` (client-server API
/// v1.11, "Rate limiting").
fn retry_after_ms(body: &[u8]) -> Option<u64> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get("retry_after_ms")?.as_u64()
}

/// The answer's headers, without those that carry credentials.
fn shown_headers(
    headers: std::collections::BTreeMap<String, String>,
    secrets: &[Secret],
) -> serde_json::Map<String, Value> {
    const HIDDEN: [&str; 4] = [
        "set-cookie",
        "authorization",
        "www-authenticate",
        "authentication-info",
    ];
    headers
        .into_iter()
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()))
        .map(|(name, value)| (name, Value::String(scrubbed(value, secrets))))
        .collect()
}

/// JSON where the body is JSON, else its text; nothing for an empty body.
fn parsed(bytes: &[u8], secrets: &[Secret]) -> Value {
    let text = scrubbed(String::from_utf8_lossy(bytes).into_owned(), secrets);
    if text.trim().is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// The text without the secrets the request was sent with, should the vendor repeat them.
fn scrubbed(mut text: String, secrets: &[Secret]) -> String {
    for secret in secrets {
        let plain = secret.expose();
        if plain.chars().count() < SCRUBBED_CHARS_MIN {
            continue;
        }
        let quoted = Value::from(plain).to_string();
        let escaped = quoted.trim_matches('"');
        for form in [plain, escaped] {
            if text.contains(form) {
                text = text.replace(form, "[secret]");
            }
        }
    }
    text
}
