//! Signs what we send as Standard Webhooks 1.0 say: `webhook-id`, `webhook-timestamp` and an HMAC-SHA256 over
//! both and the body, under a secret in base64 after `whsec_`. The receiver knows a repeat by the id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::super::bind::Instance;
use super::super::client::Body;
use super::token::credential;
use crate::action::Fault;
use crate::clock::Time;

/// Attaches id, moment and signature.
pub(in super::super) fn sign(
    headers: &mut HeaderMap,
    instance: &Instance,
    id: &str,
    now: Time,
    body: Option<&Body>,
) -> Result<(), Fault> {
    let wrong = || {
        Fault::new(
            "credentials",
            format!(
                "the credential `secret` of `{}` is no secret of Standard Webhooks: `whsec_` and base64",
                instance.name
            ),
        )
    };
    let secret = credential(instance, "secret")?;
    let text = secret.expose().trim();
    let key = STANDARD
        .decode(text.strip_prefix("whsec_").unwrap_or(text))
        .map_err(|_| wrong())?;
    let seconds = (now.0.div_euclid(1_000)).to_string();
    let body = body.map_or("", |body| body.text.expose());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| wrong())?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", &seconds),
        ("webhook-signature", &signature),
    ] {
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}
