//! Whether a delivery comes from its sender: one verifier, set by configuration, over the raw bytes. Runs before
//! anything is parsed, compares in constant time, and says which rule refused, never a signature or a secret. A
//! missing or blank secret refuses everything; there is no way to accept by forgetting to configure.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::headers::Headers;
use super::hmac::{self, HmacScheme};
use super::sns::Subscription;
use super::standard;
use crate::clock::Time;
use crate::digest::Digest;
use crate::secret::Secret;

/// Most secrets of one source: the current one, the previous one, and room for a slow rotation.
const SECRETS_MAX: usize = 8;

/// How a source's deliveries prove themselves. `S` is what stands for a secret: in configuration a reference such
/// as `env:SPLUNK_TOKEN`, after [`Auth::resolve`] the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Auth<S = Secret> {
    /// Standard Webhooks, `v1` (HMAC-SHA-256) and `v1a` (Ed25519).
    StandardWebhooks {
        /// `whsec_…` for `v1`, `whpk_…` (a public key) for `v1a`; current and previous.
        secrets: Vec<S>,
    },
    /// Any HMAC over the body, with what else the sender signs.
    Hmac(HmacScheme<S>),
    /// A fixed value in a header of its own.
    Header {
        /// Name of the header.
        header: String,
        /// Values taken; current and previous.
        secrets: Vec<S>,
    },
    /// `Authorization: Bearer …` with a fixed token.
    Bearer {
        /// Tokens taken; current and previous.
        secrets: Vec<S>,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// Passwords taken; current and previous.
        secrets: Vec<S>,
    },
    /// Amazon SNS: signed by Amazon, for topics of ours.
    Sns(Subscription<S>),
    /// Nothing at all, said outright: whoever finds the address can start playbooks.
    None {
        /// Must be `true`.
        anyone_may_send: bool,
    },
}

/// A delivery that proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The rule that accepted it, such as `standard-webhooks v1`.
    pub rule: &'static str,
    /// The sender's id of this delivery, where the scheme has one. Redeliveries carry the same.
    pub delivery_id: Option<String>,
    /// True when only a value that never changes, or nothing, spoke for it: such a delivery can be replayed and
    /// its body was not protected.
    pub weak: bool,
}

/// A delivery that did not prove itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {why}")]
pub struct Refused {
    /// The rule that refused it.
    pub rule: &'static str,
    /// Why, without anything the sender sent.
    pub why: &'static str,
}

/// A configuration that could never accept, or would accept too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAuth(pub(in crate::intake) String);

impl<S> Auth<S> {
    /// The same with every reference replaced by what `secret` makes of it.
    ///
    /// # Errors
    /// The first error of `secret`.
    pub fn resolve<T, E>(self, mut secret: impl FnMut(S) -> Result<T, E>) -> Result<Auth<T>, E> {
        let mut all = |secrets: Vec<S>| {
            secrets
                .into_iter()
                .map(&mut secret)
                .collect::<Result<Vec<T>, E>>()
        };
        Ok(match self {
            Auth::StandardWebhooks { secrets } => Auth::StandardWebhooks {
                secrets: all(secrets)?,
            },
            Auth::Hmac(scheme) => {
                let (scheme, secrets) = scheme.without_secrets();
                Auth::Hmac(scheme.with_secrets(all(secrets)?))
            }
            Auth::Header { header, secrets } => Auth::Header {
                header,
                secrets: all(secrets)?,
            },
            Auth::Bearer { secrets } => Auth::Bearer {
                secrets: all(secrets)?,
            },
            Auth::Basic { user, secrets } => Auth::Basic {
                user,
                secrets: all(secrets)?,
            },
            Auth::Sns(subscription) => Auth::Sns(subscription.resolve(secret)?),
            Auth::None { anyone_may_send } => Auth::None { anyone_may_send },
        })
    }
}

impl Auth<Secret> {
    /// Checks what can be checked before the first delivery. [`verify`] refuses whatever does not pass here.
    ///
    /// # Errors
    /// No secret, a blank one, too many, or parameters that contradict each other; says which.
    pub fn check(&self) -> Result<(), BadAuth> {
        let secrets: &[Secret] = match self {
            Auth::None {
                anyone_may_send: true,
            } => return Ok(()),
            Auth::None { .. } => {
                return Err(BadAuth(
                    "`kind = \"none\"` needs `anyone_may_send = true` beside it".into(),
                ));
            }
            Auth::Header { header, .. } if header.trim().is_empty() => {
                return Err(BadAuth("`header` is empty".into()));
            }
            Auth::Basic { user, .. } if user.is_empty() || user.contains(':') => {
                return Err(BadAuth("`user` is empty or holds a colon".into()));
            }
            Auth::StandardWebhooks { secrets }
            | Auth::Header { secrets, .. }
            | Auth::Bearer { secrets }
            | Auth::Basic { secrets, .. } => secrets,
            Auth::Hmac(scheme) => &scheme.secrets,
            Auth::Sns(subscription) if subscription.secrets.is_empty() => return subscription.check(),
            Auth::Sns(subscription) => &subscription.secrets,
        };
        if secrets.is_empty() || secrets.len() > SECRETS_MAX {
            return Err(BadAuth(format!(
                "give one to {SECRETS_MAX} `secrets`, the current one first"
            )));
        }
        if secrets.iter().any(Secret::is_blank) {
            return Err(BadAuth("a secret is blank".into()));
        }
        match self {
            Auth::StandardWebhooks { secrets } => standard::check(secrets),
            Auth::Hmac(scheme) => scheme.check(),
            Auth::Sns(subscription) => subscription.check(),
            _ => Ok(()),
        }
    }

    /// True when a delivery accepted by this can be replayed or changed on the way.
    pub fn is_weak(&self) -> bool {
        match self {
            Auth::StandardWebhooks { .. } | Auth::Hmac(_) => false,
            Auth::Sns(subscription) => subscription.raw,
            Auth::Header { .. } | Auth::Bearer { .. } | Auth::Basic { .. } | Auth::None { .. } => true,
        }
    }

    fn rule(&self) -> &'static str {
        match self {
            Auth::StandardWebhooks { .. } => "standard-webhooks",
            Auth::Hmac(_) => "hmac",
            Auth::Header { .. } => "header",
            Auth::Bearer { .. } => "bearer",
            Auth::Basic { .. } => "basic",
            Auth::Sns(_) => "sns",
            Auth::None { .. } => "none",
        }
    }
}

/// Judges one delivery. `body` is what came over the wire, byte for byte; `now` is the present.
///
/// # Errors
/// Why it is refused. The answer to the sender should not repeat it.
pub fn verify(auth: &Auth<Secret>, headers: &Headers, body: &[u8], now: Time) -> Result<Verified, Refused> {
    let rule = auth.rule();
    let refused = |why| Refused { rule, why };
    auth.check()
        .map_err(|_| refused("the source's authentication is not configured"))?;
    let weak = |()| Verified {
        rule,
        delivery_id: None,
        weak: true,
    };
    let authorization = || {
        let value = headers
            .one("authorization")
            .map_err(|_| refused("`authorization` is there more than once"))?;
        value.ok_or(refused("`authorization` is missing"))
    };
    match auth {
        Auth::StandardWebhooks { secrets } => standard::verify(secrets, headers, body, now),
        Auth::Hmac(scheme) => hmac::verify(scheme, headers, body, now),
        Auth::Header { header, secrets } => {
            let value = headers
                .one(header)
                .map_err(|_| refused("the header is there more than once"))?;
            let value = value.ok_or(refused("the header is missing"))?;
            is_one_of(secrets, value)
                .then_some(())
                .ok_or(refused("the header has another value"))
                .map(weak)
        }
        Auth::Bearer { secrets } => {
            let token = scheme(authorization()?, "bearer").ok_or(refused("the scheme is not `Bearer`"))?;
            is_one_of(secrets, token)
                .then_some(())
                .ok_or(refused("another token"))
                .map(weak)
        }
        Auth::Basic { user, secrets } => {
            let pair = scheme(authorization()?, "basic").ok_or(refused("the scheme is not `Basic`"))?;
            let pair = BASE64
                .decode(pair.as_bytes())
                .map_err(|_| refused("the credentials are not base64"))?;
            let pair = String::from_utf8(pair).map_err(|_| refused("the credentials are not text"))?;
            let (name, password) = pair
                .split_once(':')
                .ok_or(refused("the credentials hold no colon"))?;
            // Both are always compared, so that the time does not tell whether the user exists.
            let good = same(user, name) & is_one_of(secrets, password);
            good.then_some(())
                .ok_or(refused("another user or password"))
                .map(weak)
        }
        // Its certificate may have to be fetched: `sns::verify` judges, at the gate.
        Auth::Sns(_) => Err(refused("deliveries of SNS are judged elsewhere")),
        Auth::None { .. } => Ok(weak(())),
    }
}

fn scheme<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case(name).then_some(rest.trim())
}

/// Compares digests, so that neither the length nor the place of a difference shows in the time taken.
fn same(one: &str, two: &str) -> bool {
    Digest::of(one.as_bytes())
        .0
        .ct_eq(&Digest::of(two.as_bytes()).0)
        .into()
}

/// Looks at every secret, whichever fits.
fn is_one_of(secrets: &[Secret], value: &str) -> bool {
    secrets
        .iter()
        .fold(false, |found, secret| found | same(secret.expose(), value))
}
