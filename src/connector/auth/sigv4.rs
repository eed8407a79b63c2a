//! AWS Signature Version 4, and the keys to sign with: an instance's own, or those of a role that it assumes
//! (STS `AssumeRole`, API version 2011-06-15).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_request};
use aws_sigv4::sign::v4;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::super::bind::{Bound, Instance};
use super::super::client::{Body, Incoming, Outgoing, Unanswered};
use super::super::egress::Egress;
use super::super::xml;
use super::aws_answer::{Meaning, meaning};
use super::token::credential;
use super::tokens::{Issuer, NoToken, Proof, Token, UNSAID_MS};
use crate::action::{Fault, Request};
use crate::clock::Time;
use crate::limits::VENDOR_REQUEST_MS;
use crate::secret::Secret;

/// Keys to sign with.
#[derive(Clone)]
pub(in super::super) struct Keys {
    pub(super) id: Secret,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

/// What a signature is made for.
#[derive(Clone, Copy)]
pub(in super::super) struct Scope<'a> {
    pub(in super::super) service: &'a str,
    pub(in super::super) region: &'a str,
    pub(in super::super) now: Time,
}

/// The instance's own keys.
fn own_keys(instance: &Instance) -> Result<Keys, Fault> {
    let session = instance.credentials.get("session_token");
    Ok(Keys {
        id: credential(instance, "access_key_id")?.clone(),
        secret: credential(instance, "secret_access_key")?.clone(),
        session: session.filter(|secret| !secret.is_blank()).cloned(),
    })
}

/// Signs a request with the keys of an assumed role, or the instance's own, and attaches the signature.
pub(in super::super) fn sign(
    scope: &SignFor<'_>,
    method: &Method,
    url: &Url,
    headers: &mut HeaderMap,
    body: Option<&Body>,
) -> Result<(), Fault> {
    let keys = match scope.token.map(|token| &token.proof) {
        Some(Proof::Aws(keys)) => keys.clone(),
        _ => own_keys(scope.instance)?,
    };
    attach(&keys, scope.scope, method, url, headers, body)
}

/// Whose signature, and for what.
pub(in super::super) struct SignFor<'a> {
    pub(in super::super) instance: &'a Instance,
    pub(in super::super) token: Option<&'a Token>,
    pub(in super::super) scope: Scope<'a>,
}

fn attach(
    keys: &Keys,
    scope: Scope<'_>,
    method: &Method,
    url: &Url,
    headers: &mut HeaderMap,
    body: Option<&Body>,
) -> Result<(), Fault> {
    let cannot = |why: String| Fault::new("credentials", format!("the request cannot be signed: {why}"));
    let identity = Credentials::new(
        keys.id.expose(),
        keys.secret.expose(),
        keys.session.as_ref().map(|secret| secret.expose().to_owned()),
        None,
        "cordon",
    )
    .into();
    let millis = u64::try_from(scope.now.0).unwrap_or(0);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| cannot(error.to_string()))?
        .into();
    if let Some(body) = body {
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(body.content_type));
    }
    // What is signed beside the host: what the body is, and the service's own headers.
    let signed: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-"))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let bytes = body.map_or(&[][..], |body| body.text.expose().as_bytes());
    let request = SignableRequest::new(
        method.as_str(),
        url.as_str(),
        signed.into_iter(),
        SignableBody::Bytes(bytes),
    )
    .map_err(|error| cannot(error.to_string()))?;
    let (instructions, _) = sign_request(request, &params)
        .map_err(|error| cannot(error.to_string()))?
        .into_parts();
    for (name, value) in instructions.headers() {
        let name: HeaderName = name.parse().map_err(|_| cannot(format!("`{name}`")))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| cannot("a credential holds characters a header cannot carry".into()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

/// Assumes the role of the setting `role_arn` with the instance's own keys.
pub(super) async fn assume(
    issuer: Issuer<'_>,
    sts_host: Option<&str>,
    bound: &Bound,
    egress: &Egress,
    log: &mut Vec<Request>,
) -> Result<Arc<Token>, NoToken> {
    let name = &bound.instance.name;
    let region = bound.setting("region").unwrap_or_default().to_owned();
    let place = match sts_host {
        Some(host) => format!("https://{}/", host.replace("{region}", &region)),
        None => "/".to_owned(),
    };
    let url = egress
        .url(&place)
        .map_err(|refused| NoToken::never("egress-refused", refused.0))?;
    let mut fields = vec![
        ("Action".to_owned(), Secret::new("AssumeRole")),
        ("Version".to_owned(), Secret::new("2011-06-15")),
        ("RoleSessionName".to_owned(), Secret::new(session_name(name))),
    ];
    for (field, setting) in [("RoleArn", "role_arn"), ("ExternalId", "external_id")] {
        if let Some(value) = bound.setting(setting) {
            fields.push((field.to_owned(), Secret::new(value)));
        }
    }
    let body = Body::form(&fields);
    let sent = issuer.clock.now();
    let mut headers = HeaderMap::new();
    let scope = Scope {
        service: "sts",
        region: &region,
        now: sent,
    };
    own_keys(&bound.instance)
        .and_then(|keys| attach(&keys, scope, &Method::POST, &url, &mut headers, Some(&body)))
        .map_err(|fault| NoToken::never("credentials", fault.message))?;
    let outgoing = Outgoing {
        method: Method::POST,
        url,
        headers,
        body: Some(body),
        timeout_ms: VENDOR_REQUEST_MS,
        changes: false,
        named: egress.is_named_by_operator(),
        ca: bound.instance.ca.clone(),
    };
    match issuer.client.send(outgoing, log).await {
        Ok(incoming) => judge(name, &incoming, sent),
        Err(Unanswered::NotSent(broken) | Unanswered::Lost(broken)) => Err(NoToken::for_now(
            broken.code,
            format!("no role for `{name}`: {}", broken.message),
        )),
    }
}

/// Names of sessions are letters, digits and a few signs, two to 64 of them.
fn session_name(instance: &str) -> String {
    let name: String = instance
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        })
        .take(57)
        .collect();
    format!("cordon-{name}")
}

fn judge(name: &str, incoming: &Incoming, sent: Time) -> Result<Arc<Token>, NoToken> {
    if incoming.status == 200 {
        let keys = incoming.body.as_ref().ok().and_then(|body| issued(body, sent));
        return keys.map(Arc::new).ok_or_else(|| {
            NoToken::for_now(
                "credentials",
                format!("no role for `{name}`: the answer of STS holds no keys"),
            )
        });
    }
    match (meaning(incoming), incoming.status) {
        (Some(Meaning::Permission), _) => Err(NoToken::never(
            "permission",
            format!(
                "no role for `{name}`: its keys may not assume it; grant them `sts:AssumeRole` on the role, and trust them there"
            ),
        )),
        (Some(Meaning::Credentials | Meaning::Expired), _) => Err(NoToken::never(
            "credentials",
            format!("no role for `{name}`: STS does not accept its keys"),
        )),
        (Some(Meaning::Throttled), _) | (None, 429 | 500..) => Err(NoToken::for_now(
            "vendor-error",
            format!(
                "no role for `{name}`: STS answered with status {}",
                incoming.status
            ),
        )),
        (None, status) => Err(NoToken::never(
            "credentials",
            format!("no role for `{name}`: STS refused with status {status}"),
        )),
    }
}

fn issued(body: &[u8], sent: Time) -> Option<Token> {
    let document = xml::parse(std::str::from_utf8(body).ok()?)?;
    let keys = document.pointer("/AssumeRoleResponse/AssumeRoleResult/Credentials")?;
    let text = |name: &str| {
        keys.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    Some(Token {
        proof: Proof::Aws(Keys {
            id: Secret::new(text("AccessKeyId")?),
            secret: Secret::new(text("SecretAccessKey")?),
            session: Some(Secret::new(text("SessionToken")?)),
        }),
        until: text("Expiration")
            .and_then(Time::parse)
            .unwrap_or(sent.plus_ms(UNSAID_MS)),
    })
}
