//! Standard Webhooks (standard-webhooks/standard-webhooks, spec 1.0): `webhook-id`, `webhook-timestamp` and
//! `webhook-signature` over `id.timestamp.body`. `v1` is HMAC-SHA-256, `v1a` Ed25519. Once a delivery holds an
//! asymmetric signature and a public key is configured, a symmetric one no longer counts.

use data_encoding::BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use subtle::ConstantTimeEq;

use super::headers::Headers;
use super::hmac::is_fresh;
use super::signature::{BadAuth, Refused, Verified};
use crate::clock::Time;
use crate::digest::Digest;
use crate::secret::Secret;

/// Most signatures one header may hold.
const SIGNATURES_MAX: usize = 16;
/// Longest `webhook-id`, bytes.
const ID_BYTES_MAX: usize = 256;
/// Shortest symmetric secret, bytes; the specification asks for 24.
const SECRET_BYTES_MIN: usize = 16;

const RULE: &str = "standard-webhooks";

enum Key {
    Symmetric(Vec<u8>),
    Public(VerifyingKey),
}

fn key(secret: &Secret) -> Option<Key> {
    let text = secret.expose().trim();
    if let Some(public) = text.strip_prefix("whpk_") {
        let bytes: [u8; 32] = BASE64.decode(public.as_bytes()).ok()?.try_into().ok()?;
        return VerifyingKey::from_bytes(&bytes)
            .ok()
            .filter(|key| !key.is_weak())
            .map(Key::Public);
    }
    // Without its prefix a public key would be taken for a shared secret, and everybody knows it.
    let bytes = BASE64.decode(text.strip_prefix("whsec_")?.as_bytes()).ok()?;
    (bytes.len() >= SECRET_BYTES_MIN).then_some(Key::Symmetric(bytes))
}

/// Checks that every secret can be used.
pub(super) fn check(secrets: &[Secret]) -> Result<(), BadAuth> {
    match secrets.iter().position(|secret| key(secret).is_none()) {
        Some(n) => Err(BadAuth(format!(
            "secret {} is neither `whsec_` with at least {SECRET_BYTES_MIN} bytes in base64 nor `whpk_` with an Ed25519 public key",
            n + 1
        ))),
        None => Ok(()),
    }
}

/// Judges one delivery; see [`super::signature::verify`].
pub(super) fn verify(
    secrets: &[Secret],
    headers: &Headers,
    body: &[u8],
    now: Time,
) -> Result<Verified, Refused> {
    let refused = |why| Refused { rule: RULE, why };
    // Senders on Svix use their own prefix; the two sets are never mixed.
    let standard = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .iter()
        .any(|name| headers.has(name));
    let prefix = if standard { "webhook" } else { "svix" };
    let header = |name: &str, missing, twice| match headers.one(&format!("{prefix}-{name}")) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(refused(missing)),
        Err(_) => Err(refused(twice)),
    };
    let id = header(
        "id",
        "`webhook-id` is missing",
        "`webhook-id` is there more than once",
    )?;
    let stamp = header(
        "timestamp",
        "`webhook-timestamp` is missing",
        "`webhook-timestamp` is there more than once",
    )?;
    let signatures = header(
        "signature",
        "`webhook-signature` is missing",
        "`webhook-signature` is there more than once",
    )?;
    // A dot in the id would let the border between id, timestamp and body be moved.
    if id.is_empty()
        || id.len() > ID_BYTES_MAX
        || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
    {
        return Err(refused("`webhook-id` is not an id"));
    }
    is_fresh(stamp, 1_000, now).map_err(refused)?;
    let signed = [id.as_bytes(), b".", stamp.as_bytes(), b".", body].concat();
    let keys: Vec<Key> = secrets.iter().filter_map(key).collect();
    let rule = judge(&keys, signatures, &signed).map_err(refused)?;
    Ok(Verified {
        rule,
        delivery_id: Some(id.to_owned()),
        weak: false,
    })
}

fn judge(keys: &[Key], header: &str, signed: &[u8]) -> Result<&'static str, &'static str> {
    let mut symmetric: Vec<[u8; 32]> = Vec::new();
    let mut asymmetric: Vec<Signature> = Vec::new();
    let tokens: Vec<&str> = header.split(' ').filter(|token| !token.is_empty()).collect();
    if tokens.len() > SIGNATURES_MAX {
        return Err("`webhook-signature` holds too many signatures");
    }
    for token in tokens {
        let (version, text) = token.split_once(',').ok_or("`webhook-signature` is malformed")?;
        let bytes = || {
            BASE64
                .decode(text.as_bytes())
                .map_err(|_| "a signature is not base64")
        };
        match version {
            "v1" => symmetric.push(
                bytes()?
                    .try_into()
                    .map_err(|_| "a `v1` signature has not 32 bytes")?,
            ),
            "v1a" => {
                let bytes: [u8; 64] = bytes()?
                    .try_into()
                    .map_err(|_| "a `v1a` signature has not 64 bytes")?;
                asymmetric.push(Signature::from_bytes(&bytes));
            }
            // Versions to come stand beside those we know.
            _ => {}
        }
    }
    let has_public = keys.iter().any(|key| matches!(key, Key::Public(_)));
    if has_public && !asymmetric.is_empty() {
        let good = keys.iter().any(|key| match key {
            Key::Public(key) => asymmetric
                .iter()
                .any(|signature| key.verify_strict(signed, signature).is_ok()),
            Key::Symmetric(_) => false,
        });
        return if good {
            Ok("standard-webhooks v1a")
        } else {
            Err("no `v1a` signature fits")
        };
    }
    let mut good = subtle::Choice::from(0);
    for key in keys {
        if let Key::Symmetric(bytes) = key {
            let Digest(expected) = Digest::keyed(bytes, signed);
            for signature in &symmetric {
                good |= expected.ct_eq(signature);
            }
        }
    }
    if good.into() {
        Ok("standard-webhooks v1")
    } else {
        Err("no signature fits")
    }
}
