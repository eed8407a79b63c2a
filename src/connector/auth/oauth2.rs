//! OAuth 2 client credentials (RFC 6749 §4.4).

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::super::auth_spec::AuthSpec;
use super::super::bind::Instance;
use super::super::client::{Body, Incoming, Outgoing, Unanswered};
use super::super::egress::Egress;
use super::super::throttle::RetryHeaders;
use super::token::credential;
use super::tokens::{Issuer, NoToken, Proof, Token, UNSAID_MS};
use crate::action::{Fault, Request, Retry};
use crate::clock::Time;
use crate::secret::Secret;

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Fetches a token from the instance's issuer.
pub(super) async fn fetch(
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
        return Err(NoToken::never(
            "credentials",
            format!("`{}` issues no tokens", instance.name),
        ));
    };
    let fatal = |fault| NoToken {
        fault,
        retry: Retry::Never,
    };
    let mut fields = vec![("grant_type".to_owned(), Secret::new("client_credentials"))];
    for name in ["client_id", "client_secret"] {
        let value = credential(instance, name).map_err(fatal)?;
        fields.push((name.to_owned(), value.clone()));
    }
    if let Some(scope) = scope {
        fields.push(("scope".to_owned(), Secret::new(scope.as_str())));
    }
    for name in optional {
        if let Some(value) = instance.credentials.get(name).filter(|value| !value.is_blank()) {
            fields.push((name.clone(), value.clone()));
        }
    }
    let url = egress
        .url(token_path)
        .map_err(|refused| NoToken::never("egress-refused", refused.0))?;
    let outgoing = Outgoing {
        method: Method::POST,
        url,
        headers: HeaderMap::new(),
        body: Some(Body::form(&fields)),
        timeout_ms: crate::limits::VENDOR_REQUEST_MS,
        changes: false,
        named: egress.is_named_by_operator(),
        ca: instance.ca.clone(),
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
                        proof: Proof::Bearer(Secret::new(issued.access_token)),
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
        300..=399 => Err(NoToken::never(
            "redirected",
            format!(
                "no token for `{name}`: the host sends us elsewhere, so its `base_url` is not the right one"
            ),
        )),
        status @ 400..=499 => Err(NoToken::never(
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
