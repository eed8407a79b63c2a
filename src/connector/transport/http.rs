//! HTTP: one request, and what its answer means before the script sees it.

use serde_json::{Value, json};

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use super::super::auth::{self, Issuer, Meaning, Proof, Scope, SignFor, Token};
use super::super::auth_spec::AuthSpec;
use super::super::client::{Body, Incoming, Outgoing, Unanswered, script_header};
use super::super::settle::{Change, Stop};
use super::super::throttle::RetryHeaders;
use super::super::words::{Call, CallBody};
use super::super::xml;
use super::attempt::{Attempt, never};
use super::scrub::scrubbed;
use crate::action::{Fault, Retry};
use crate::script::Asked;
use crate::secret::Secret;

impl Attempt<'_> {
    pub(super) async fn http(&mut self, asked: &Asked) -> Result<Value, Stop> {
        let call = Call::read(asked).map_err(never)?;
        let only_reads = self.only_reads(&call);
        self.admit(only_reads, call.method.as_str())?;
        let url = self.url(&call)?;
        let (answer, secrets) = self.send(&call, url, !only_reads).await?;
        self.judge(answer, !only_reads, &secrets)
    }

    /// A GET reads, and so does a POST that the manifest says reads: by its path, or by the header or form field that
    /// names the operation.
    fn only_reads(&self, call: &Call) -> bool {
        let http = &self.bound.connector.manifest.http;
        let form = match &call.body {
            CallBody::Form(fields) => fields.as_slice(),
            _ => &[],
        };
        call.method == Method::GET
            || (call.method == Method::POST
                && (http.reads.iter().any(|path| path == call.path())
                    || names_a_reading(&http.reads_header, &call.headers)
                    || names_a_reading(&http.reads_form, form)))
    }

    fn url(&self, call: &Call) -> Result<Url, Stop> {
        let mut url = self
            .egress
            .url(&call.place)
            .map_err(|refused| never(Fault::new("egress-refused", refused.0)))?;
        if !call.query.is_empty() {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in &call.query {
                form.append_pair(name, self.text(value)?.expose());
            }
            // A plus means a space in forms alone, and signatures are made over percent-encoding.
            url.set_query(Some(&form.finish().replace('+', "%20")));
        }
        Ok(url)
    }

    /// Sends, and once more with a new token where the vendor refused the old one: that is *not done*.
    async fn send(&mut self, call: &Call, url: Url, changes: bool) -> Result<(Incoming, Vec<Secret>), Stop> {
        let mut first = true;
        loop {
            let token = self.token().await?;
            let body = self.body(call)?;
            let mut headers = self.headers(call, token.as_deref())?;
            self.sign(&mut headers, call, &url, token.as_deref(), body.as_ref())?;
            let outgoing = Outgoing {
                method: call.method.clone(),
                url: url.clone(),
                headers,
                body,
                timeout_ms: self.timeout_ms(),
                changes,
                named: self.egress.is_named_by_operator(),
                ca: self.bound.instance.ca.clone(),
            };
            let answer = self.invoker.client.send(outgoing, &mut self.requests).await;
            if let (Ok(incoming), Some(token), true) = (&answer, &token, first)
                && self.token_is_over(incoming)
            {
                self.invoker.tokens.drop_refused(&self.bound.instance.name, token);
                first = false;
                continue;
            }
            let mut secrets = self.secrets();
            secrets.extend(token.iter().flat_map(|token| token.proof.secrets()));
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

    fn token_is_over(&self, incoming: &Incoming) -> bool {
        match &self.bound.connector.manifest.auth {
            AuthSpec::Sigv4 { .. } => auth::meaning(incoming) == Some(Meaning::Expired),
            _ => incoming.status == 401,
        }
    }

    async fn token(&mut self) -> Result<Option<std::sync::Arc<Token>>, Stop> {
        let issuer = Issuer {
            client: &self.invoker.client,
            throttle: &self.invoker.throttle,
            clock: self.invoker.clock.as_ref(),
        };
        self.invoker
            .tokens
            .get(issuer, self.bound, &self.egress, &mut self.requests)
            .await
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
        let bearer = match token.map(|token| &token.proof) {
            Some(Proof::Bearer(secret)) => Some(secret),
            _ => None,
        };
        let auth = &self.bound.connector.manifest.auth;
        auth::attach(&mut headers, auth, &self.bound.instance, bearer).map_err(never)?;
        Ok(headers)
    }

    /// Signs the finished request, where that is how its vendor knows us.
    fn sign(
        &self,
        headers: &mut HeaderMap,
        call: &Call,
        url: &Url,
        token: Option<&Token>,
        body: Option<&Body>,
    ) -> Result<(), Stop> {
        let instance = &self.bound.instance;
        match &self.bound.connector.manifest.auth {
            AuthSpec::Sigv4 { service, .. } => {
                let scope = Scope {
                    service,
                    region: self.bound.setting("region").unwrap_or_default(),
                    now: self.now(),
                };
                let sign_for = SignFor {
                    instance,
                    token,
                    scope,
                };
                auth::sign_sigv4(&sign_for, &call.method, url, headers, body).map_err(never)
            }
            AuthSpec::StandardWebhooks => {
                auth::sign_webhook(headers, instance, &self.key, self.now(), body).map_err(never)
            }
            _ => Ok(()),
        }
    }

    fn body(&self, call: &Call) -> Result<Option<Body>, Stop> {
        match &call.body {
            CallBody::Empty => Ok(None),
            CallBody::Json(value) => Ok(Some(Body::json(&self.filled(value)?.to_string()))),
            CallBody::Form(fields) => {
                let filled: Result<Vec<(String, Secret)>, Stop> = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.text(value)?)))
                    .collect();
                Ok(Some(Body::form(&filled?)))
            }
        }
    }

    fn judge(&mut self, incoming: Incoming, changes: bool, secrets: &[Secret]) -> Result<Value, Stop> {
        let status = incoming.status;
        if matches!(self.bound.connector.manifest.auth, AuthSpec::Sigv4 { .. }) {
            match auth::meaning(&incoming) {
                Some(Meaning::Permission) => return Err(self.no_permission()),
                Some(Meaning::Credentials | Meaning::Expired) => return Err(self.no_credentials()),
                Some(Meaning::Throttled) => return Err(self.too_many(&incoming)),
                // Of AWS, 403 has more meanings than permission; the code decides, and none was known.
                None if status == 403 => {
                    let message = "AWS refused with status 403 and a reason that is not known";
                    return Err(never(self.fault("refused", message)));
                }
                None => {}
            }
        }
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
            429 => return Err(self.too_many(&incoming)),
            401 => return Err(self.no_credentials()),
            403 if is_throttled(&incoming) => return Err(self.too_many(&incoming)),
            403 => return Err(self.no_permission()),
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
                "body": parsed(&bytes, incoming.headers.get("content-type"), secrets),
                "headers": shown_headers(incoming.headers, secrets),
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

    fn too_many(&self, incoming: &Incoming) -> Stop {
        let header = |name: &str| incoming.headers.get(name).map(String::as_str);
        let headers = RetryHeaders {
            retry_after: header("retry-after"),
            epoch_s: header("x-ratelimit-retryafter")
                .or_else(|| header("x-rate-limit-reset"))
                .or_else(|| header("x-ratelimit-reset")),
            body_ms: incoming.body.as_deref().ok().and_then(retry_after_ms),
        };
        let instance = &self.bound.instance.name;
        let (fault, retry) = self.invoker.throttle.too_many(instance, headers, self.now());
        Stop::NotDone(fault, retry)
    }

    fn redirected(&self) -> Fault {
        self.fault(
            "redirected",
            "the vendor sends us to another address; set `base_url` to the right one",
        )
    }
}

/// GitHub says "too many" by 403 too, with nothing left of the hour's requests or with the seconds to wait (REST API,
/// "Rate limits", read November 2026).
fn is_throttled(incoming: &Incoming) -> bool {
    let header = |name: &str| incoming.headers.get(name).map(String::as_str);
    header("x-ratelimit-remaining") == Some("0") || header("retry-after").is_some()
}

/// Whether the one that names the operation is there, once, with a value that only reads. Twice the same name could
/// be read by the vendor as the other one.
fn names_a_reading(told_by: &Option<(String, Vec<String>)>, given: &[(String, Value)]) -> bool {
    let Some((name, values)) = told_by else {
        return false;
    };
    let mut named = given.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let value = named.next().and_then(|(_, value)| value.as_str());
    named.next().is_none() && value.is_some_and(|text| values.iter().any(|one| one == text))
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

/// What JSON or XML says where the body is one of them, else its text; nothing for an empty body.
fn parsed(bytes: &[u8], content_type: Option<&String>, secrets: &[Secret]) -> Value {
    let text = scrubbed(String::from_utf8_lossy(bytes).into_owned(), secrets);
    if text.trim().is_empty() {
        return Value::Null;
    }
    if let Ok(value) = serde_json::from_str(&text) {
        return value;
    }
    let says_xml = content_type.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.ends_with("/xml") || kind.ends_with("+xml")
    });
    if says_xml || text.trim_start().starts_with("<?xml") {
        return xml::parse(&text).unwrap_or(Value::String(text));
    }
    Value::String(text)
}
