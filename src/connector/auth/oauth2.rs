//! OAuth 2 client credentials (RFC 6749 §4.4): one token per instance, kept in memory, fetched by one caller
//! while the others wait. A token that was refused is dropped by whoever saw the refusal, once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::super::bind::Instance;
use super::super::client::{Body, Client, Incoming, Outgoing, Unanswered};
use super::super::egress::Egress;
use super::super::manifest::AuthSpec;
use super::super::throttle::{RetryHeaders, Throttle};
use super::token::credential;
use crate::action::{Fault, Request, Retry};
use crate::clock::{Clock, Time};
use crate::secret::Secret;

/// How long before its end a token is no longer used, ms: a request and a slow clock fit in.
const MARGIN_MS: u64 = 60_000;
/// Life of a token whose issuer says nothing, ms.
const UNSAID_MS: u64 = 300_000;

/// A token that was issued.
pub(in super::super) struct Token {
    pub(in super::super) secret: Secret,
    until: Time,
}

/// No token, so nothing was done.
pub(in super::super) struct NoToken {
    pub(in super::super) fault: Fault,
    pub(in super::super) retry: Retry,
}

type Slot = Arc<OnceCell<Arc<Token>>>;

/// The tokens in use, by instance.
#[derive(Default)]
pub(in super::super) struct Tokens(Mutex<BTreeMap<String, Slot>>);

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// What a token is fetched with.
pub(in super::super) struct Issuer<'a> {
    pub(in super::super) client: &'a Client,
    pub(in super::super) throttle: &'a Throttle,
    pub(in super::super) clock: &'a dyn Clock,
}

impl Tokens {
    /// The token of an instance, fetched where there is none that lives long enough.
    pub(in super::super) async fn get(
        &self,
        issuer: Issuer<'_>,
        auth: &AuthSpec,
        instance: &Instance,
        egress: &Egress,
        log: &mut Vec<Request>,
    ) -> Result<Arc<Token>, NoToken> {
        let slot = self.slot(&instance.name, issuer.clock.now());
        slot.get_or_try_init(|| fetch(issuer, auth, instance, egress, log))
            .await
            .cloned()
    }

    /// Forgets a token that was refused, unless another has taken its place already.
    pub(in super::super) fn drop_refused(&self, instance: &str, refused: &Arc<Token>) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = slots
            .get(instance)
            .and_then(|slot| slot.get())
            .is_some_and(|token| Arc::ptr_eq(token, refused));
        if is_it {
            slots.remove(instance);
        }
    }

    /// The slot to wait at: the one in use, or a new one where its token is about to end.
    fn slot(&self, instance: &str, now: Time) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(instance.to_owned()).or_default();
        if slot
            .get()
            .is_some_and(|token| token.until <= now.plus_ms(MARGIN_MS))
        {
            *slot = Slot::default();
        }
        slot.clone()
    }
}

async fn fetch(
    issuer: Issuer<'_>,
    auth: &AuthSpec,
    instance: &Instance,
    egress: &Egress,
    log: &mut Vec<Request>,
) -> Result<Arc<Token>, NoToken> {
    let AuthSpec::Oauth2 {
        token_path,
        scope,
        optional,
    } = auth
    else {
        return Err(never(
            "credentials",
            format!("`{}` issues no tokens", instance.name),
        ));
    };
    let fatal = |fault| NoToken {
        fault,
        retry: Retry::Never,
    };
    let mut fields = vec![
        ("grant_type".to_owned(), "client_credentials".to_owned()),
        (
            "client_id".to_owned(),
            credential(instance, "client_id")
                .map_err(fatal)?
                .expose()
                .to_owned(),
        ),
        (
            "client_secret".to_owned(),
            credential(instance, "client_secret")
                .map_err(fatal)?
                .expose()
                .to_owned(),
        ),
    ];
    if let Some(scope) = scope {
        fields.push(("scope".to_owned(), scope.clone()));
    }
    for name in optional {
        if let Some(value) = instance.credentials.get(name).filter(|value| !value.is_blank()) {
            fields.push((name.clone(), value.expose().to_owned()));
        }
    }
    let url = egress
        .url(token_path)
        .map_err(|refused| never("egress-refused", refused.0))?;
    let outgoing = Outgoing {
        method: Method::POST,
        url,
        headers: HeaderMap::new(),
        body: Body::Form(fields),
        timeout_ms: crate::limits::VENDOR_REQUEST_MS,
        changes: false,
        named: egress.is_named_by_operator(),
    };
    let sent = issuer.clock.now();
    match issuer.client.send(outgoing, log).await {
        Ok(incoming) => judge(issuer, instance, &incoming, sent),
        Err(Unanswered::NotSent(broken) | Unanswered::Lost(broken)) => Err(NoToken {
            fault: Fault::new(
                broken.code,
                format!("no token for `{}`: {}", instance.name, broken.message),
            ),
            retry: Retry::Backoff,
        }),
    }
}

/// The body of a refusal is not repeated: some issuers put the request into it.
fn judge(
    issuer: Issuer<'_>,
    instance: &Instance,
    incoming: &Incoming,
    sent: Time,
) -> Result<Arc<Token>, NoToken> {
    let name = &instance.name;
    match incoming.status {
        200..=299 => {
            let issued: Option<Issued> = incoming
                .body
                .as_ref()
                .ok()
                .and_then(|body| serde_json::from_slice(body).ok());
            match issued {
                Some(issued) if !issued.access_token.trim().is_empty() => {
                    let life_ms = issued.expires_in.map_or(UNSAID_MS, |s| s.saturating_mul(1_000));
                    Ok(Arc::new(Token {
                        secret: Secret::new(issued.access_token),
                        until: sent.plus_ms(life_ms),
                    }))
                }
                _ => Err(NoToken {
                    fault: Fault::new(
                        "credentials",
                        format!("no token for `{name}`: the issuer's answer holds none"),
                    ),
                    retry: Retry::Backoff,
                }),
            }
        }
        429 => {
            let headers = RetryHeaders {
                retry_after: incoming.headers.get("retry-after").map(String::as_str),
                epoch_s: incoming.headers.get("x-ratelimit-retryafter").map(String::as_str),
                body_ms: None,
            };
            let (fault, retry) = issuer.throttle.too_many(name, headers, issuer.clock.now());
            Err(NoToken { fault, retry })
        }
        300..=399 => Err(never(
            "redirected",
            format!(
                "no token for `{name}`: the host sends us elsewhere, so its `base_url` is not the right one"
            ),
        )),
        status @ 400..=499 => Err(never(
            "credentials",
            format!("no token for `{name}`: the issuer refused its credentials with status {status}"),
        )),
        status => Err(NoToken {
            fault: Fault::new(
                "vendor-error",
                format!("no token for `{name}`: the issuer answered with status {status}"),
            ),
            retry: Retry::Backoff,
        }),
    }
}

fn never(code: &str, message: String) -> NoToken {
    NoToken {
        fault: Fault::new(code, message),
        retry: Retry::Never,
    }
}
