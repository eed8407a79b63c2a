//! Signature Version 4, as AWS documents it ("Signature Version 4 signing process", read 2026-11): canonical request,
//! text to sign, derived key. Both ends are here: the stand-in verifies, tests and the demo sign as somebody
//! who holds a key. Written apart from the connector's signer on purpose, so that each is a check on the other.

use super::super::vendor::Request;
use crate::clock::Time;
use crate::digest::Digest;

/// How far `x-amz-date` may be from now, ms.
const SKEW_MS: u64 = 15 * 60_000;

/// What an `Authorization` header of this kind says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    pub(super) key_id: &'a str,
    date: &'a str,
    region: &'a str,
    pub(super) service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    Missing,
    Incomplete(&'static str),
    Expired,
    Mismatch,
}

impl<'a> Claim<'a> {
    pub(super) fn of(request: &'a Request) -> Result<Claim<'a>, Wrong> {
        let text = request.authorization("aws4-hmac-sha256").ok_or(Wrong::Missing)?;
        let field = |name: &'static str| {
            let mut fields = text.split(',').map(str::trim);
            fields
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
                .ok_or(Wrong::Incomplete(name))
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(Wrong::Incomplete("Credential"));
        };
        Ok(Claim {
            key_id,
            date,
            region,
            service,
            signed: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }

    /// Whether whoever signed this request holds `secret` and did so just now.
    pub(super) fn verify(&self, request: &Request, secret: &str, now: Time) -> Result<(), Wrong> {
        for needed in ["host", "x-amz-date"] {
            if !self.signed.contains(&needed) {
                return Err(Wrong::Incomplete("SignedHeaders"));
            }
        }
        let stamp = request
            .header("x-amz-date")
            .ok_or(Wrong::Incomplete("x-amz-date"))?;
        let signed_at = moment(stamp).ok_or(Wrong::Incomplete("x-amz-date"))?;
        if !stamp.starts_with(self.date) {
            return Err(Wrong::Mismatch);
        }
        if now.since_ms(signed_at).max(signed_at.since_ms(now)) > SKEW_MS {
            return Err(Wrong::Expired);
        }
        let body = Digest::of(&request.body).to_string();
        if request
            .header("x-amz-content-sha256")
            .is_some_and(|told| told != body)
        {
            return Err(Wrong::Mismatch);
        }
        let mut headers = String::new();
        for name in &self.signed {
            let value = request.header(name).ok_or(Wrong::Mismatch)?;
            let value: Vec<&str> = value.split_whitespace().collect();
            headers.push_str(&format!("{name}:{}\n", value.join(" ")));
        }
        let signed = self.signed.join(";");
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{signed}\n{body}",
            request.method,
            request.path,
            canonical_query(&request.query)
        );
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let signature = signature(secret, &scope, stamp, &canonical);
        if signature == self.signature {
            Ok(())
        } else {
            Err(Wrong::Mismatch)
        }
    }
}

/// Somebody who holds a key, for signing requests as they would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer<'a> {
    /// Id of the key.
    pub key_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Region of the scope.
    pub region: &'a str,
    /// Service of the scope: `iam`, `sts`, `secretsmanager`.
    pub service: &'a str,
}

/// The headers `x-amz-date` and `authorization` of a `POST /` with this body to `host` (`name:port`).
pub fn sign(signer: &Signer<'_>, host: &str, body: &[u8], now: Time) -> [(&'static str, String); 2] {
    let stamp = stamp(now);
    let date = stamp.get(..8).unwrap_or_default();
    let body = Digest::of(body);
    let canonical = format!("POST\n/\n\nhost:{host}\nx-amz-date:{stamp}\n\nhost;x-amz-date\n{body}");
    let scope = format!("{date}/{}/{}/aws4_request", signer.region, signer.service);
    let signature = signature(signer.secret, &scope, &stamp, &canonical);
    let key_id = signer.key_id;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    );
    [("x-amz-date", stamp), ("authorization", authorization)]
}

fn signature(secret: &str, scope: &str, stamp: &str, canonical: &str) -> String {
    let text = format!(
        "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
        Digest::of(canonical.as_bytes())
    );
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope
        .split('/')
        .fold(first, |key, part| Digest::keyed(&key, part.as_bytes()).0.to_vec());
    Digest::keyed(&key, text.as_bytes()).to_string()
}

/// Parameters sorted by name and value, as they came percent-encoded.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            if pair.contains('=') {
                pair.to_owned()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    pairs.sort();
    pairs.join("&")
}

/// `20261123T174500Z` as a moment.
fn moment(stamp: &str) -> Option<Time> {
    let part = |from: usize, to: usize| stamp.get(from..to);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?
    );
    (stamp.len() == 16).then(|| Time::parse(&text)).flatten()
}

/// A moment as `20261123T174500Z`.
fn stamp(now: Time) -> String {
    let whole = Time(now.0 - now.0.rem_euclid(1_000)).to_string();
    let digits: String = whole.chars().filter(|c| *c != '-' && *c != ':').collect();
    match digits.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_and_its_stamp_are_the_same() {
        let now = Time::parse("2026-11-23T17:45:09.678Z").unwrap();
        assert_eq!(stamp(now), "20261123T174509Z");
        assert_eq!(moment("20261123T174509Z"), Time::parse("2026-11-23T17:45:09Z"));
        assert_eq!(moment("2026-11-23T17:45:09Z"), None);
    }

    #[test]
    fn parameters_are_sorted_and_have_a_value() {
        assert_eq!(canonical_query("b=2&a=1&c"), "a=1&b=2&c=");
        assert_eq!(canonical_query(""), "");
    }

    /// The derived key that AWS prints for its example (secret, 20150830, us-east-1, iam).
    #[test]
    fn the_key_is_derived_as_in_the_vendors_example() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let first = format!("AWS4{secret}").into_bytes();
        let key = ["20150830", "us-east-1", "iam", "aws4_request"]
            .iter()
            .fold(first, |key, part| Digest::keyed(&key, part.as_bytes()).0.to_vec());
        assert_eq!(
            data_encoding::HEXLOWER.encode(&key),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }
}
