//! Every sender's HMAC as parameters of one verifier: header, prefix, encoding, hash, what is signed in which
//! order, how the key is made, several values (`shared/reference/alert-senders.md`, section 2). Has no SHA-1.

use ::hmac::{Hmac, Mac};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::headers::Headers;
use super::signature::{BadAuth, Refused, Verified};
use crate::clock::Time;
use crate::limits::SIGNATURE_AGE_MS;
use crate::secret::Secret;

/// Most signatures one header may hold.
const SIGNATURES_MAX: usize = 16;
const RULE: &str = "hmac";

/// How one sender signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HmacScheme<S = Secret> {
    /// Keys; current and previous.
    pub secrets: Vec<S>,
    /// Header with the signature.
    pub header: String,
    /// A second header that may hold one during rotation.
    #[serde(default)]
    pub second_header: Option<String>,
    /// What stands before each signature: `sha256=`, `v0=`.
    #[serde(default)]
    pub prefix: String,
    /// Character between several values in the header.
    #[serde(default)]
    pub separator: Option<char>,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// The hash.
    #[serde(default)]
    pub hash: Hash,
    /// What is signed, with `{body}`, `{timestamp}` and `{id}`: `v0:{timestamp}:{body}`.
    #[serde(default = "body_alone")]
    pub signed: String,
    /// Where the timestamp is.
    #[serde(default)]
    pub timestamp: Option<Timestamp>,
    /// Header with the id of the delivery. It protects against replay only where `{id}` is signed.
    #[serde(default)]
    pub id_header: Option<String>,
    /// How the key is made from the secret.
    #[serde(default)]
    pub key: Keying,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Hexadecimal, in any case.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

/// The hash of the HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hash {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Where a sender puts the time of signing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timestamp {
    /// A header of its own, or the signature header itself when `prefix` is set.
    pub header: String,
    /// What stands before it among the values of the header: `t=`.
    #[serde(default)]
    pub prefix: String,
    /// What it counts.
    #[serde(default)]
    pub unit: TimeUnit,
}

/// What a timestamp counts since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Seconds.
    #[default]
    S,
    /// Milliseconds.
    Ms,
}

/// How the key is made from the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keying {
    /// The bytes of the secret.
    #[default]
    Raw,
    /// The secret is base64.
    Base64,
    /// The timestamp as sent, then the secret (GitGuardian).
    TimestampThenSecret,
}

fn body_alone() -> String {
    "{body}".to_owned()
}

enum Part<'a> {
    Text(&'a str),
    Body,
    Timestamp,
    Id,
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        parts.push(Part::Text(before));
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        parts.push(match name {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            "id" => Part::Id,
            other => Part::Text(other),
        });
        rest = tail;
    }
    parts.push(Part::Text(rest));
    parts
}

impl<S> HmacScheme<S> {
    pub(super) fn without_secrets(mut self) -> (HmacScheme<S>, Vec<S>) {
        let secrets = std::mem::take(&mut self.secrets);
        (self, secrets)
    }

    pub(super) fn with_secrets<T>(self, secrets: Vec<T>) -> HmacScheme<T> {
        HmacScheme {
            secrets,
            header: self.header,
            second_header: self.second_header,
            prefix: self.prefix,
            separator: self.separator,
            encoding: self.encoding,
            hash: self.hash,
            signed: self.signed,
            timestamp: self.timestamp,
            id_header: self.id_header,
            key: self.key,
        }
    }
}

impl HmacScheme<Secret> {
    /// Checks the parameters against each other.
    pub(super) fn check(&self) -> Result<(), BadAuth> {
        let bad = |text: &str| Err(BadAuth(text.to_owned()));
        let template = parts(&self.signed);
        let count = |wanted: fn(&Part<'_>) -> bool| template.iter().filter(|part| wanted(part)).count();
        let has_time = count(|part| matches!(part, Part::Timestamp)) > 0;
        let braces = self
            .signed
            .replace("{body}", "")
            .replace("{timestamp}", "")
            .replace("{id}", "");
        if self.header.trim().is_empty() {
            return bad("`header` is empty");
        }
        if count(|part| matches!(part, Part::Body)) != 1 || braces.contains(['{', '}']) {
            return bad(
                "`signed` must hold `{body}` once and besides it only `{timestamp}`, `{id}` and plain text",
            );
        }
        if count(|part| matches!(part, Part::Id)) > 0 && self.id_header.is_none() {
            return bad("`signed` holds `{id}`, so `id_header` must say where it is");
        }
        let keyed_by_time = self.key == Keying::TimestampThenSecret;
        if (has_time || keyed_by_time) != self.timestamp.is_some() {
            return bad(
                "a timestamp is worth checking only when it is signed: give both `timestamp` and `{timestamp}` (or `key = \"timestamp-then-secret\"`), or neither",
            );
        }
        if self
            .timestamp
            .as_ref()
            .is_some_and(|at| at.header.trim().is_empty())
        {
            return bad("`timestamp.header` is empty");
        }
        if self.key == Keying::Base64 && self.secrets.iter().any(|secret| key(self, secret, "").is_none()) {
            return bad("a secret is not base64");
        }
        Ok(())
    }
}

/// Judges one delivery; see [`super::signature::verify`].
pub(super) fn verify(
    scheme: &HmacScheme,
    headers: &Headers,
    body: &[u8],
    now: Time,
) -> Result<Verified, Refused> {
    let refused = |why| Refused { rule: RULE, why };
    let signatures = signatures(scheme, headers).map_err(refused)?;
    let stamp = match &scheme.timestamp {
        Some(at) => stamp(scheme, at, headers, now).map_err(refused)?,
        None => "",
    };
    let id = match &scheme.id_header {
        Some(name) => headers
            .one(name)
            .map_err(|_| refused("the id header is there more than once"))?,
        None => None,
    };
    let mut signed: Vec<u8> = Vec::with_capacity(body.len() + scheme.signed.len() + 64);
    for part in parts(&scheme.signed) {
        match part {
            Part::Text(text) => signed.extend(text.as_bytes()),
            Part::Body => signed.extend(body),
            Part::Timestamp => signed.extend(stamp.as_bytes()),
            Part::Id => signed.extend(id.ok_or(refused("the id header is missing"))?.as_bytes()),
        }
    }
    let mut good = subtle::Choice::from(0);
    for secret in &scheme.secrets {
        let key = key(scheme, secret, stamp).ok_or(refused("a secret cannot be used"))?;
        let expected = mac(scheme.hash, &key, &signed).ok_or(refused("a secret cannot be used"))?;
        for signature in &signatures {
            good |= expected.as_slice().ct_eq(signature.as_slice());
        }
    }
    if !bool::from(good) {
        return Err(refused("no signature fits"));
    }
    Ok(Verified {
        rule: RULE,
        delivery_id: id.map(str::to_owned),
        weak: false,
    })
}

/// Every signature of the header or headers, decoded; one that cannot be is not passed over.
fn signatures(scheme: &HmacScheme, headers: &Headers) -> Result<Vec<Vec<u8>>, &'static str> {
    const TWICE: &str = "the signature header is there more than once";
    let mut values = vec![
        headers
            .one(&scheme.header)
            .map_err(|_| TWICE)?
            .ok_or("the signature header is missing")?,
    ];
    if let Some(second) = &scheme.second_header {
        values.extend(headers.one(second).map_err(|_| TWICE)?);
    }
    let mut decoded = Vec::new();
    for token in values.into_iter().flat_map(|value| tokens(scheme, value)) {
        let Some(text) = token.strip_prefix(scheme.prefix.as_str()) else {
            // Beside the wanted version others may stand, and the timestamp.
            if scheme.separator.is_some() {
                continue;
            }
            return Err("the signature has another prefix");
        };
        let bytes = match scheme.encoding {
            Encoding::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()),
            Encoding::Base64 => BASE64.decode(text.as_bytes()),
        };
        decoded.push(bytes.map_err(|_| "a signature is malformed")?);
    }
    match decoded.len() {
        0 => Err("the header holds no signature of the wanted kind"),
        n if n > SIGNATURES_MAX => Err("the header holds too many signatures"),
        _ => Ok(decoded),
    }
}

fn tokens<'a>(scheme: &HmacScheme, value: &'a str) -> Vec<&'a str> {
    match scheme.separator {
        Some(separator) => value
            .split(separator)
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .collect(),
        None => vec![value],
    }
}

fn stamp<'a>(
    scheme: &HmacScheme,
    at: &Timestamp,
    headers: &'a Headers,
    now: Time,
) -> Result<&'a str, &'static str> {
    let value = headers
        .one(&at.header)
        .map_err(|_| "the timestamp header is there more than once")?;
    let value = value.ok_or("the timestamp header is missing")?;
    let text = if at.prefix.is_empty() {
        value
    } else {
        let mut found = tokens(scheme, value)
            .into_iter()
            .filter_map(|token| token.strip_prefix(at.prefix.as_str()));
        match (found.next(), found.next()) {
            (Some(text), None) => text,
            _ => return Err("the timestamp is missing or there more than once"),
        }
    };
    let unit_ms = match at.unit {
        TimeUnit::S => 1_000,
        TimeUnit::Ms => 1,
    };
    is_fresh(text, unit_ms, now).map(|()| text)
}

/// Checks a timestamp against the present, in both directions.
pub(super) fn is_fresh(text: &str, unit_ms: i64, now: Time) -> Result<(), &'static str> {
    const MALFORMED: &str = "the timestamp is not a number of seconds or milliseconds";
    if text.is_empty() || text.len() > 16 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    let ms = text
        .parse::<i64>()
        .ok()
        .and_then(|n| n.checked_mul(unit_ms))
        .ok_or(MALFORMED)?;
    if now.since_ms(Time(ms)) > SIGNATURE_AGE_MS {
        return Err("the timestamp is too old");
    }
    if Time(ms).since_ms(now) > SIGNATURE_AGE_MS {
        return Err("the timestamp is in the future");
    }
    Ok(())
}

fn key(scheme: &HmacScheme, secret: &Secret, stamp: &str) -> Option<Vec<u8>> {
    let secret = secret.expose();
    match scheme.key {
        Keying::Raw => Some(secret.as_bytes().to_vec()),
        Keying::Base64 => BASE64
            .decode(secret.trim().as_bytes())
            .ok()
            .filter(|key| !key.is_empty()),
        Keying::TimestampThenSecret => Some([stamp.as_bytes(), secret.as_bytes()].concat()),
    }
}

fn mac(hash: Hash, key: &[u8], signed: &[u8]) -> Option<Vec<u8>> {
    match hash {
        Hash::Sha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(signed);
            Some(mac.finalize().into_bytes().to_vec())
        }
        Hash::Sha512 => {
            let mut mac = Hmac::<Sha512>::new_from_slice(key).ok()?;
            mac.update(signed);
            Some(mac.finalize().into_bytes().to_vec())
        }
    }
}
